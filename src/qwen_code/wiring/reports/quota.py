"""What is left of an account's allowance, for a person and for a program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qwen_code.base.moment import moment_in_utc, moment_in_words

if TYPE_CHECKING:
    from qwen_code.models.quota import Snapshot
    from qwen_code.models.rate_limits import Allowance, RateLimits


def quota_in_words(quota: Snapshot, now: float) -> str:
    """One line, such as ``3 of 60 requests in this minute, 120 of 2,000 in 24 h; …``.

    ``now`` is seconds since the epoch.
    """
    text = (
        f"{quota.requests_minute:,} of {quota.limit_minute:,} requests in this minute, "
        f"{quota.requests_day:,} of {quota.limit_day:,} in 24 h"
    )
    if quota.resets_at is not None:
        is_spent = quota.requests_day >= quota.limit_day
        more = "the next is possible" if is_spent else "some come back"
        text += f"; {more} at {moment_in_words(quota.resets_at, now)}"
    return f"{text}; the server said: {quota.server_said}" if quota.server_said else text


def rate_limits_in_words(limits: RateLimits, now: float) -> str:
    """One line, such as ``59 of 60 requests left, all back at …``; ``now`` as above."""
    kinds = (("requests", limits.requests), ("tokens", limits.tokens))
    return "; ".join(_left(kind, allowance, now) for kind, allowance in kinds if allowance)


def _left(kind: str, allowance: Allowance, now: float) -> str:
    count = "?" if allowance.remaining is None else f"{allowance.remaining:,}"
    limit = "" if allowance.limit is None else f" of {allowance.limit:,}"
    text = f"{count}{limit} {kind} left"
    if allowance.resets_at is None or allowance.resets_at <= now:
        return text
    return f"{text}, all back at {moment_in_words(allowance.resets_at, now)}"


def quota_data(quota: Snapshot) -> dict[str, Any]:
    """What is used of an account's allowance; moments are in UTC (RFC 3339)."""
    return {
        "requests_minute": quota.requests_minute,
        "limit_minute": quota.limit_minute,
        "requests_day": quota.requests_day,
        "limit_day": quota.limit_day,
        "resets_at": _moment(quota.resets_at),
        "server_said": quota.server_said,
    }


def rate_limits_data(limits: RateLimits) -> dict[str, Any]:
    """What the server said of a key's limits; moments are in UTC (RFC 3339)."""
    kinds = {"requests": limits.requests, "tokens": limits.tokens}
    return {
        kind: {
            "limit": allowance.limit,
            "remaining": allowance.remaining,
            "resets_at": _moment(allowance.resets_at),
        }
        for kind, allowance in kinds.items()
        if allowance
    }


def _moment(at: float | None) -> str | None:
    return None if at is None else moment_in_utc(at)
