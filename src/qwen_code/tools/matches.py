"""The lines that ripgrep finds, read again from the files themselves.

Ripgrep opens files by name, and a directory may have become a link to elsewhere for that moment: so
what it says is compared with the file in the workspace, and only what that holds is shown.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from io import BytesIO
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

import msgspec

from qwen_code.base.secret import redact_spans
from qwen_code.tools.encodings import HEAD_BYTES, Encoding, detect
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.ripgrep import place_below
from qwen_code.tools.workspace import Workspace

OPTIONS = (
    *("--line-number", "--column", "--byte-offset", "--with-filename", "--no-heading", "--null"),
    *("--sort=path", "--max-columns=200", "--max-columns-preview"),
)
"""What ripgrep is told, so that `found_lines` understands its output."""

MAX_LINE_LENGTH = 300
_BEFORE_MATCH = 100
_CONTEXT = 2000
"""Characters around the part of a line that is shown, in which a secret may begin or end."""
_MAX_COMPARED = 100
_MAX_DECODED_BYTES = 100_000_000
_MAX_PIECE_BYTES = 4 * (2 * _CONTEXT + MAX_LINE_LENGTH + _BEFORE_MATCH)
_RECORD = re.compile(
    rb"(?P<name>\./[^\0]*)\0(?P<number>\d+)(?::(?P<column>\d+):|-)(?P<offset>\d+)[:-]"
    rb"(?P<text>[^\n]*)\n|--\n"
)


class Line(msgspec.Struct, frozen=True):
    """A line of a file. ``column`` is the byte (from 1) in it at which the match begins, 0 for a
    line around a match. ``offset`` is the byte of the text at which it begins. ``number`` is 0 for
    the separator between groups of lines."""

    name: str = ""
    number: int = 0
    column: int = 0
    offset: int = 0
    start: bytes = b""


def found_lines(output: bytes) -> Iterator[Line]:
    """The lines of ripgrep's output, names of files relative to where it ran."""
    for found in _RECORD.finditer(output):
        if found["name"] is None:
            yield Line()
            continue
        yield Line(
            os.fsdecode(found["name"].removeprefix(b"./")),
            int(found["number"]),
            int(found["column"] or 0),
            int(found["offset"]),
            found["text"].rstrip(b"\r")[:_MAX_COMPARED],
        )


class Reader:
    """Shows lines that ripgrep has found below ``root``, as the files hold them."""

    def __init__(self, workspace: Workspace, root: Path) -> None:
        self._workspace = workspace
        self._root = root

    def shown(self, lines: Iterable[Line], encodings: dict[str, str]) -> Iterator[str]:
        """The lines as ``path:number:text`` (``-`` for those around a match), without secrets.
        ``encodings``: in which files are, if ripgrep was told. ``--`` is between groups."""
        has_shown = between = False
        for name, group in groupby(lines, key=lambda line: line.name):
            if not name:
                between = True
                continue
            for text in self._of_file([*group], encodings.get(name, "")):
                if between and has_shown:
                    yield "--"
                has_shown, between = True, False
                yield text

    def _of_file(self, lines: list[Line], encoding: str) -> Iterator[str]:
        place = place_below(self._root, lines[0].name)
        name = self._workspace.shown(place)
        try:
            with self._workspace.opened(place) as (file, size):
                text, known = _as_searched(file, size, encoding)
                for line in lines:
                    if (part := _part(text, line, known)) is not None:
                        sign = ":" if line.column else "-"
                        yield f"{name}{sign}{line.number}{sign}{part}"
        except ToolFailed:
            return


def _as_searched(file: BinaryIO, size: int, encoding: str) -> tuple[BinaryIO, Encoding]:
    """The bytes that ripgrep has counted, from the start of the text, and their encoding.

    Raises:
        ToolFailed: the file would have to be decoded, and is too large.
    """
    known = Encoding(encoding) if encoding else detect(file.read(HEAD_BYTES))
    if not encoding and known.width == 1:
        return file, known
    if size > _MAX_DECODED_BYTES:
        raise ToolFailed("too large")
    file.seek(0)
    text = known.decode(file.read(_MAX_DECODED_BYTES))
    return BytesIO(text.encode("utf-8", "replace")), Encoding("utf-8")


def _part(text: BinaryIO, line: Line, encoding: Encoding) -> str | None:
    """The part of a line around its match; ``None`` if there is another line by now."""
    first = len(encoding.mark) + line.offset
    text.seek(first)
    if not text.read(_MAX_COMPARED).startswith(line.start):
        return None
    skipped = max(0, line.column - 1 - _BEFORE_MATCH - _CONTEXT)
    text.seek(first + skipped)
    body, newline, _ = text.read(_MAX_PIECE_BYTES).partition(b"\n")
    before = body[: max(0, line.column - 1 - skipped)].decode(encoding.name, "replace")
    shown = body.decode(encoding.name, "replace").rstrip("\r")
    start = max(0, len(before) - _BEFORE_MATCH)
    if not skipped and len(shown) <= MAX_LINE_LENGTH:
        start = 0
    end = min(len(shown), start + MAX_LINE_LENGTH)
    head = "[…] " if skipped or start else ""
    is_cut = end < len(shown) or (not newline and len(body) > _CONTEXT)
    return f"{head}{redact_spans(shown, [(start, end)])[0]}{' […]' if is_cut else ''}"
