"""The text of a ``.env`` file as pairs with line numbers. Pure: no files, no environment.

The syntax is ``python-dotenv``'s without interpolation, so a ``$`` in a key stays a ``$``.
"""

from __future__ import annotations

import codecs
import io
import re

import msgspec

# Patterns are compiled by their first use: most runs find no file.
_NEWLINE = r"\r\n|\n|\r"
_UNUSABLE = "[\x00\udc80-\udcff]"
"""NUL, and what ``surrogateescape`` makes of bytes that are not UTF-8."""
_MAX_BLANK_LENGTH = 256
"""The parser's time grows with the square of the number of blanks in a row; real files have few."""
_MAX_PROBLEMS = 20
"""With more problems than this, it is probably another kind of file."""
_BLANK = r"[^\S\r\n]{2,}+"


class Pair(msgspec.Struct, frozen=True):
    """A variable as the file sets it. ``line`` counts from 1; ``repr`` leaves the value out."""

    name: str
    value: str
    line: int

    def __repr__(self) -> str:
        return f"Pair({self.name}, line {self.line})"


class Problem(msgspec.Struct, frozen=True):
    """What is wrong with a file; ``line`` is ``None`` if the problem is the file as a whole.

    ``message`` never quotes the file, because the broken line can be the secret.
    """

    line: int | None
    message: str


class ParsedDotenv(msgspec.Struct, frozen=True):
    """What a file sets, line by line (the last line of a name wins), and its problems."""

    pairs: tuple[Pair, ...]
    problems: tuple[Problem, ...]


def parse(data: bytes) -> ParsedDotenv:
    """Read ``data``: UTF-8 with or without BOM, any line ends, ``export`` accepted."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return ParsedDotenv((), (Problem(1, "the file is UTF-16; save it as UTF-8"),))
    text = data.decode("utf-8-sig", "surrogateescape")
    for blank in re.finditer(_BLANK, text):
        if blank.end() - blank.start() > _MAX_BLANK_LENGTH:
            line = 1 + _count_lines(text[: blank.start()])
            return ParsedDotenv((), (Problem(line, "hundreds of blanks in a row"),))
    return _parse_text(text)


def _parse_text(text: str) -> ParsedDotenv:
    from dotenv.parser import (
        parse_stream,  # 20 ms to import, and most runs find no file
    )

    pairs: list[Pair] = []
    problems: list[Problem] = []
    line, counted, offset = 1, 0, 0
    for binding in parse_stream(io.StringIO(text, newline="")):
        written = binding.original.string
        start = offset + len(written) - len(written.lstrip())
        line += _count_lines(text[counted:start])
        counted, offset = start, offset + len(written)
        if unusable := re.search(_UNUSABLE, written):
            bad = line + _count_lines(text[start : offset - len(written) + unusable.start()])
            problems.append(Problem(bad, "a byte that is not UTF-8 text"))
        elif binding.error:
            problems.append(Problem(line, "not NAME=value (is a quote left open?)"))
        elif binding.key is not None and binding.value is None:
            problems.append(Problem(line, "there is no = after the name"))
        elif binding.key is not None and binding.value is not None:
            pairs.append(Pair(binding.key, binding.value, line))
    return ParsedDotenv(tuple(pairs), tuple(problems[:_MAX_PROBLEMS]))


def _count_lines(text: str) -> int:
    return len(re.findall(_NEWLINE, text))
