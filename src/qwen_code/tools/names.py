"""File names as models write them: on one line, as valid text, and in either normal form.

A byte that is not UTF-8, a control character and a separator of lines are shown as ``\\xNN`` (their
bytes in hexadecimal), as is a backslash that would else begin such a form. A name that exists
exactly as it is written comes first, so names with backslashes need no escape.
"""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path

from qwen_code.tools.errors import ToolFailed

_UNSHOWABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]|\\(?=x[0-9a-f]{2})")
_ESCAPED = re.compile(r"(?:\\x[0-9a-f]{2})+")


def shown_name(name: str) -> str:
    """The name, or the path, on one line of valid text."""
    if name.isascii() and name.isprintable() and "\\x" not in name:
        return name
    return _UNSHOWABLE.sub(_escape, name)


def true_name(shown: str) -> str:
    """The name of which `shown_name` is ``shown``."""
    return _ESCAPED.sub(
        lambda found: bytes.fromhex(found[0].replace("\\x", "")).decode("utf-8", "surrogateescape"),
        shown,
    )


def find_name(base: Path, text: str) -> Path:
    """The path that ``text`` means: absolute or below ``base``. What does not exist as it is
    written is looked for without its escapes and in the other normal form of Unicode.

    Raises:
        ToolFailed: several names differ only in their normal form.
        OSError: a directory cannot be read, or a name is too long.
    """
    path = base / text
    if text.isascii() and "\\x" not in text:
        return path
    found = Path(path.anchor)
    for index, part in enumerate(parts := path.parts[1:]):
        here = _find_part(found, part)
        if here is None:
            return found.joinpath(*parts[index:])
        found = here
    return found


def _find_part(directory: Path, part: str) -> Path | None:
    """The entry that ``part`` means; ``None`` if there is none."""
    literal = true_name(part)
    for name in (part, literal):
        if os.path.lexists(directory / name):
            return directory / name
    if literal.isascii():
        return None
    try:
        names = [entry.name for entry in directory.iterdir()]
    except OSError:
        return None
    wanted = unicodedata.normalize("NFC", literal)
    alike = [name for name in names if unicodedata.normalize("NFC", name) == wanted]
    if len(alike) > 1:
        raise ToolFailed(f"{len(alike)} names in {directory} differ from {part} only in their form")
    return directory / alike[0] if alike else None


def _escape(found: re.Match[str]) -> str:
    return "".join(f"\\x{byte:02x}" for byte in found[0].encode("utf-8", "surrogateescape"))
