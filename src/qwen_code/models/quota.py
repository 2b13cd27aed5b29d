"""How many requests an account may make, and whether the next one may be sent now. Pure.

The windows are rolling: no 60 s have more than ``per_minute`` requests and no 24 h more than
``per_day``. It is not documented when the server's day begins, or whether its window is rolling;
a rolling window satisfies both, in every time zone.

A request counts from the latest time at which it can reach the server: the time of its response,
and until then `ARRIVAL_S` after it was sent. So the server never counts more requests in a window
than we do.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Protocol

import msgspec

from qwen_code.base.moment import duration_in_words, moment_in_words
from qwen_code.base.stop import Stop
from qwen_code.models.errors import QuotaExhausted, RateLimited

ARRIVAL_S = 30.0
"""The longest time until a request arrives: renewing a token (15 s) and connecting (10 s)."""

MAX_ASKED_WAIT_S = 60.0
"""If the server asks for a longer wait, the request fails instead."""

_ASK_AGAIN_S = 60.0
"""How often an exhausted quota is tried again: the user may have bought more."""

_MIN_WAIT_S = 0.01

_OTHER_WAYS = (
    "Until then use another account (qwen auth switch), your own API key (LLAMA_API_KEY), "
    "or a model on this machine (qwen local pull)."
)


class Limits(msgspec.Struct, frozen=True):
    """The quota of an account; the lengths of the two windows are in seconds."""

    per_minute: int = 60
    per_day: int = 2000
    minute_s: float = 60.0
    day_s: float = 86_400.0


class ServerWord(msgspec.Struct, frozen=True):
    """The last response of the server that limits requests to one model.

    ``at`` is when it came, ``until`` when requests are allowed again (``None``: unknown), both in
    seconds since the epoch. ``is_exhausted``: the quota is used up; else requests came too fast.
    """

    at: float
    until: float | None
    said: str
    is_exhausted: bool

    def is_in_force(self, now: float) -> bool:
        """Whether it still applies. One from the future was recorded by a wrong clock."""
        return self.at <= now and (self.until is None or self.until > now)


class Go(msgspec.Struct, frozen=True):
    """The request may be sent now, with the number ``ticket`` (``None``: it is not counted)."""

    ticket: int | None = None


class Wait(msgspec.Struct, frozen=True):
    """Ask again after ``wait_s`` seconds with ``ticket``, which keeps the place in the queue."""

    wait_s: float
    reason: str
    ticket: int | None = None


class Snapshot(msgspec.Struct, frozen=True):
    """What is used of an account's quota.

    ``resets_at`` (seconds since the epoch) is when the day's count decreases next; if the quota is
    used up, when the next request is possible. ``None``: nothing is used. ``server_said`` is the
    server's reason against more requests, if any.
    """

    requests_minute: int
    limit_minute: int
    requests_day: int
    limit_day: int
    resets_at: float | None = None
    server_said: str | None = None


class Ledger(Protocol):
    """The count of one account's requests, shared by all processes that use the account.

    If the count cannot be saved, no method fails: the request is not counted, and
    :meth:`take_notices` tells why. If ``stop`` is set, no method waits.
    """

    def reserve(self, model: str, ticket: int | None = None, stop: Stop | None = None) -> Go | Wait:
        """Whether the next request may be sent; pass the ``ticket`` of a `Wait` to the next call.

        Raises:
            QuotaExhausted: the quota is used up; the message says until when.
            RateLimited: the server asked for too long a wait.
        """

    def arrived(
        self, ticket: int, model: str, *, is_welcome: bool, stop: Stop | None = None
    ) -> None:
        """The server has received the request; ``is_welcome``: it answers it."""

    def give_back(self, ticket: int, stop: Stop | None = None) -> None:
        """The request was not sent, or is no longer wanted."""

    def note(self, model: str, word: ServerWord, stop: Stop | None = None) -> None:
        """Share a limit that the server reported with all processes that use the account."""

    def snapshot(self) -> Snapshot | None:
        """What is used; ``None`` if that is unknown."""

    def take_notices(self) -> list[str]:
        """Notices for the user since the last call, each only once."""


def account_key(*parts: str) -> str:
    """The name of an account in a ledger: a hash, so that the file does not reveal the account."""
    from hashlib import sha256  # needed only if requests are counted

    return sha256("\0".join(("qwen-code quota", *parts)).encode()).hexdigest()[:32]


def decide(
    times: Sequence[float], ahead: int, word: ServerWord | None, limits: Limits, now: float
) -> Go | Wait:
    """Whether the next request may be sent at ``now``.

    ``times`` are those of the counted requests, in order; requests with a future time are on their
    way. ``ahead`` is how many requests wait before this one.

    Raises:
        QuotaExhausted: the quota is used up; the message says until when.
        RateLimited: the same, but the server reported a rate limit.
    """
    day = times[bisect_right(times, now - limits.day_s) :]
    if len(day) >= limits.per_day:
        raise _day_is_used_up(day[len(day) - limits.per_day] + limits.day_s, limits, now)
    if word is not None and (held := _held_by(word, now)):
        return held
    minute = times[bisect_right(times, now - limits.minute_s) :]
    free = limits.per_minute - len(minute)
    if ahead < free:
        return Go()
    # Each waiting request takes the place of one that leaves the window, in order.
    leaving = [min(at, now) for at in (*minute, *[now] * free)]
    rounds, place = divmod(ahead - free, len(leaving))
    wait_s = leaving[place] + limits.minute_s * (rounds + 1) - now
    return Wait(max(wait_s, _MIN_WAIT_S), _pace_reason(limits))


def take_snapshot(
    times: Sequence[float], words: Sequence[ServerWord], limits: Limits, now: float
) -> Snapshot:
    """What is used according to ``times`` and the server; arguments as for :func:`decide`."""
    day = times[bisect_right(times, now - limits.day_s) :]
    minute = len(times) - bisect_right(times, now - limits.minute_s)
    resets_at = day[max(0, len(day) - limits.per_day)] + limits.day_s if day else None
    said = None
    for word in words:
        if word.is_in_force(now):
            said = word.said
            if word.is_exhausted and word.until is not None:
                resets_at = word.until
    return Snapshot(minute, limits.per_minute, len(day), limits.per_day, resets_at, said)


def _held_by(word: ServerWord, now: float) -> Wait | None:
    if word.until is None or not word.is_in_force(now):
        return None
    wait_s = word.until - now
    if not word.is_exhausted and wait_s <= MAX_ASKED_WAIT_S:
        return Wait(wait_s, f"the server asked to wait: {word.said}")
    if now - word.at >= _ASK_AGAIN_S:
        return None
    when = moment_in_words(word.until, now)
    if word.is_exhausted:
        raise QuotaExhausted(
            f"{word.said} (reported {duration_in_words(now - word.at)} ago); "
            f"available again at {when}",
            hint=_OTHER_WAYS,
            code="quota_exhausted",
            resets_at=word.until,
        )
    raise RateLimited(
        f"{word.said} (reported {duration_in_words(now - word.at)} ago)",
        retry_after_s=wait_s,
        hint=f"Try again at {when}.",
        code="throttled",
    )


def _day_is_used_up(resets_at: float, limits: Limits, now: float) -> QuotaExhausted:
    return QuotaExhausted(
        f"all {limits.per_day:,} requests of {duration_in_words(limits.day_s)} are used up; "
        f"available again at {moment_in_words(resets_at, now)}",
        hint=_OTHER_WAYS,
        code="daily_quota",
        resets_at=resets_at,
        is_whole_account=True,
    )


def _pace_reason(limits: Limits) -> str:
    minute = "a minute" if limits.minute_s == 60 else f"in {limits.minute_s:g} s"
    count = limits.per_minute
    return (
        f"{count} request{'s' if count > 1 else ''} {minute} {'are' if count > 1 else 'is'} used up"
    )
