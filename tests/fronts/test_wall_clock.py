"""The time that a prompt may take."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable

import pytest

from qwen_code.agent.errors import WallTimeExceeded
from qwen_code.base.stop import Stop, Stopped
from qwen_code.fronts.signals import ending_by_signals, is_given_up
from qwen_code.fronts.wall_clock import WallClock
from qwen_code.wiring.time_limits import Limit


def test_when_it_is_over_the_prompt_is_stopped_and_there_is_a_reason() -> None:
    stop = Stop()
    with WallClock(stop) as clock, pytest.raises(Stopped):
        clock.limit(Limit(0.05, "--max-wall-time"))
        stop.wait(30)
    assert isinstance(stop.reason, WallTimeExceeded)
    assert int(stop.reason.exit_code) == 55
    assert stop.reason.message == "it was not done within 0.05 s (--max-wall-time)"


def test_it_counts_from_the_beginning() -> None:
    """What was done before the limit was known is a part of it."""
    stop = Stop()
    with WallClock(stop) as clock, pytest.raises(Stopped):
        clock._began -= 3600
        clock.limit(Limit(3600.0, "model.maxWallTimeSeconds"))
        stop.wait(30)


@pytest.mark.parametrize("seconds", [3600.0, math.inf, 1e300])
def test_a_prompt_that_is_done_in_time_leaves_nothing(seconds: float) -> None:
    stop, before = Stop(), threading.active_count()
    with WallClock(stop) as clock:
        clock.limit(Limit(seconds))
    deadline = time.monotonic() + 30
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.005)
    assert threading.active_count() <= before
    assert not stop.is_set


def test_a_person_was_faster() -> None:
    stop = Stop()
    with WallClock(stop) as clock:
        stop.set()
        clock._end(Limit(1.0, "--max-wall-time"))
    assert stop.reason is None


def test_output_that_is_not_being_read_is_not_waited_for_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop, now = Stop(), time.monotonic()
    with ending_by_signals(stop) as received, WallClock(stop, received) as clock:
        clock._end(Limit(1.0, "--max-wall-time"))
        assert not is_given_up()
        monkeypatch.setattr("qwen_code.fronts.signals.time.monotonic", lambda: now + 60)
        assert is_given_up()
        assert received.exit_code(stop) == 55


def on_signal(stop: Stop) -> None:
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize(("then", "code"), [(on_signal, 143), (lambda _: None, 55)])
def test_a_signal_after_it_decides(then: Callable[[Stop], None], code: int) -> None:
    stop = Stop()
    with ending_by_signals(stop) as received, WallClock(stop, received) as clock:
        clock._end(Limit(1.0, "--max-wall-time"))
        then(stop)
        assert received.exit_code(stop) == code
