"""Signals that end a turn or the process: SIGINT (Ctrl-C), SIGTERM and SIGHUP."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from qwen_code.base.stop import Stop

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
_MAX_WRITE_WAIT_S = 3.0
"""How long after a signal a write may wait for a reader that does not read."""
_LOOK_S = 0.5
"""How often a wait that has no limit looks whether a signal has arrived."""


class Received:
    """The signal that arrived, if any. SIGTERM and SIGHUP override Ctrl-C.

    While ``is_finishing`` is set, signals are recorded but interrupt nothing: the result is being
    written, and child processes are being stopped.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self.is_finishing = False
        self._count = 0
        self._first_at = 0.0

    @property
    def ends_process(self) -> bool:
        """Whether the signal ends the process, and not only the turn."""
        return self.number not in (None, signal.SIGINT)

    def note(self, number: int) -> None:
        self._count += 1
        if self._count == 1:
            self._first_at = time.monotonic()
        if self.number is None or number != signal.SIGINT:
            self.number = number

    def expire(self) -> None:
        """The time of the run is over: from now on it is as after a first signal."""
        if not self._count:
            self._count, self._first_at = 1, time.monotonic()

    def exit_code(self, stop: Stop) -> int:
        """The exit code of a run that could not write its result."""
        if self.number is None and stop.reason is not None:
            return stop.reason.exit_code
        return exit_code_of(self.number)

    @property
    def is_given_up(self) -> bool:
        """Whether a second signal has arrived, or the first one was `_MAX_WRITE_WAIT_S` ago."""
        has_waited = time.monotonic() - self._first_at >= _MAX_WRITE_WAIT_S
        return self._count > 1 or (self._count == 1 and has_waited)


_in_force: list[Received] = []
"""Those of the open contexts below: signals concern the whole process."""


def is_given_up() -> bool:
    """Whether the process must end without waiting any longer for a reader."""
    return any(each.is_given_up for each in _in_force)


def exit_code_of(number: int | None) -> int:
    """The exit code after a signal; that of Ctrl-C if it is not known."""
    return 128 + (number or signal.SIGINT)


@contextmanager
def ending_by_signals(stop: Stop) -> Iterator[Received]:
    """Set ``stop`` when a signal arrives; a second one raises ``KeyboardInterrupt``.

    Works in the main thread only, which receives signals. Ignored signals (``nohup``) stay ignored.
    """
    received = Received()

    def end(number: int, _frame: FrameType | None) -> None:
        received.note(number)
        if received.is_finishing:
            return
        if stop.is_set:
            raise KeyboardInterrupt
        stop.set()

    with _handling(end, received):
        yield received


@contextmanager
def leaving_by_signals() -> Iterator[Received]:
    """Between turns: raise ``SystemExit`` on SIGTERM and SIGHUP, so that background commands are
    stopped too. Ctrl-C raises ``KeyboardInterrupt``, as by default."""
    received = Received()

    def leave(number: int, _frame: FrameType | None) -> None:
        received.note(number)
        if received.is_finishing:
            return
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        received.is_finishing = True
        raise SystemExit(exit_code_of(number))

    with _handling(leave, received):
        yield received


@contextmanager
def noting_signals() -> Iterator[Received]:
    """Record signals without interrupting anything: the final result is being written."""
    received = Received()
    with _handling(lambda number, _: received.note(number), received):
        yield received


@contextmanager
def waking_for_signals(look: Callable[[FrameType | None], None] | None = None) -> Iterator[None]:
    """For a read that waits without a limit, such as ``input``. ``look`` is called regularly during
    the wait, with the frame that it interrupts, and may end the wait by raising.

    A signal that arrives after Python's last look and before the system call does not interrupt
    that call: its handler would run when something is typed. So a timer interrupts it regularly.
    """
    if threading.current_thread() is not threading.main_thread() or os.name == "nt":
        yield
        return
    former = signal.signal(signal.SIGALRM, lambda _number, frame: look(frame) if look else None)
    signal.setitimer(signal.ITIMER_REAL, _LOOK_S, _LOOK_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


@contextmanager
def _handling(
    handler: Callable[[int, FrameType | None], None], received: Received
) -> Iterator[None]:
    before: dict[int, Any] = {}
    _in_force.append(received)
    if threading.current_thread() is threading.main_thread():
        for name in _SIGNALS:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)
        _in_force.remove(received)
