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
"""How often the stop is checked: Python resumes a read that a signal has interrupted."""

_FIRST_BYTE_WAIT_S = 3.0
"""How long a pipe may be silent if the command line already has a prompt. Editors and ssh often
leave a pipe open that is never written to. A shorter wait would lose what a slow command writes."""


def take_prompt(argument: str | None, stdin: str | None) -> str:
    """The prompt of this run: standard input, then the argument.

    Raises:
        InputError: both are missing, or the argument is not UTF-8.
    """
    if argument is not None and not argument.isascii() and _has_lone_bytes(argument):
        raise InputError(
            "the prompt on the command line is not UTF-8 text",
            hint="Convert it first, for example with iconv, and pipe it in.",
        )
    parts = [part for part in (stdin, argument) if part and part.strip()]
    if not parts:
        raise InputError(
            "no prompt was given",
            hint='Write qwen "why is this slow?", or pipe it in: git diff | qwen "review"',
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

    If ``argument`` has a prompt, a silent pipe is given up after ``wait_s``, with a ``notice``.

    Raises:
        InputError: it has more than 8 MiB, is not UTF-8, or cannot be read.
        Stopped: ``stop`` was set during the wait.
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
                f"standard input was ignored, because nothing arrived for {wait_s:g} s"
                " (if it is empty, redirect it: < /dev/null)"
            )
            return None
        data = _read(descriptor, stop)
    except (OSError, ValueError) as error:
        if has_argument:
            return None
        raise InputError(
            f"standard input cannot be read: {error}", hint='Write the prompt: qwen "…"'
        ) from error
    if len(data) > _MAX_BYTES:
        raise InputError(
            f"standard input is longer than {_MAX_BYTES >> 20} MiB",
            hint="Pipe in only the part that matters.",
        )
    try:
        text: str = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"standard input is not UTF-8 text (byte {error.start:,})",
            hint="Convert it first, for example with iconv, or omit binary data.",
        ) from None
    return text


def _has_lone_bytes(text: str) -> bool:
    """Whether ``text`` has bytes that Python could not decode (PEP 383)."""
    return any("\ud800" <= character <= "\udfff" for character in text)


def _read(descriptor: int, stop: Stop) -> bytes:
    """Everything until the end, or slightly more than is allowed."""
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
    """Whether a pipe or socket has data or ends within ``wait_s``."""
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
