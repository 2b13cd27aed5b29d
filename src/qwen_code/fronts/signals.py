"""Signals that end a turn, or the process: Ctrl-C, and what the system sends to end it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from qwen_code.base.stop import Stop

__all__ = ["Received", "ending_by_signals", "exit_code_of", "leaving_by_signals"]

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


class Received:
    """Which signal came, if any. A request to end the process counts more than Ctrl-C.

    While ``is_finishing`` is set, signals are noted and interrupt nothing: results are written and
    child processes are ended. While ``is_writing`` is set as well, only the first one is let pass:
    who reads the result may never go on to read.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self.is_finishing = False
        self.is_writing = False
        self._count = 0

    @property
    def ends_process(self) -> bool:
        """Whether the process was asked to end, and not only the turn."""
        return self.number not in (None, signal.SIGINT)

    def note(self, number: int) -> None:
        self._count += 1
        if self.number is None or number != signal.SIGINT:
            self.number = number

    @property
    def is_kept_waiting(self) -> bool:
        """Whether this was not the first signal, and all that is left is to write."""
        return self.is_writing and self._count > 1


def exit_code_of(number: int | None) -> int:
    """The exit code after a signal; Ctrl-C where none is known."""
    return 128 + (number or signal.SIGINT)


@contextmanager
def ending_by_signals(stop: Stop) -> Iterator[Received]:
    """Set ``stop`` when the process is asked to end; a second signal raises ``KeyboardInterrupt``.

    Only in the main thread, the one that gets signals. What was ignored (``nohup``) stays ignored.
    """
    received = Received()

    def end(number: int, _frame: FrameType | None) -> None:
        received.note(number)
        if received.is_kept_waiting:
            raise KeyboardInterrupt
        if received.is_finishing:
            return
        if stop.is_set:
            raise KeyboardInterrupt
        stop.set()

    with _handling(end):
        yield received


@contextmanager
def leaving_by_signals() -> Iterator[Received]:
    """Between turns: raise ``SystemExit`` when the process is asked to end, so that what runs in
    the background is ended too. Ctrl-C raises ``KeyboardInterrupt``, as without this."""
    received = Received()

    def leave(number: int, _frame: FrameType | None) -> None:
        received.note(number)
        if received.is_finishing:
            return
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        received.is_finishing = True
        raise SystemExit(exit_code_of(number))

    with _handling(leave):
        yield received


@contextmanager
def _handling(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before: dict[int, Any] = {}
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
