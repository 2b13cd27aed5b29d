"""``--session-id``: the id that a program gives to a new session."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from qwen_code.base.errors import UsageError

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def take_session_id(text: str, values: Mapping[str, Any]) -> str:
    """The id as files have it; ``values`` are the other options.

    Raises:
        UsageError: it is not a UUID, or an earlier session is to be continued.
    """
    for option, value in (("--continue", values["go_on"]), ("--resume", values["resume"])):
        if value:
            raise UsageError(
                f"--session-id and {option} contradict each other",
                hint="--session-id begins a session; to continue one: --resume ID",
            )
    if not _UUID.fullmatch(text):
        raise UsageError(
            f"--session-id: {text!r} is not a UUID",
            hint="Give one such as 123e4567-e89b-12d3-a456-426614174000, or leave it out.",
        )
    return text.lower()
