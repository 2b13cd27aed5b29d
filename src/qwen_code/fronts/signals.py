"""Signals that end a turn: Ctrl-C, and what the system sends when a process should go."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from qwen_code.base.stop import Stop

__all__ = ["ending_by_signals"]

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


class _Received:
    """Which signal came, if one did."""

    number: int | None = None


@contextmanager
def ending_by_signals(stop: Stop) -> Iterator[_Received]:
    """Set ``stop`` when the process is asked to end; a second signal raises ``KeyboardInterrupt``.

    Only in the main thread, the one that gets signals. What was ignored (``nohup``) stays ignored.
    """
    received = _Received()

    def end(number: int, _frame: FrameType | None) -> None:
        if stop.is_set:
            raise KeyboardInterrupt
        received.number = number
        stop.set()

    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for name in _SIGNALS:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, end)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
