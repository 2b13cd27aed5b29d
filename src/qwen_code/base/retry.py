"""Decides whether to try again, and when. Nothing here waits."""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec


class RetryPolicy(msgspec.Struct, frozen=True):
    """Exponential backoff with jitter and a maximum; a server's ``Retry-After`` replaces it.

    ``attempts`` includes the first one; ``attempts_in_silence`` is the limit for attempts that time
    out. No attempt begins after the previous ones took more than ``max_spent_s`` in total, not
    counting the waits between them. If ``Retry-After`` is more than ``max_wait_s``, the request is
    not repeated: a terminal must not be silent for minutes.
    """

    attempts: int = 4
    attempts_in_silence: int = 2
    max_spent_s: float = 95.0
    first_wait_s: float = 0.5
    max_backoff_s: float = 8.0
    max_wait_s: float = 60.0

    def wait_before(
        self,
        next_attempt: int,
        *,
        retry_after_s: float | None = None,
        jitter: Callable[[], float] | None = None,
    ) -> float | None:
        """Seconds to wait before attempt number ``next_attempt`` (2 is the first repeat).

        ``None``: do not try again. ``jitter`` returns a number in [0, 1); a random one by default.
        """
        if next_attempt > self.attempts:
            return None
        if retry_after_s is not None:
            return retry_after_s if retry_after_s <= self.max_wait_s else None
        backoff = min(self.max_backoff_s, self.first_wait_s * 2.0 ** (next_attempt - 2))
        return backoff * (0.5 + (jitter or _random)() / 2)

    def is_used_up(self, silences: int, spent_s: float) -> bool:
        """Whether to give up after ``silences`` attempts timed out, and all attempts took
        ``spent_s`` seconds in total."""
        return silences >= self.attempts_in_silence or spent_s > self.max_spent_s


def _random() -> float:
    from random import random  # slow to import, and few requests are repeated

    return random()  # noqa: S311 it spreads requests and protects nothing


def parse_retry_after(value: str | None, *, now: float) -> float | None:
    """The seconds in a ``Retry-After`` header (RFC 9110 §10.2.3).

    The value is a number of seconds or an HTTP date; ``now`` is in seconds since the epoch.
    ``None`` if the header is missing or malformed.
    """
    if not value:
        return None
    value = value.strip()
    try:
        seconds = float(value)
    except ValueError:
        from email.utils import (
            parsedate_to_datetime,  # 10 ms to import, and dates are rare
        )

        try:
            seconds = parsedate_to_datetime(value).timestamp() - now
        except (TypeError, ValueError, OverflowError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None
