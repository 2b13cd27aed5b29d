"""Replace one string in the bytes of a file and leave every other byte alone. Pure."""

from __future__ import annotations

import re

import msgspec

from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.text import Encoding, sniff

_MAX_SHOWN_LINES = 12
_MAX_COMPARED_LINES = 4000
_MAX_COMPARED_CHARACTERS = 5000
_MAX_COMPARED_BYTES = 1_000_000
_MIN_LIKENESS = 0.6
_NEWLINES = re.compile("\r\n|\r|\n")


class Edited(msgspec.Struct, frozen=True):
    """The new content, and the number of replacements."""

    data: bytes
    count: int


def replace(data: bytes, old: str, new: str, *, replace_all: bool = False) -> Edited:
    """``data`` with ``old`` replaced by ``new``.

    A newline in ``old`` matches any line ending. A newline in ``new`` becomes the line ending of
    the match, or the most common one of the file if the match has none.

    Raises:
        ToolFailed: ``old`` is not found, is found more than once without ``replace_all``, is
            empty, or equals ``new``; the message says what was found instead.
    """
    if not old:
        raise ToolFailed("old_string is empty. To create or replace a whole file, use write_file.")
    if _plain(old) == _plain(new):
        raise ToolFailed("old_string and new_string are the same, so nothing would change.")
    encoding = sniff(data)
    try:
        places = _find(data, old, encoding)
    except UnicodeEncodeError:
        places = []
    if not places:
        raise ToolFailed(_nearest(data, old, encoding))
    if len(places) > 1 and not replace_all:
        lines = ", ".join(str(_line_of(data, start, encoding)) for start, _ in places[:10])
        raise ToolFailed(
            f"old_string occurs {len(places)} times (lines {lines}). Include more of the lines "
            "around it to make it unique, or set replace_all."
        )
    return Edited(_replaced(data, places, new, encoding), len(places))


def _find(data: bytes, old: str, encoding: Encoding) -> list[tuple[int, int]]:
    """Start and end of each match, from left to right, without overlap."""
    pieces = _NEWLINES.split(old)
    newline = b"|".join(re.escape(encoding.encode(text)) for text in ("\r\n", "\n", "\r"))
    pattern = (b"(?:" + newline + b")").join(re.escape(encoding.encode(piece)) for piece in pieces)
    found, at, offset = [], len(encoding.mark), len(encoding.mark) % encoding.width
    compiled = re.compile(pattern, re.DOTALL)
    while match := compiled.search(data, at):
        if (match.start() - offset) % encoding.width:
            at = match.start() + 1  # in the middle of a character
            continue
        found.append(match.span())
        at = max(match.end(), match.start() + 1)
    return found


def _replaced(data: bytes, places: list[tuple[int, int]], new: str, encoding: Encoding) -> bytes:
    pieces, last = [], 0
    for start, end in places:
        newline = _newline_of(encoding.decode(data[start:end])) or encoding.newline
        try:
            text = encoding.encode(_plain(new).replace("\n", newline))
        except UnicodeEncodeError as error:
            character = error.object[error.start]
            raise ToolFailed(
                f"the encoding of the file ({encoding.name}) cannot represent {character!r}"
            ) from error
        pieces += [data[last:start], text]
        last = end
    return b"".join([*pieces, data[last:]])


def _plain(text: str) -> str:
    return _NEWLINES.sub("\n", text)


def _newline_of(text: str) -> str | None:
    found = _NEWLINES.search(text)
    return found[0] if found else None


def _line_of(data: bytes, offset: int, encoding: Encoding) -> int:
    return _plain(encoding.decode(data[:offset])).count("\n") + 1


def _nearest(data: bytes, old: str, encoding: Encoding) -> str:
    """Why nothing was found: what differs, or which lines are the most similar."""
    if len(old) > _MAX_COMPARED_CHARACTERS or len(data) > _MAX_COMPARED_BYTES:
        return "old_string was not found. Read the file again, and use fewer lines of it."
    lines = _plain(encoding.decode(data)).split("\n")
    wanted = _plain(old).split("\n")
    if spot := _differs_in_blanks(lines, wanted):
        first, shown = spot
        return (
            f"old_string was not found, but lines {first}–{first + len(wanted) - 1} differ from it "
            f"only in whitespace:\n{shown}"
        )
    likeness, first = _most_alike(lines, wanted)
    if likeness >= _MIN_LIKENESS:
        shown = _shown(lines[first : first + len(wanted)])
        return (
            f"old_string was not found. The most similar lines are {first + 1}–"
            f"{min(first + len(wanted), len(lines))}:\n{shown}"
        )
    return "old_string was not found, and nothing is similar to it. Read the file again."


def _differs_in_blanks(lines: list[str], wanted: list[str]) -> tuple[int, str] | None:
    bare = ["".join(line.split()) for line in wanted]
    if not any(bare):
        return None
    for first in range(len(lines) - len(wanted) + 1):
        window = lines[first : first + len(wanted)]
        if ["".join(line.split()) for line in window] == bare:
            return first + 1, _shown(window)
    return None


def _most_alike(lines: list[str], wanted: list[str]) -> tuple[float, int]:
    """The similarity of the most similar lines (0 to 1), and the index of the first."""
    from difflib import SequenceMatcher  # only for a string that is not there

    best, where = 0.0, 0
    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2("\n".join(wanted))
    for first in range(min(len(lines), _MAX_COMPARED_LINES)):
        matcher.set_seq1("\n".join(lines[first : first + len(wanted)]))
        if matcher.real_quick_ratio() > best and matcher.quick_ratio() > best:
            ratio = matcher.ratio()
            if ratio > best:
                best, where = ratio, first
    return best, where


def _shown(lines: list[str]) -> str:
    cut = lines[:_MAX_SHOWN_LINES]
    return "\n".join(cut) + ("\n…" if len(lines) > len(cut) else "")
