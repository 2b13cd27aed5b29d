"""How many requests an account may make, and whether the next one may go now: pure decisions.

The windows roll: no 60 s hold more than ``per_minute`` requests and no 24 h more than ``per_day``.
Where the server's day begins, or whether its day rolls too, is told nowhere; a rolling window keeps
within either reading, in every time zone.

A request counts from the latest moment at which it may reach the server: when its answer came, and
until then at most `ARRIVAL_S` after it was let go. So whatever a window of ours holds, the
server's cannot hold more.
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
"""Signing may renew a token (15 s) and connecting takes up to 10 s: then a request is there."""

MAX_ASKED_WAIT_S = 60.0
"""What the server asks to wait beyond this is told and not waited for."""

_ASK_AGAIN_S = 60.0
"""A server that said no is asked anew this often: somebody may have topped the account up."""

_MIN_WAIT_S = 0.01

_OTHER_WAYS = (
    "Until then use another account (qwen auth switch), a key of your own (LLAMA_API_KEY), "
    "or a model on this machine (qwen local pull)."
)


class Limits(msgspec.Struct, frozen=True):
    """Requests that an account may make; the lengths of the two windows are in seconds."""

    per_minute: int = 60
    per_day: int = 2000
    minute_s: float = 60.0
    day_s: float = 86_400.0


class ServerWord(msgspec.Struct, frozen=True):
    """What the server last said against more requests to one model.

    ``at`` is when it said so, ``until`` when there is some again (``None``: it did not say),
    both in seconds since the epoch; ``is_exhausted`` tells an allowance that is used up from a
    mere "not so fast".
    """

    at: float
    until: float | None
    said: str
    is_exhausted: bool

    def is_in_force(self, now: float) -> bool:
        """Whether it still holds. A word from the future was written by a clock that was wrong."""
        return self.at <= now and (self.until is None or self.until > now)


class Go(msgspec.Struct, frozen=True):
    """The request may go now, as number ``ticket`` (``None``: it is not counted)."""

    ticket: int | None = None


class Wait(msgspec.Struct, frozen=True):
    """Ask again after ``wait_s`` seconds with ``ticket``, which keeps the place in the queue."""

    wait_s: float
    reason: str
    ticket: int | None = None


class Snapshot(msgspec.Struct, frozen=True):
    """What is used of an account's allowance.

    ``resets_at`` (seconds since the epoch) is when the day's count goes down next: with nothing
    left, when the next request is possible. ``None``: nothing was used. ``server_said`` is what
    the server has against more requests, if anything.
    """

    requests_minute: int
    limit_minute: int
    requests_day: int
    limit_day: int
    resets_at: float | None = None
    server_said: str | None = None


class Ledger(Protocol):
    """The count of one account's requests, shared by all who make them.

    No method fails because the count cannot be kept: the request goes uncounted, and
    :meth:`take_notices` says why. Where ``stop`` is set, nothing is waited for.
    """

    def reserve(self, model: str, ticket: int | None = None, stop: Stop | None = None) -> Go | Wait:
        """Whether the next request may go; a `Wait`'s ``ticket`` comes back with the next call.

        Raises:
            QuotaExhausted: not today; the message says when.
            RateLimited: the server asked for a longer wait than anybody attends.
        """

    def arrived(
        self, ticket: int, model: str, *, is_welcome: bool, stop: Stop | None = None
    ) -> None:
        """The server has the request; ``is_welcome`` where it answers it."""

    def give_back(self, ticket: int, stop: Stop | None = None) -> None:
        """The request never went out, or nobody waits for it any more."""

    def note(self, model: str, word: ServerWord, stop: Stop | None = None) -> None:
        """The server said something against more requests: tell all who share the account."""

    def snapshot(self) -> Snapshot | None:
        """What is used; ``None`` where that cannot be told."""

    def take_notices(self) -> list[str]:
        """What the user should know since the last call, each thing once."""


def account_key(*parts: str) -> str:
    """The name of an account in a ledger: a hash, so that the file tells nobody who it is."""
    from hashlib import sha256  # not needed where nothing is counted

    return sha256("\0".join(("qwen-code quota", *parts)).encode()).hexdigest()[:32]


def decide(
    times: Sequence[float], ahead: int, word: ServerWord | None, limits: Limits, now: float
) -> Go | Wait:
    """Whether the next request may go at ``now``.

    ``times`` are those of the requests that count, in order; those in the future are on their
    way. ``ahead`` is how many wait for their turn before this one.

    Raises:
        QuotaExhausted: not before a time that the message names.
        RateLimited: as far away, but the server called it a matter of pace.
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
    # Each request that waits takes the place of one that leaves the window, in order.
    leaving = [min(at, now) for at in (*minute, *[now] * free)]
    rounds, place = divmod(ahead - free, len(leaving))
    wait_s = leaving[place] + limits.minute_s * (rounds + 1) - now
    return Wait(max(wait_s, _MIN_WAIT_S), _pace_reason(limits))


def take_snapshot(
    times: Sequence[float], words: Sequence[ServerWord], limits: Limits, now: float
) -> Snapshot:
    """What ``times`` come to, and what the server said; arguments as for :func:`decide`."""
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
        return Wait(wait_s, f"the server asked for it: {word.said}")
    if now - word.at >= _ASK_AGAIN_S:
        return None
    when = moment_in_words(word.until, now)
    if word.is_exhausted:
        raise QuotaExhausted(
            f"{word.said} (it said so {duration_in_words(now - word.at)} ago); "
            f"there is some again at {when}",
            hint=_OTHER_WAYS,
            code="quota_exhausted",
            resets_at=word.until,
        )
    raise RateLimited(
        f"{word.said} (it said so {duration_in_words(now - word.at)} ago)",
        retry_after_s=wait_s,
        hint=f"Try again at {when}.",
        code="throttled",
    )


def _day_is_used_up(resets_at: float, limits: Limits, now: float) -> QuotaExhausted:
    return QuotaExhausted(
        f"all {limits.per_day:,} requests of {duration_in_words(limits.day_s)} are used up; "
        f"the next is possible at {moment_in_words(resets_at, now)}",
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
