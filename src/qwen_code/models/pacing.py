"""Rate limiting: requests wait until they may be sent, and are counted."""

from __future__ import annotations

from collections.abc import Generator
from types import TracebackType
from typing import TYPE_CHECKING, Self

from qwen_code.base.clock import Clock
from qwen_code.base.errors import AuthError, ConfigError, QwenError, TransportError
from qwen_code.base.stop import Stop
from qwen_code.models.errors import QuotaExhausted, RateLimited
from qwen_code.models.events import Notice, Paced

if TYPE_CHECKING:  # most accounts have no quota that is counted here
    from qwen_code.models.quota import Go, Ledger, Snapshot, Wait

_MIN_TOLD_WAIT_S = 0.5
"""Shorter waits are not announced."""

_NEVER_SENT = ("connect", "proxy", "certificate")
"""Codes of a `TransportError` for requests that did not reach the server."""


class Meter:
    """Counts the requests of a client in a ledger; without one, nothing waits."""

    def __init__(self, ledger: Ledger | None, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    def attempt(self, model: str, stop: Stop) -> Attempt:
        """The wait for, and the count of, one request to ``model``."""
        return Attempt(self._ledger, self._clock, model, stop)

    def snapshot(self) -> Snapshot | None:
        """What is used of the account's quota; ``None`` if it is not counted."""
        return self._ledger.snapshot() if self._ledger else None


class Attempt:
    """One attempt at a request: call ``wait``, then send it inside ``with``."""

    def __init__(self, ledger: Ledger | None, clock: Clock, model: str, stop: Stop) -> None:
        self._ledger = ledger
        self._clock = clock
        self._model = model
        self._stop = stop
        self._ticket: int | None = None
        self._was_answered = False

    def wait(self) -> Generator[Paced | Notice, None, None]:
        """Wait until the request may be sent; every wait is announced before it begins.

        Raises:
            QuotaExhausted: the quota of the day is used up.
            RateLimited: the wait would be too long.
            Stopped: the turn was stopped.
        """
        self._ticket, self._was_answered = None, False
        if self._ledger is None:
            return
        from qwen_code.models.quota import Wait

        try:
            while isinstance(verdict := self._reserve(), Wait):
                self._ticket = verdict.ticket
                if verdict.wait_s >= _MIN_TOLD_WAIT_S:
                    yield Paced(verdict.wait_s, verdict.reason)
                self._clock.sleep(verdict.wait_s, self._stop)
            self._ticket = verdict.ticket
            for notice in self._ledger.take_notices():
                yield Notice(notice)
        except BaseException:
            self._give_back()
            raise

    def _reserve(self) -> Go | Wait:
        assert self._ledger is not None
        verdict = self._ledger.reserve(self._model, self._ticket, self._stop)
        self._stop.check()
        return verdict

    def answered(self, status: int) -> None:
        """Record that the server responded with ``status``."""
        self._was_answered = True
        if self._ledger is not None and self._ticket is not None:
            self._ledger.arrived(
                self._ticket, self._model, is_welcome=status == 200, stop=self._stop
            )

    def failed(self, error: QwenError, wait_s: float | None) -> None:
        """Record that the server responded with ``error``; ``wait_s`` is the wait before a retry.

        A limit in the response is shared with all processes that use the account.
        """
        if self._ledger is None or not self._was_answered:
            return
        from qwen_code.models.quota import ServerWord

        now = self._clock.now()
        if isinstance(error, QuotaExhausted):
            word = ServerWord(now, error.resets_at, error.message, is_exhausted=True)
            self._ledger.note(self._model, word, self._stop)
        elif isinstance(error, RateLimited):
            asked_s = error.retry_after_s if wait_s is None else wait_s
            if asked_s is not None:
                word = ServerWord(now, now + asked_s, error.message, is_exhausted=False)
                self._ledger.note(self._model, word, self._stop)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None or self._was_answered or self._ledger is None or self._ticket is None:
            return
        never_sent = isinstance(error, AuthError | ConfigError) or (
            isinstance(error, TransportError) and error.code in _NEVER_SENT
        )
        if never_sent:
            self._give_back()
        else:
            self._ledger.arrived(self._ticket, self._model, is_welcome=False, stop=self._stop)

    def _give_back(self) -> None:
        if self._ledger is not None and self._ticket is not None:
            self._ledger.give_back(self._ticket, self._stop)
            self._ticket = None
