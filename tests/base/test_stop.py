from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

import pytest

from qwen_code.base.errors import QwenError
from qwen_code.base.stop import POLL_S, Stop, Stopped, take


def test_it_stays_set_and_may_be_set_twice() -> None:
    stop = Stop()
    stop.check()
    stop.set()
    stop.set()
    assert stop.is_set
    with pytest.raises(Stopped):
        stop.check()


@pytest.mark.parametrize("first", [QwenError("the time is over"), None])
def test_the_first_call_gives_the_reason(first: QwenError | None) -> None:
    stop = Stop()
    assert stop.reason is None
    stop.set(first)
    stop.set(QwenError("something else"))
    stop.set()
    assert stop.reason is first


def test_no_handler_of_failures_takes_it_for_one() -> None:
    with pytest.raises(Stopped):
        try:
            raise Stopped
        except Exception:
            pytest.fail("it was handled as a failure")


def test_a_wait_ends_by_itself() -> None:
    started = time.monotonic()
    Stop().wait(0.05)
    assert time.monotonic() - started >= 0.05
    Stop().wait(-1)


def test_a_wait_ends_at_once_where_it_is_set_already() -> None:
    stop = Stop()
    stop.set()
    with pytest.raises(Stopped):
        stop.wait(60)


def test_a_wait_is_ended_from_another_thread() -> None:
    stop = Stop()
    threading.Timer(0.05, stop.set).start()
    with pytest.raises(Stopped):
        stop.wait(60)


def test_a_signal_handler_may_set_it_in_the_middle_of_a_wait() -> None:
    stop = Stop()
    before = signal.signal(signal.SIGALRM, lambda *_: stop.set())
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        with pytest.raises(Stopped):
            stop.wait(60)
    finally:
        signal.signal(signal.SIGALRM, before)


class FakeInbox:
    """Has an item only at the fourth wait; keeps how long it should wait."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def get_nowait(self) -> str:
        raise Empty

    def get(self, *, timeout: float | None = None) -> str:
        self.waits.append(float("inf") if timeout is None else timeout)
        if len(self.waits) < 4:
            raise Empty
        return "item"


@pytest.mark.parametrize("within_s", [None, 60])
def test_no_wait_is_so_long_that_a_signal_before_it_is_missed(within_s: float | None) -> None:
    inbox: Any = FakeInbox()
    assert take(inbox, within_s) == "item"
    assert inbox.waits == [POLL_S] * 4


def test_what_does_not_come_is_waited_for_in_time() -> None:
    started = time.monotonic()
    for within_s in (0.12, 0.0, -1.0):
        with pytest.raises(Empty):
            take(SimpleQueue(), within_s)
    assert 0.12 <= time.monotonic() - started < 30


def test_listeners_are_told_while_they_listen() -> None:
    stop, told = Stop(), list[str]()
    forget = stop.listen(lambda: told.append("forgotten"))
    forget()
    forget()
    with stop.calling(lambda: told.append("left")):
        pass
    stop.listen(lambda: told.append("there"))
    stop.set()
    assert told == ["there"]
    with stop.calling(lambda: told.append("late")):
        assert told == ["there", "late"]


def test_nothing_is_left_of_waits() -> None:
    stop = Stop()
    for _ in range(100):
        stop.wait(0)
    assert stop._listeners == {}


def test_listeners_may_come_and_go_while_it_is_set() -> None:
    """No listener is missed, whether it registers before the stop is set or after."""
    for _ in range(50):
        stop, told = Stop(), list[int]()

        def register(number: int, stop: Stop = stop, told: list[int] = told) -> None:
            for turn in range(20):
                with stop.calling(note(told, number * 100 + turn)):
                    pass
            stop.listen(note(told, number))

        threads = [threading.Thread(target=register, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        stop.set()
        for thread in threads:
            thread.join()
        assert set(range(4)) <= set(told)


def note(told: list[int], number: int) -> Callable[[], None]:
    return lambda: told.append(number)


def test_work_that_hears_nothing_is_left_behind() -> None:
    stop, release = Stop(), threading.Event()
    threading.Timer(0.05, stop.set).start()
    with pytest.raises(Stopped):
        stop.run_beside(lambda: release.wait(60))
    release.set()
    with pytest.raises(Stopped):
        stop.run_beside(lambda: release.wait(60))


def test_work_beside_gives_its_result_or_its_error() -> None:
    assert Stop().run_beside(lambda: 7) == 7
    assert Stop().run_beside(lambda: None) is None
    with pytest.raises(KeyError):
        Stop().run_beside(lambda: dict[str, int]()["x"])
