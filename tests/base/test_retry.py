from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_code.base.retry import RetryPolicy, parse_retry_after


def test_waits_grow_up_to_a_ceiling_and_end() -> None:
    policy = RetryPolicy(attempts=7, first_wait_s=1, max_backoff_s=8)
    waits = [policy.wait_before(n, jitter=lambda: 1.0) for n in range(2, 9)]
    assert waits == [1, 2, 4, 8, 8, 8, None]


@given(st.integers(2, 4), st.floats(0, 1, exclude_max=True))
def test_jitter_takes_off_at_most_half(attempt: int, jitter: float) -> None:
    policy = RetryPolicy()
    longest = policy.wait_before(attempt, jitter=lambda: 1.0)
    wait = policy.wait_before(attempt, jitter=lambda: jitter)
    assert longest is not None and wait is not None and longest / 2 <= wait <= longest


def test_what_the_server_asks_is_done_up_to_a_minute() -> None:
    policy = RetryPolicy()
    assert policy.wait_before(2, retry_after_s=60) == 60
    assert policy.wait_before(2, retry_after_s=61) is None


def test_a_server_that_is_silent_is_asked_once_more() -> None:
    policy = RetryPolicy()
    assert not policy.is_used_up(1, 90.5)
    assert policy.is_used_up(2, 181)


def test_slow_failures_are_not_repeated_as_often_as_quick_ones() -> None:
    policy = RetryPolicy()
    assert not policy.is_used_up(0, 61)
    assert policy.is_used_up(0, 122)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("", None),
        ("3", 3),
        (" 2.5 ", 2.5),
        ("-4", 0),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        ("Thu, 01 Jan 1970 00:02:00 GMT", 20),
        ("Thu, 01 Jan 1970 00:00:01 GMT", 0),
        ("Thu, 32 Jan 1970 00:00:01 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, expected: float | None) -> None:
    assert parse_retry_after(value, now=100) == expected


@given(st.text())
def test_any_retry_after_is_survived(value: str) -> None:
    seconds = parse_retry_after(value, now=100)
    assert seconds is None or seconds >= 0
