"""Replace one string in the bytes of a file and leave every other byte alone. Pure."""

from __future__ import annotations

import re

import msgspec

from qwen_code.tools.encodings import Encoding, detect
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.text import Decoded

_MAX_SHOWN_LINES = 12
_MAX_COMPARED_LINES = 4000
_MAX_COMPARED_CHARACTERS = 5000
_MAX_COMPARED_TEXT = 1_000_000
_MIN_LIKENESS = 0.6
_NEWLINES = re.compile("\r\n|\r|\n")
_UNITS = re.compile("\r\n|.", re.DOTALL)
_INVALID = (
    "\ufffd stands for bytes that are not valid text. They stay if the change leaves them and what "
    "is right beside them alone: use a shorter old_string."
)


class Edited(msgspec.Struct, frozen=True):
    """The new content, and the number of replacements."""

    data: bytes
    count: int


def replace(
    data: bytes, old: str, new: str, encoding: Encoding | None = None, *, replace_all: bool = False
) -> Edited:
    """``data`` with ``old`` replaced by ``new``, in the file's encoding.

    A newline in ``old`` matches any line ending. A newline in ``new`` becomes the line ending of
    the match, or the most common one of the file if the match has none. What ``old`` and ``new``
    have in common at their ends is left as it is, whatever its bytes are.

    Raises:
        ToolFailed: ``old`` is not found, is found more than once without ``replace_all``, is
            empty, or equals ``new``, or the encoding lacks a character; the message says what was
            found instead.
    """
    if not old:
        raise ToolFailed("old_string is empty. To create or replace a whole file, use write_file.")
    if _plain(old) == _plain(new):
        raise ToolFailed("old_string and new_string are the same, so nothing would change.")
    encoding = encoding or detect(data)
    decoded = Decoded(data, encoding)
    places = [found.span() for found in _pattern(old).finditer(decoded.text)]
    if not places:
        raise ToolFailed(_nearest(decoded.text, old))
    if len(places) > 1 and not replace_all:
        lines = ", ".join(str(decoded.text.count("\n", 0, start) + 1) for start, _ in places[:10])
        raise ToolFailed(
            f"old_string occurs {len(places)} times (lines {lines}). Include more of the lines "
            "around it to make it unique, or set replace_all."
        )
    return Edited(_replaced(data, decoded, places, _plain(new), encoding), len(places))


def unencodable(error: UnicodeEncodeError, encoding: Encoding) -> str:
    """Why a text cannot be written: the encoding, and the first character that it lacks."""
    character = error.object[error.start]
    return f"{encoding.shown} cannot represent {character!r} (U+{ord(character):04X})"


def _pattern(old: str) -> re.Pattern[str]:
    return re.compile(r"(?:\r\n|\n|\r)".join(re.escape(piece) for piece in _NEWLINES.split(old)))


def _replaced(
    data: bytes,
    decoded: Decoded,
    places: list[tuple[int, int]],
    new: str,
    encoding: Encoding,
) -> bytes:
    """``data`` with only those bytes changed that stand for other characters now."""
    is_valid = encoding.is_valid(data)
    pieces, wanted, last_byte, last = [], [], 0, 0
    for start, end in places:
        first, changed, stop = _changed(decoded.text[start:end], new, encoding.newline)
        first, stop = start + first, start + stop
        if "\ufffd" in changed and not is_valid:
            raise ToolFailed(_INVALID)
        first_byte, stop_byte = decoded.byte_of(first), decoded.byte_of(stop)
        if first_byte is None or stop_byte is None:
            raise ToolFailed("the change begins inside of a character; include the one before it")
        try:
            pieces += [data[last_byte:first_byte], encoding.encode(changed)]
        except UnicodeEncodeError as error:
            raise ToolFailed(f"{unencodable(error, encoding)}. {_way_out(encoding)}") from error
        wanted += [decoded.text[last:first], changed]
        last_byte, last = stop_byte, stop
    edited = b"".join([*pieces, data[last_byte:]])
    if Decoded(edited, encoding).text != "".join([*wanted, decoded.text[last:]]):
        raise ToolFailed(_INVALID)
    return edited


def _changed(found: str, new: str, usual_newline: str) -> tuple[int, str, int]:
    """The part of ``found`` that is not in ``new``: its start, what it becomes, and its end."""
    units = _UNITS.findall(found)
    plain = ["\n" if unit in ("\r\n", "\r") else unit for unit in units]
    shorter = min(len(plain), len(new))
    head = next((at for at in range(shorter) if plain[at] != new[at]), shorter)
    shorter -= head
    tail = next((at for at in range(shorter) if plain[-1 - at] != new[-1 - at]), shorter)
    newline = _newline_of(found) or usual_newline
    changed = new[head : len(new) - tail].replace("\n", newline)
    return (
        sum(map(len, units[:head])),
        changed,
        len(found) - sum(map(len, units[len(units) - tail :])),
    )


def _way_out(encoding: Encoding) -> str:
    if encoding.declared_by:
        return f"Use other characters, or change {encoding.declared_by}, which names the encoding."
    return "Use other characters, or convert the file to UTF-8: write all of it with write_file."


def _plain(text: str) -> str:
    return _NEWLINES.sub("\n", text)


def _newline_of(text: str) -> str | None:
    found = _NEWLINES.search(text)
    return found[0] if found else None


def _nearest(text: str, old: str) -> str:
    """Why nothing was found: what differs, or which lines are the most similar."""
    if len(old) > _MAX_COMPARED_CHARACTERS or len(text) > _MAX_COMPARED_TEXT:
        return "old_string was not found. Read the file again, and use fewer lines of it."
    lines = text.replace("\r\n", "\n").split("\n")
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
