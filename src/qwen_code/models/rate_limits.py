"""The rate limits that servers report in ``x-ratelimit-*`` headers, in their dialects."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import msgspec

_PREFIX = "x-ratelimit-"
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_FIRST_EPOCH_S = 1e9
_FIRST_EPOCH_MS = 1e11


class Allowance(msgspec.Struct, frozen=True):
    """A limit of requests or tokens: the maximum, the rest, and when it resets.

    ``resets_at`` is in seconds since the epoch. ``None``: the server does not report it.
    """

    limit: int | None = None
    remaining: int | None = None
    resets_at: float | None = None


class RateLimits(msgspec.Struct, frozen=True):
    """The limits that the last response reported."""

    requests: Allowance | None = None
    tokens: Allowance | None = None


def parse_rate_limits(headers: Mapping[str, str], *, now: float) -> RateLimits | None:
    """The limits in ``headers`` (lower-case names); ``None`` if there are none.

    OpenAI and Azure send ``x-ratelimit-remaining-requests`` and ``…-tokens``; OpenRouter sends
    ``x-ratelimit-remaining`` for requests. ``now`` is in seconds since the epoch.
    """
    requests = _allowance(headers, "-requests", now) or _allowance(headers, "", now)
    tokens = _allowance(headers, "-tokens", now)
    return RateLimits(requests, tokens) if requests or tokens else None


def parse_reset(value: str, *, now: float) -> float | None:
    """The time in a reset header, in seconds since the epoch.

    Supported: OpenAI's durations (``6m0s``, ``1s``, ``20ms``), a number of seconds, seconds or
    milliseconds since the epoch. ``None`` for anything else.
    """
    value = value.strip().lower()
    if _DURATION.fullmatch(value):
        return now + sum(float(count) * _UNITS_S[unit] for count, unit in _PART.findall(value))
    number = _number(value)
    if number is None or number < 0:
        return None
    if number >= _FIRST_EPOCH_MS:
        return number / 1000
    return number if number >= _FIRST_EPOCH_S else now + number


def _allowance(headers: Mapping[str, str], of: str, now: float) -> Allowance | None:
    limit = _number(headers.get(f"{_PREFIX}limit{of}", ""))
    remaining = _number(headers.get(f"{_PREFIX}remaining{of}", ""))
    resets_at = parse_reset(headers.get(f"{_PREFIX}reset{of}", ""), now=now)
    if limit is None and remaining is None and resets_at is None:
        return None
    return Allowance(_whole(limit), _whole(remaining), resets_at)


def _number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)
