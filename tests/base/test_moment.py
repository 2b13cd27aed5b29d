"""Times and durations as a person reads them."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from qwen_code.base.moment import (
    duration_in_words,
    moment_in_utc,
    moment_in_words,
    parse_duration,
)

NOON = 1_750_075_200.0  # 2025-06-16 12:00 UTC


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "1 s"),
        (0.2, "1 s"),
        (11.2, "12 s"),
        (119.5, "2 min"),
        (121, "3 min"),
        (3600, "60 min"),
        (7200, "2 h"),
        (47_100, "13 h 5 min"),
        (7199.5, "2 h"),
        (777_000, "9 days"),
        (1e300, "more than ten years"),
    ],
)
def test_a_duration_is_rounded_up(seconds: float, words: str) -> None:
    assert duration_in_words(seconds) == words


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (NOON + 300, "12:05 (in 5 min)"),
        (NOON + 47_100, "01:05 tomorrow (in 13 h 5 min)"),
        (NOON + 9 * 86_400, "2025-06-25 12:00 (in 9 days)"),
    ],
)
def test_a_moment_says_when_and_how_far(at: float, words: str) -> None:
    assert moment_in_words(at, NOON) == words


def test_a_moment_beyond_every_calendar_is_only_far() -> None:
    assert moment_in_words(1e300, NOON) == "in more than ten years"
    assert moment_in_utc(1e300) is None


def test_a_moment_for_programs_is_in_utc() -> None:
    assert moment_in_utc(NOON + 0.9) == "2025-06-16T12:00:00Z"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90s", 90),
        (" 5M ", 300),
        ("1h", 3600),
        ("1.5h", 5400),
        ("2 m", 120),
        ("0", 0),
        *(
            (text, None)
            for text in ("", "h", "-5", "+5", "1d", "5m30s", "1e3", "nan", "٣", "9" * 20)
        ),
    ],
)
def test_a_duration_has_at_most_one_unit(text: str, seconds: float | None) -> None:
    assert parse_duration(text) == seconds
