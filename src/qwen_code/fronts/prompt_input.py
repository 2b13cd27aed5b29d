"""The prompt: from the command line, from standard input, or both."""

from __future__ import annotations

import os
import select
import stat
import sys
import time
from collections.abc import Callable
from typing import IO

from qwen_code.base.errors import InputError
from qwen_code.base.stop import Stop

_MAX_BYTES = 8 << 20
_PIECE_BYTES = 1 << 16
_POLL_S = 0.05
"""How often the stop is looked at: Python goes on with a read that a signal has interrupted."""

_FIRST_BYTE_WAIT_S = 3.0
"""How long a pipe may be silent where the command line already has a prompt: an editor or ssh
often leaves an open pipe behind that will never be written to. Shorter would lose what a slow
command is about to write, and the answer would be about nothing."""


def take_prompt(argument: str | None, stdin: str | None) -> str:
    """The prompt of this run: what came on standard input first, then the argument.

    Raises:
        InputError: there is neither, or the argument is not text.
    """
    if argument is not None and not argument.isascii() and _has_lone_bytes(argument):
        raise InputError(
            "the prompt on the command line is not UTF-8 text",
            hint="Convert it first, for example with iconv, and pipe it in.",
        )
    parts = [part for part in (stdin, argument) if part and part.strip()]
    if not parts:
        raise InputError(
            "there is no prompt",
            hint='Give one, as qwen "why is this slow?", or pipe it in: git diff | qwen "review"',
        )
    return "\n\n".join(part.strip("\n") if len(parts) > 1 else part for part in parts)


def read_stdin(
    stream: IO[str] | None,
    argument: str | None,
    notice: Callable[[str], None],
    stop: Stop,
    *,
    wait_s: float = _FIRST_BYTE_WAIT_S,
) -> str | None:
    """All of standard input, unless it is a terminal, closed, or a pipe that stays silent.

    Only with a prompt in ``argument`` is a pipe given up, after ``wait_s``; ``notice`` is told.

    Raises:
        InputError: more than 8 MiB, not UTF-8, or not readable.
        Stopped: ``stop`` was set while it was waited for.
    """
    if stream is None or stream.closed:
        return None
    has_argument = bool(argument and argument.strip())
    try:
        descriptor = stream.fileno()
        if stream.isatty():
            return None
        if has_argument and not _has_data(descriptor, wait_s, stop):
            notice(
                f"standard input stayed silent for {wait_s:g} s and was left out"
                " (redirect it from /dev/null to say that it is empty)"
            )
            return None
        data = _read(descriptor, stop)
    except (OSError, ValueError) as error:
        if has_argument:
            return None
        raise InputError(
            f"standard input cannot be read: {error}", hint="Give a prompt."
        ) from error
    if len(data) > _MAX_BYTES:
        raise InputError(
            f"standard input is longer than {_MAX_BYTES >> 20} MiB",
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


def _has_lone_bytes(text: str) -> bool:
    """Whether Python could not decode some of what the system handed over (PEP 383)."""
    return any("\ud800" <= character <= "\udfff" for character in text)


def _read(descriptor: int, stop: Stop) -> bytes:
    """What comes until the end, or a little more than is allowed."""
    data = bytearray()
    while len(data) <= _MAX_BYTES:
        while not _has_data(descriptor, _POLL_S, stop):
            pass
        piece = os.read(descriptor, _PIECE_BYTES)
        if not piece:
            break
        data += piece
    return bytes(data)


def _has_data(descriptor: int, wait_s: float, stop: Stop) -> bool:
    """Whether a pipe or socket has something to read, or its end, within the wait."""
    mode = os.fstat(descriptor).st_mode
    if sys.platform == "win32" or not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        stop.check()
        return True
    deadline = time.monotonic() + wait_s
    while True:
        stop.check()
        left_s = max(0.0, deadline - time.monotonic())
        if select.select([descriptor], [], [], min(left_s, _POLL_S))[0]:
            stop.check()
            return True
        if left_s <= _POLL_S:
            return False
