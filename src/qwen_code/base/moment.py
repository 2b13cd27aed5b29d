"""Times and durations in words."""

from __future__ import annotations

import re
import time

_MINUTE_S = 60
_HOUR_S = 3600
_DAY_S = 86_400
_MAX_SHOWN_S = 3650 * _DAY_S
_UNITS_S = {"": 1, "s": 1, "m": _MINUTE_S, "h": _HOUR_S}


def moment_in_words(at: float, now: float) -> str:
    """The local time, and how long it is until then: ``09:12 tomorrow (in 13 h 5 min)``.

    Both are seconds since the epoch. A time that no calendar can express is only "in … days".
    """
    distance = f"in {duration_in_words(at - now)}"
    try:
        then, today = time.localtime(at), time.localtime(now)
        tomorrow = time.localtime(now + _DAY_S)
    except (OverflowError, ValueError, OSError):
        return distance
    clock = time.strftime("%H:%M", then)
    if then[:3] == today[:3]:
        return f"{clock} ({distance})"
    if then[:3] == tomorrow[:3]:
        return f"{clock} tomorrow ({distance})"
    return f"{time.strftime('%Y-%m-%d', then)} {clock} ({distance})"


def moment_of_day(at: float) -> str:
    """The local date and time: ``2026-01-31 09:12``."""
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
    except (OverflowError, ValueError, OSError):
        return "some time"


def moment_in_utc(at: float) -> str | None:
    """Seconds since the epoch as ``2026-01-31T09:12:00Z`` (RFC 3339); ``None`` if out of range."""
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
    except (OverflowError, ValueError, OSError):
        return None


def duration_in_words(seconds: float) -> str:
    """``12 s``, ``3 min``, ``13 h 5 min`` or ``9 days``. It is rounded up."""
    if seconds > _MAX_SHOWN_S:
        return "more than ten years"
    whole = max(1, -int(-seconds // 1))
    if whole < 2 * _MINUTE_S:
        return f"{whole} s"
    minutes = -(-whole // _MINUTE_S)
    if minutes < 2 * _MINUTE_S:
        return f"{minutes} min"
    if whole < 2 * _DAY_S:
        hours, rest = divmod(minutes, 60)
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    return f"{-(-whole // _DAY_S)} days"


def parse_duration(text: str) -> float | None:
    """The seconds that ``90``, ``90s``, ``5m`` or ``1.5h`` mean; ``None`` for any other text."""
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?([smh]?)", text.strip().lower())
    return float(found[1]) * _UNITS_S[found[2]] if found else None
