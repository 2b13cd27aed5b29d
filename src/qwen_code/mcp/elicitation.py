"""What a server wants to know from the person, and one call's time limit, which waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Literal

import msgspec

_MAX_TOTAL_S = 24 * 3600.0
"""How long a call may take that reports progress all the time."""


class Elicitation(msgspec.Struct, frozen=True):
    """A question (``elicitation/create``): a ``schema`` to fill in, or a ``url`` to visit.

    ``message`` and all texts of the schema are the server's.
    """

    server: str
    message: str
    schema: Mapping[str, Any] | None = None
    url: str = ""


class Answer(msgspec.Struct, frozen=True):
    """What the person did. ``content`` has the fields that they filled in."""

    action: Literal["accept", "decline", "cancel"]
    content: dict[str, Any] | None = None


Ask = Callable[[Elicitation], "Future[Answer]"]
"""Puts a question to the person; returns at once."""


def ask_nobody(_: Elicitation) -> Future[Answer]:
    """For calls that no person waits for."""
    answer: Future[Answer] = Future()
    answer.set_result(Answer("cancel"))
    return answer


class RunningCall:
    """A call in the event loop. Its limit begins anew with each report of progress, and does not
    run while the person is asked."""

    def __init__(
        self, limit_s: float, said: Callable[[str], None] = lambda _: None, ask: Ask = ask_nobody
    ) -> None:
        self.limit_s = limit_s
        self.ask = ask
        self._said = said
        self._limit = asyncio.timeout(None)
        self._ends_at = 0.0

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The limit does not run meanwhile."""
        began = self._now()
        self._limit.reschedule(None)
        try:
            yield
        finally:
            self._ends_at += self._now() - began
            self._begin()

    @asynccontextmanager
    async def limited(self) -> AsyncIterator[None]:
        """The limit runs meanwhile.

        Raises:
            TimeoutError: it was reached.
        """
        async with asyncio.timeout(None) as self._limit:
            self._ends_at = self._now() + max(_MAX_TOTAL_S, self.limit_s)
            self._begin()
            yield

    async def progress(self, progress: float, total: float | None, message: str | None) -> None:
        """Take up a report of progress."""
        self._begin()
        if message:
            self._said(f"{message}\n")
        elif total:
            self._said(f"{progress:g} of {total:g}\n")

    def _begin(self) -> None:
        self._limit.reschedule(min(self._now() + self.limit_s, self._ends_at))

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
