"""The decisions: who may go, who waits how long, and when there is some again."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_code.models.errors import QuotaExhausted, RateLimited
from qwen_code.models.quota import (
    Go,
    Limits,
    ServerWord,
    Snapshot,
    Wait,
    account_key,
    decide,
    take_snapshot,
)

NOW = 1_750_000_000.0
LIMITS = Limits()
THREE = Limits(per_minute=3)


def wait_of(times: list[float], ahead: int = 0, limits: Limits = THREE) -> float:
    verdict = decide(times, ahead, None, limits, NOW)
    assert isinstance(verdict, Wait)
    return round(verdict.wait_s, 3)


def test_the_sixtieth_goes_and_the_next_waits_for_the_first_to_leave() -> None:
    times = [NOW - 50 + number / 100 for number in range(60)]
    assert decide(times[:59], 0, None, LIMITS, NOW) == Go()
    verdict = decide(times, 0, None, LIMITS, NOW)
    assert isinstance(verdict, Wait)
    assert verdict.wait_s == pytest.approx(10)
    assert verdict.reason == "60 requests a minute are used up"


def test_what_is_older_than_a_minute_does_not_count() -> None:
    assert decide([NOW - 60.0, NOW - 30, NOW], 0, None, THREE, NOW) == Go()


def test_those_ahead_come_first() -> None:
    times = [NOW - 50, NOW - 40, NOW - 30]
    assert [wait_of(times, ahead) for ahead in range(7)] == [10, 20, 30, 70, 80, 90, 130]
    assert decide(times[:1], 1, None, THREE, NOW) == Go()
    assert wait_of(times[:1], 2) == 10
    assert wait_of([], 3) == 60


def test_a_request_on_its_way_counts_as_now() -> None:
    assert wait_of([NOW - 10, NOW + 20, NOW + 30], 1) == 60
    assert wait_of([NOW + 20, NOW + 25, NOW + 30]) == 60


def test_a_limit_that_was_lowered_waits_for_all_that_are_too_many() -> None:
    assert wait_of([NOW - 50, NOW - 40, NOW - 30, NOW - 20]) == 20


@pytest.mark.usefixtures("utc")
def test_the_2001st_is_refused_with_the_time_and_the_ways_out() -> None:
    times = [NOW - 80_000 + number for number in range(2000)]
    with pytest.raises(QuotaExhausted) as caught:
        decide(times, 0, None, LIMITS, NOW)
    error = caught.value
    assert error.resets_at == NOW - 80_000 + 86_400
    assert error.message == (
        "all 2,000 requests of 24 h are used up; available again at 16:53 (in 107 min)"
    )
    for way in ("qwen auth switch", "LLAMA_API_KEY", "qwen local pull"):
        assert way in (error.hint or "")
    assert error.is_whole_account
    assert decide(times[1:], 0, None, LIMITS, NOW) == Go()


def test_a_word_of_the_server_is_waited_for_up_to_a_minute() -> None:
    word = ServerWord(NOW - 5, NOW + 12, "too many requests", is_exhausted=False)
    assert decide([], 0, word, LIMITS, NOW) == Wait(
        12, "the server asked to wait: too many requests"
    )
    assert decide([], 0, word, LIMITS, NOW + 12) == Go()
    long = ServerWord(NOW - 5, NOW + 600, "too many requests", is_exhausted=False)
    with pytest.raises(RateLimited) as caught:
        decide([], 0, long, LIMITS, NOW)
    assert "(in 10 min)" in (caught.value.hint or "")
    assert caught.value.retry_after_s == 600


def test_an_exhausted_account_is_asked_anew_once_a_minute() -> None:
    word = ServerWord(NOW, NOW + 7200, "used up", is_exhausted=True)
    with pytest.raises(QuotaExhausted) as caught:
        decide([], 0, word, LIMITS, NOW + 59)
    assert caught.value.resets_at == NOW + 7200
    assert not caught.value.is_whole_account
    assert re.search(r"used up \(reported 59 s ago\); .* \(in 2 h\)", caught.value.message)
    assert decide([], 0, word, LIMITS, NOW + 60) == Go()


@pytest.mark.parametrize(
    "word",
    [
        ServerWord(NOW + 3600, NOW + 7200, "from a clock that was wrong", is_exhausted=True),
        ServerWord(NOW - 90, NOW - 1, "over", is_exhausted=False),
        ServerWord(NOW - 1, None, "it did not say when", is_exhausted=True),
    ],
)
def test_a_word_that_does_not_bind_lets_go(word: ServerWord) -> None:
    assert decide([], 0, word, LIMITS, NOW) == Go()


def test_a_snapshot_counts_both_windows() -> None:
    times = [NOW - 90_000, NOW - 80_000, NOW - 59, NOW + 20]
    assert take_snapshot(times, (), LIMITS, NOW) == Snapshot(2, 60, 3, 2000, NOW + 6400)
    assert take_snapshot((), (), LIMITS, NOW) == Snapshot(0, 60, 0, 2000)
    word = ServerWord(NOW - 5, NOW + 300, "used up", is_exhausted=True)
    assert take_snapshot((), (word,), LIMITS, NOW) == Snapshot(0, 60, 0, 2000, NOW + 300, "used up")


def test_a_key_tells_nobody_who_it_is() -> None:
    key = account_key("https://chat.example", "ada@example.org")
    assert re.fullmatch(r"[0-9a-f]{32}", key)
    assert key == account_key("https://chat.example", "ada@example.org")
    assert key != account_key("https://chat.exampleada@example.org")


@given(
    st.lists(st.tuples(st.floats(0, 30), st.floats(0, 5)), max_size=60),
    st.integers(1, 5),
    st.integers(1, 12),
)
def test_no_window_ever_holds_more_than_it_may(
    steps: list[tuple[float, float]], per_minute: int, per_day: int
) -> None:
    """A process that obeys each verdict never exceeds either limit, wherever a window begins.

    A request reaches the server some time after it was admitted; it counts until its answer.
    """
    limits = Limits(per_minute, per_day, minute_s=10, day_s=100)
    now = 0.0
    counted: list[float] = []
    arrivals: list[float] = []
    for pause, travel in steps:
        now += pause
        try:
            while isinstance(verdict := decide(sorted(counted), 0, None, limits, now), Wait):
                now += verdict.wait_s
        except QuotaExhausted as error:
            assert error.resets_at is not None
            assert error.resets_at > now
            continue
        arrivals.append(now + travel / 2)
        counted.append(now + travel)  # when its answer came
    _assert_within(arrivals, limits.per_minute, limits.minute_s)
    _assert_within(arrivals, limits.per_day, limits.day_s)


def _assert_within(arrivals: list[Any], most: int, window_s: float) -> None:
    times = sorted(arrivals)
    for first, beyond in zip(times, times[most:], strict=False):
        assert beyond - first >= window_s - 1e-6
