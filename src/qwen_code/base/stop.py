"""Ends one turn: any thread can set it, and everything that waits stops waiting.

A `Stop` is passed to everything that can wait: HTTP, retries, pacing, tools, hooks, calls to other
programs, questions to a person. Nothing in here takes a lock, so a signal handler can set it during
any wait. A limit of the run sets it with a reason, a person without one.
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
    """Raised where code was waiting when its `Stop` was set.

    Like ``KeyboardInterrupt`` it is not an ``Exception``, so that handlers of failures do not
    catch it.
    """


class Stop:
    """Whether a turn should end. It cannot be reset; every turn gets a new one."""

    def __init__(self) -> None:
        self.is_set = False
        self.reason: QwenError | None = None
        """The error that is reported for the turn; ``None`` if a person ended it."""
        self._listeners: dict[object, Callable[[], object]] = {}

    def set(self, reason: QwenError | None = None) -> None:
        """End the turn. Can be called from any thread or signal handler, and more than once: the
        first call decides the ``reason``."""
        if not self.is_set:
            self.reason = reason
        self.is_set = True
        for listener in list(self._listeners.values()):
            listener()

    def check(self) -> None:
        """Do nothing, unless the turn should end.

        Raises:
            Stopped: the turn should end.
        """
        if self.is_set:
            raise Stopped

    def wait(self, seconds: float) -> None:
        """Wait for ``seconds``.

        Raises:
            Stopped: the turn should end. It is raised at once.
        """
        inbox: SimpleQueue[None] = SimpleQueue()
        with self.calling(lambda: inbox.put(None)), suppress(Empty):
            take(inbox, seconds)
        self.check()

    def run_beside(self, work: Callable[[], T]) -> T:
        """Run ``work`` on another thread, and return its result.

        ``work`` cannot be stopped: if the turn ends, it continues, and its result is discarded.

        Raises:
            Stopped: the turn should end. It is raised at once.
        """
        from threading import Thread  # only needed here

        inbox: SimpleQueue[tuple[T | None, BaseException | None] | None] = SimpleQueue()

        def run() -> None:
            try:
                inbox.put((work(), None))
            except BaseException as error:  # noqa: BLE001 raised on the waiting thread
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
        """Call ``listener`` when the turn should end, or at once if it should end already.

        It is called on the thread that sets the stop, and may be called twice. The returned
        function removes it.
        """
        key = object()
        self._listeners[key] = listener
        if self.is_set:
            listener()
        return lambda: self._listeners.pop(key, None)

    @contextmanager
    def calling(self, listener: Callable[[], object]) -> Iterator[None]:
        """:meth:`listen` for the duration of the context."""
        forget = self.listen(listener)
        try:
            yield
        finally:
            forget()
