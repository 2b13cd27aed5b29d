"""The prompt: from the command line, from standard input, or both."""

from __future__ import annotations

import os
import select
import stat
import sys
from typing import IO

from qwen_code.base.errors import InputError

__all__ = ["read_stdin", "take_prompt"]

_MOST_BYTES = 8 << 20
_FIRST_BYTE_WAIT_S = 0.5
"""How long a pipe may be silent where the command line already has a prompt: an editor or cron
often leaves an open pipe behind that nobody will ever write to."""


def take_prompt(argument: str | None, stdin: str | None) -> str:
    """The prompt of this run: what came on standard input first, then the argument.

    Raises:
        InputError: there is neither.
    """
    parts = [part for part in (stdin, argument) if part and part.strip()]
    if not parts:
        raise InputError(
            "there is no prompt",
            hint='Give one, as qwen "why is this slow?", or pipe it in: git diff | qwen "review"',
        )
    return "\n\n".join(part.strip("\n") if len(parts) > 1 else part for part in parts)


def read_stdin(stream: IO[str] | None, *, has_argument: bool) -> str | None:
    """All of standard input, unless it is a terminal, closed, or a pipe that stays silent.

    Raises:
        InputError: more than 8 MiB, not UTF-8, or not readable.
    """
    if stream is None or stream.closed:
        return None
    try:
        descriptor = stream.fileno()
        if stream.isatty():
            return None
        if has_argument and not _has_data(descriptor):
            return None
        data = stream.buffer.read(_MOST_BYTES + 1)  # type: ignore[attr-defined]
    except (OSError, ValueError) as error:
        if has_argument:
            return None
        raise InputError(
            f"standard input cannot be read: {error}", hint="Give a prompt."
        ) from error
    if len(data) > _MOST_BYTES:
        raise InputError(
            f"standard input is longer than {_MOST_BYTES >> 20} MiB",
            hint="Give the model the part that matters.",
        )
    try:
        text: str = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"standard input is not UTF-8 text (byte {error.start:,})",
            hint="Convert it first, for example with iconv, or leave binary data out.",
        ) from None
    return text


def _has_data(descriptor: int) -> bool:
    """Whether a pipe or socket has something to read, or its end, within the wait."""
    mode = os.fstat(descriptor).st_mode
    if sys.platform == "win32" or not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        return True
    readable, _, _ = select.select([descriptor], [], [], _FIRST_BYTE_WAIT_S)
    return bool(readable)
