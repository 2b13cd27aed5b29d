"""The time limits of an answer, and a reader of streams that enforces them.

A stream is alive while complete lines arrive, even if they are only comments with which a proxy
says that the model is working (``: OPENROUTER PROCESSING``). Bytes that never complete a line do
not count, and comments alone count only for a limited time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import msgspec

from qwen_code.base.clock import Clock
from qwen_code.base.errors import TransportError
from qwen_code.base.http import Timeouts
from qwen_code.base.retry import RetryPolicy

_SLACK_S = 5.0
"""How much longer an attempt may take on a busy machine and still be retried."""

ReadChunk = Callable[[float | None], bytes | None]
"""`Response.read_chunk`: the next bytes, within so many seconds or within the usual limit."""


class Patience(msgspec.Struct, frozen=True):
    """``timeouts`` are those of each request. ``keep_alive_s`` is how long a stream may continue
    without a part of the answer, in seconds. ``max_retries`` is how often a failed request is
    repeated; ``None`` for the usual number."""

    timeouts: Timeouts = Timeouts()
    keep_alive_s: float = 600.0
    max_retries: int | None = None

    @classmethod
    def of(
        cls, first_byte_s: float, idle_s: float | None = None, max_retries: int | None = None
    ) -> Self:
        """The default limits with another one for the first byte. The others are at least as long:
        a slow server stays slow, and some send a tool call only when it is complete. ``idle_s``
        is the limit between two parts of an answer, if it is set."""
        usual = cls()
        idle_s = max(usual.timeouts.idle_s, first_byte_s) if idle_s is None else idle_s
        timeouts = Timeouts(first_byte_s=first_byte_s, idle_s=idle_s)
        return cls(timeouts, max(usual.keep_alive_s, first_byte_s), max_retries)

    @property
    def retry(self) -> RetryPolicy:
        """A timeout of the first byte leaves time for one more attempt."""
        usual = RetryPolicy()
        attempts = usual.attempts if self.max_retries is None else self.max_retries + 1
        return RetryPolicy(
            attempts=attempts,
            attempts_in_silence=min(attempts, usual.attempts_in_silence),
            max_spent_s=self.timeouts.first_byte_s + _SLACK_S,
        )


class PatientReader:
    """Reads the chunks of a stream within the limits of ``patience``.

    The limits apply after the first chunk; until then the response has its own. The time between
    :meth:`heard` and the next :meth:`read` does not count, because a front may be slow.
    """

    def __init__(self, read_chunk: ReadChunk, clock: Clock, patience: Patience) -> None:
        self._read_chunk = read_chunk
        self._clock = clock
        self._line_s = patience.timeouts.idle_s
        self._keep_alive_s = patience.keep_alive_s
        self._since_line_s = 0.0
        self._since_answer_s = 0.0
        self._has_begun = False
        self._is_in_line = False
        self._counted_to: float | None = None
        """By the clock; ``None``: time does not count until the next read."""

    def read(self, within_s: float | None = None) -> bytes | None:
        """The next chunk, or ``None`` at the end. ``within_s`` is a shorter limit for this one.

        Raises:
            TransportError: it did not come in time, or the connection broke.
            Stopped: the turn was stopped.
        """
        line_left_s = self._line_s - self._since_line_s
        answer_left_s = self._keep_alive_s - self._since_answer_s
        is_alive = answer_left_s < line_left_s
        if min(line_left_s, answer_left_s) <= 0:
            raise self._silence(is_alive=is_alive)
        if within_s is not None:
            chunk = self._read_chunk(within_s)
        elif not self._has_begun:
            self._has_begun = True
            chunk = self._read_chunk(None)
            self._counted_to = self._clock.monotonic()
        else:
            chunk = self._next(min(line_left_s, answer_left_s), is_alive=is_alive)
        if chunk:
            self._is_in_line = not chunk.endswith((b"\n", b"\r"))
            if b"\n" in chunk or b"\r" in chunk:
                self._since_line_s = 0.0
        return chunk

    def heard(self) -> None:
        """The last chunk had a part of the answer."""
        self._since_answer_s = 0.0
        self._counted_to = None

    def _next(self, within_s: float, *, is_alive: bool) -> bytes | None:
        if self._counted_to is None:
            self._counted_to = self._clock.monotonic()
        try:
            chunk = self._read_chunk(within_s)
        except TransportError as error:
            if error.code == "timeout" and (is_alive or self._is_in_line):
                raise self._silence(is_alive=is_alive) from None
            raise
        now = self._clock.monotonic()
        self._since_line_s += now - self._counted_to
        self._since_answer_s += now - self._counted_to
        self._counted_to = now
        return chunk

    def _silence(self, *, is_alive: bool) -> TransportError:
        limit_s = self._keep_alive_s if is_alive else self._line_s
        what = "only signs of life" if is_alive else "no complete line of its answer"
        return TransportError(
            f"the server sent {what} for {limit_s:g} s",
            hint="It may be overloaded. Try again.",
            code="timeout",
            retryable=True,
        )
