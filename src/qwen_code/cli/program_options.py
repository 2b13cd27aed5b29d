"""Options that SDKs, editors and CI pass, rather than people."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from qwen_code.base.errors import UsageError
from qwen_code.fronts.console import notice

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def check_program_options(values: Mapping[str, Any]) -> None:
    """
    Raises:
        UsageError: an option cannot be followed, or contradicts another one.
    """
    if values["insecure"]:
        raise UsageError(
            "--insecure is not supported: certificates are always checked",
            hint="Name the certificate of your server's authority in SSL_CERT_FILE.",
        )
    named = [name for text in values["extensions"] for name in text.split(",") if name.strip()]
    if any(name.strip().lower() != "none" for name in named):
        notice(f"--extensions {','.join(named)}: there are no extensions here; it has no effect")
    _check_session_id(values["session_id"], values)


def _check_session_id(text: str | None, values: Mapping[str, Any]) -> None:
    if text is None:
        return
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
