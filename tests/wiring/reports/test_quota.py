"""The allowance in words and as data."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from qwen_code.models.quota import Snapshot
from qwen_code.models.rate_limits import Allowance, RateLimits
from qwen_code.wiring.reports.quota import (
    quota_data,
    quota_in_words,
    rate_limits_data,
    rate_limits_in_words,
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
    ("quota", "words"),
    [
        (
            Snapshot(0, 60, 0, 2000),
            "0 of 60 requests in this minute, 0 of 2,000 in 24 h",
        ),
        (
            Snapshot(3, 60, 1999, 2000, NOON + 3600),
            (
                "3 of 60 requests in this minute, 1,999 of 2,000 in 24 h; "
                "some come back at 13:00 (in 60 min)"
            ),
        ),
        (
            Snapshot(3, 60, 2000, 2000, NOON + 3600),
            (
                "3 of 60 requests in this minute, 2,000 of 2,000 in 24 h; "
                "the next is possible at 13:00 (in 60 min)"
            ),
        ),
        (
            Snapshot(3, 60, 5, 2000, NOON + 3600, "used up"),
            (
                "3 of 60 requests in this minute, 5 of 2,000 in 24 h; "
                "some come back at 13:00 (in 60 min); the server said: used up"
            ),
        ),
    ],
)
def test_a_quota_in_words(quota: Snapshot, words: str) -> None:
    assert quota_in_words(quota, NOON) == words


def test_rate_limits_in_words() -> None:
    limits = RateLimits(Allowance(60, 59, NOON + 1), Allowance(None, 149_984, NOON - 1))
    assert rate_limits_in_words(limits, NOON) == (
        "59 of 60 requests left, all back at 12:00 (in 1 s); 149,984 tokens left"
    )


def test_both_as_data() -> None:
    assert quota_data(Snapshot(3, 60, 5, 2000, NOON)) == {
        "requests_minute": 3,
        "limit_minute": 60,
        "requests_day": 5,
        "limit_day": 2000,
        "resets_at": "2025-06-16T12:00:00Z",
        "server_said": None,
    }
    assert rate_limits_data(RateLimits(Allowance(60, 59))) == {
        "requests": {"limit": 60, "remaining": 59, "resets_at": None}
    }
