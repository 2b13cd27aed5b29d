"""The end of one turn, asked for from outside: set from any thread, heard by whatever waits.

A `Stop` is handed down to everything that can wait: HTTP, retries, pacing, tools, hooks, calls to
other programs, questions to a person. Nothing in here takes a lock, so a signal handler may set it
in the middle of any wait. A limit of the run sets it with a reason, a person sets it without one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import TypeVar, cast

from qwen_code.base.errors import QwenError

T = TypeVar("T")

POLL_S = 0.05
"""The longest uninterruptible part of a wait."""


def take(inbox: SimpleQueue[T], within_s: float | None = None) -> T:
    """The next item of ``inbox``; a signal is handled within `POLL_S`.

    Python cannot interrupt a wait for a signal that arrived just before the wait began: its handler
    would run only after the wait. So this waits in short steps.

    Raises:
        Empty: no item came within ``within_s`` seconds.
    """
    try:
        return inbox.get_nowait()  # the usual case in a stream
    except Empty:
        pass
    deadline = None if within_s is None else time.monotonic() + within_s
    while True:
        left_s = POLL_S if deadline is None else deadline - time.monotonic()
        with suppress(Empty):
            return inbox.get(timeout=max(0.0, min(left_s, POLL_S)))
        if left_s <= 0:
            raise Empty


class Stopped(BaseException):
    """Raised by what was waiting when its `Stop` was set.

    Like ``KeyboardInterrupt`` it is not an ``Exception``: it is not a failure, and no handler of
    failures may swallow it.
    """


class Stop:
    """Whether a turn should end. Once set it stays set; every turn gets a new one."""

    def __init__(self) -> None:
        self.is_set = False
        self.reason: QwenError | None = None
        """What is reported as the error of the turn; ``None`` where a person ended it."""
        self._listeners: dict[object, Callable[[], object]] = {}

    def set(self, reason: QwenError | None = None) -> None:
        """End the turn. May be called from any thread and from a signal handler, also twice: the
        first call decides on the ``reason``."""
        if not self.is_set:
            self.reason = reason
        self.is_set = True
        for listener in list(self._listeners.values()):
            listener()

    def check(self) -> None:
        """Go on, unless the turn should end.

        Raises:
            Stopped: it should.
        """
        if self.is_set:
            raise Stopped

    def wait(self, seconds: float) -> None:
        """Let ``seconds`` pass.

        Raises:
            Stopped: the turn should end; at once.
        """
        inbox: SimpleQueue[None] = SimpleQueue()
        with self.calling(lambda: inbox.put(None)), suppress(Empty):
            take(inbox, seconds)
        self.check()

    def run_beside(self, work: Callable[[], T]) -> T:
        """The result of ``work``, which hears no stop: it is left to itself when the turn ends.

        Raises:
            Stopped: the turn should end; at once.
        """
        from threading import Thread  # the rest needs none

        inbox: SimpleQueue[tuple[T | None, BaseException | None] | None] = SimpleQueue()

        def run() -> None:
            try:
                inbox.put((work(), None))
            except BaseException as error:  # noqa: BLE001 it is raised where it is waited for
                inbox.put((None, error))

        with self.calling(lambda: inbox.put(None)):
            Thread(target=run, daemon=True).start()
            ended = take(inbox)
        if ended is None:
            raise Stopped
        result, error = ended
        if error is not None:
            raise error
        return cast("T", result)

    def listen(self, listener: Callable[[], object]) -> Callable[[], object]:
        """Call ``listener`` when the turn should end, or at once if it should already.

        It is called on the thread that sets the stop, and may be called twice. Call what is
        returned to be told no more.
        """
        key = object()
        self._listeners[key] = listener
        if self.is_set:
            listener()
        return lambda: self._listeners.pop(key, None)

    @contextmanager
    def calling(self, listener: Callable[[], object]) -> Iterator[None]:
        """As :meth:`listen`, for as long as the context lasts."""
        forget = self.listen(listener)
        try:
            yield
        finally:
            forget()
