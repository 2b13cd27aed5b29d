"""A part of a text file, in bounded memory: some of its lines, or a piece of one long line."""

from __future__ import annotations

from codecs import getincrementaldecoder
from typing import BinaryIO

import msgspec

from qwen_code.base.secret import redact_spans
from qwen_code.base.stop import Stop
from qwen_code.tools.encodings import Encoding, detect
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.text import counted

MAX_LINES = 2000
MAX_LINE_LENGTH = 2000
MAX_PIECE_LENGTH = 20_000

_KEPT_BYTES = 4 * (MAX_LINE_LENGTH + 1000)
_CONTEXT = 4096
"""Characters (or bytes) around a part in which a secret may begin or end."""
_CHUNK_BYTES = 1 << 20
_NEWLINE = 10
_MAX_COUNTED_BYTES = 1 << 30


class Wanted(msgspec.Struct, frozen=True):
    """Which part: lines from ``offset`` (from 1), or the characters of that line from ``column``,
    unless that is 1."""

    offset: int = 1
    limit: int = MAX_LINES
    column: int = 1


class Part(msgspec.Struct, frozen=True):
    """The text with a note of where it is, its summary, and the encoding it was read in."""

    text: str
    summary: str
    encoding: Encoding


_Line = tuple[bytes, int]
"""The beginning of a line, and its length in bytes."""


def read_part(
    file: BinaryIO, size: int, encoding: Encoding, wanted: Wanted, stop: Stop, *, is_whole: bool
) -> Part:
    """The part of a file whose encoding contains ASCII as it is. ``is_whole``: the encoding was
    found by all of the file; else by its beginning, and what is read may correct it.

    Raises:
        ToolFailed: there is no such line or column; the message says how many there are.
        Stopped: ``stop`` was set.
    """
    start = _skip(file, len(encoding.mark), wanted.offset - 1, stop)
    file.seek(start)
    if size <= len(encoding.mark):
        return Part("(the file is empty)", "empty", encoding)
    if not file.read(1):
        there = counted(_rest(file, len(encoding.mark), stop), "line")
        raise ToolFailed(f"the file has {there}; there is no line {wanted.offset}")
    if wanted.column > 1:
        return _piece(file, start, encoding, wanted, stop)
    lines = _lines(file, start, min(wanted.limit, MAX_LINES), stop)
    if not is_whole and encoding.name == "utf-8":
        raw = b"".join(beginning for beginning, _ in lines)
        encoding = encoding if encoding.is_valid(raw) else detect(raw)
    end = file.tell()
    text = _shown(_context(file, start), lines, encoding, wanted.offset)
    first, last = wanted.offset, wanted.offset + len(lines) - 1
    if first == 1 and end >= size:
        return Part(text, counted(last, "line"), encoding)
    total = last + _rest(file, end, stop) if size <= _MAX_COUNTED_BYTES else None
    where = f"lines {first}–{last} of {f'a file of {size:,} bytes' if total is None else total}"
    way_on = f"; continue with offset={last + 1}" if end < size else ""
    return Part(f"{text}\n[{where}{way_on}]", where, encoding)


def _skip(file: BinaryIO, start: int, left: int, stop: Stop) -> int:
    """Where the line after ``left`` others begins; the end of the file if there is none."""
    file.seek(start)
    while left and (chunk := file.read(_CHUNK_BYTES)):
        stop.check()
        found = chunk.count(b"\n")
        if found < left:
            left, start = left - found, start + len(chunk)
            continue
        at = 0
        for _ in range(left):
            at = chunk.index(b"\n", at) + 1
        return start + at
    return start


def _lines(file: BinaryIO, start: int, limit: int, stop: Stop) -> list[_Line]:
    file.seek(start)
    lines: list[_Line] = []
    while len(lines) < limit and (line := file.readline(_KEPT_BYTES)):
        size = len(line)
        if line[-1] != _NEWLINE:
            end = line
            while not end.endswith(b"\n") and (end := file.readline(_CHUNK_BYTES)):
                stop.check()
                size += len(end)
        lines.append((line, size))
    return lines


def _context(file: BinaryIO, start: int) -> bytes:
    first = max(0, start - _CONTEXT)
    file.seek(first)
    return file.read(start - first)


def _rest(file: BinaryIO, at: int, stop: Stop) -> int:
    """How many lines begin at ``at`` or later."""
    file.seek(at)
    count, last = 0, b"\n"
    while chunk := file.read(_CHUNK_BYTES):
        stop.check()
        count += chunk.count(b"\n")
        last = chunk[-1:]
    return count + (last != b"\n")


def _shown(context: bytes, lines: list[_Line], encoding: Encoding, first: int) -> str:
    """The lines without secrets, those that reach over a cut included."""
    before, name = context.decode(encoding.name, "replace"), encoding.name
    texts = [beginning.decode(name, "replace") for beginning, _ in lines]
    if max(map(len, texts)) <= MAX_LINE_LENGTH:  # as in most files
        whole = before + "".join(texts)
        return redact_spans(whole, [(len(before), len(whole))])[0]
    spans, notes = [], []
    begin = at = len(before)
    for index, text in enumerate(texts):
        beginning, size = lines[index]
        if size > len(beginning) or len(text) > MAX_LINE_LENGTH + text.endswith("\n"):
            spans.append((begin, at + MAX_LINE_LENGTH))
            notes.append(
                f"… [cut: the line has {size:,} bytes; continue with offset={first + index}, "
                f"column={MAX_LINE_LENGTH + 1}]\n"
            )
            begin = at + len(text)
        at += len(text)
    shown = redact_spans(before + "".join(texts), [*spans, (begin, at)])
    return "".join(text + note for text, note in zip(shown, [*notes, ""], strict=True))


def _piece(file: BinaryIO, start: int, encoding: Encoding, wanted: Wanted, stop: Stop) -> Part:
    first = wanted.column - 1
    last, skip = first + MAX_PIECE_LENGTH, max(0, first - _CONTEXT)
    file.seek(start)
    decoder = getincrementaldecoder(encoding.name)("replace")
    text, count, is_over = "", 0, False
    while not is_over and count < last + _CONTEXT:
        stop.check()
        chunk = file.readline(_CHUNK_BYTES)
        is_over = not chunk or chunk.endswith(b"\n")
        piece = decoder.decode(chunk, final=is_over)
        text += piece[max(0, skip - count) :]
        count += len(piece)
    text = text.removesuffix("\n")
    if first >= skip + len(text):
        raise ToolFailed(f"line {wanted.offset} ends before column {wanted.column}")
    last = min(last, skip + len(text))
    (shown,) = redact_spans(text, [(first - skip, last - skip)])
    is_end = is_over and last == skip + len(text)
    way_on = (
        f"the line ends here; the next is offset={wanted.offset + 1}"
        if is_end
        else f"continue with offset={wanted.offset}, column={last + 1}"
    )
    where = f"line {wanted.offset}, characters {first + 1}–{last}"
    return Part(f"{shown}\n[{where}; {way_on}]", where, encoding)
