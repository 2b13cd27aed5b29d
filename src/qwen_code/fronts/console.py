"""Errors, warnings and notices of the command line, all on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from qwen_code.base.errors import QwenError, UsageError
from qwen_code.base.log import debug
from qwen_code.base.secret import redact
from qwen_code.base.text import safe_text, shown_text
from qwen_code.config.env_names import QWEN_CODE

if TYPE_CHECKING:
    from qwen_code.config.settings import Settings

_is_read_out = False
"""Whether a screen reader reads what this process writes."""


def paint(text: str, code: str, *, stream: TextIO | None = None) -> str:
    """``text`` in an ANSI style if ``stream`` (default stderr) is a terminal with colours."""
    target = stream or sys.stderr
    if not target.isatty() or is_plain():
        return text
    return f"\x1b[{code}m{text}\x1b[0m"


def is_plain() -> bool:
    """Whether the user wants no colours (https://no-color.org) or the terminal has none."""
    return bool(os.environ.get("NO_COLOR")) or takes_only_lines(os.environ)


def takes_only_lines(environ: Mapping[str, str]) -> bool:
    """Whether nothing may be drawn, or drawn again: the terminal cannot, or it is read out."""
    return _is_read_out or environ.get("TERM") == "dumb"


def heed_screen_reader(settings: Settings) -> None:
    """Write only lines from now on if settings or the command line say that they are read out."""
    global _is_read_out
    if settings.first("ui.accessibility.screenReader", bool):
        _is_read_out = True


def say(text: str = "") -> None:
    """Write a line to standard output. Nothing in it can control the terminal but styles."""
    say_part(f"{text}\n")


def say_part(text: str) -> None:
    """`say` without the end of a line, at once."""
    sys.stdout.write(shown_text(text))
    sys.stdout.flush()


def say_data(text: str) -> None:
    """Write a line for a program: as it is, unless a terminal would show it."""
    sys.stdout.write(f"{shown_text(text) if sys.stdout.isatty() else text}\n")


def say_error_part(text: str) -> None:
    """`say_part` on standard error."""
    sys.stderr.write(shown_text(text))
    sys.stderr.flush()


def rewrite_line(text: str) -> None:
    """Write over the last line on standard error, for a progress bar."""
    sys.stderr.write(f"\r\x1b[2K{safe_text(text)}")
    sys.stderr.flush()


def report(error: QwenError) -> None:
    """Show an error: what happened, then how to fix it."""
    debug("error", kind=type(error).__name__, message=error.message, code=error.code)
    lines = [f"{paint('qwen:', '1;31')} {_clean(error.message)}"]
    if error.hint:
        lines += [f"  {line}" if line else "" for line in _clean(error.hint).split("\n")]
    _write("\n".join(lines))


def notice(text: str) -> None:
    """Show one line that the user should read."""
    _write(f"{paint('qwen:', '1;33')} {_clean(text)}")


def explain_unexpected(error: Exception) -> QwenError:
    """The error to show for an unexpected exception. Its traceback goes to the debug log."""
    from traceback import format_exception

    debug("unexpected error", traceback="".join(format_exception(error)))
    if isinstance(error, OSError):
        where = f": {error.filename}" if error.filename else ""
        return QwenError(f"{error.strerror or error}{where}")
    return QwenError(
        f"internal error: {type(error).__name__}: {error}",
        hint="Run it again with --debug, and report the bug with the log.",
    )


def is_interactive() -> bool:
    """Whether a person is at a terminal that can be read from and written to."""
    try:
        return sys.stdin.isatty() and sys.stdout.isatty()
    except (AttributeError, ValueError):
        return False


def require_person(what: str) -> None:
    """For what only a person may decide: ``what`` needs a terminal, outside of a session.

    Raises:
        UsageError: it is called by a program, or by a command that a model has run.
    """
    refuse_model(what)
    if not is_interactive():
        raise UsageError(f"{what} needs a terminal, so that a person answers")


def refuse_model(what: str) -> None:
    """For what a person must have asked for, in a terminal or a script.

    Raises:
        UsageError: it is called by a command that a model has run.
    """
    if os.environ.get(QWEN_CODE):
        raise UsageError(f"{what} cannot be done by a command that the model runs")


def _clean(text: str) -> str:
    return redact(safe_text(text))


def _write(text: str) -> None:
    with suppress(OSError, ValueError):  # a full disk must not hide this message
        sys.stdout.flush()
    try:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        pass  # stderr itself is closed
