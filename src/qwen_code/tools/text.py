"""Text with offsets of bytes, and words about numbers.

A line ends at a newline, as for ripgrep, git and compilers; no other character ends one. Changes
are made on the bytes, so everything else in a file stays as it is.
"""

from __future__ import annotations

from bisect import bisect_right
from codecs import getincrementaldecoder
from collections.abc import Iterator

from qwen_code.tools.encodings import Encoding

_MAX_PENDING_BYTES = 5
"""A decoder waits for so many bytes at most before it says that the first is invalid."""


class Decoded:
    """The text of a file, and where in its bytes each character begins.

    Lines are decoded one by one, so what is invalid in one costs nothing beyond it.
    """

    def __init__(self, data: bytes, encoding: Encoding) -> None:
        self._data = data
        self._encoding = encoding
        self._bytes_at: list[int] = []
        self._characters_at: list[int] = []
        pieces, at = [], 0
        for start, end in _lines(data, encoding):
            self._bytes_at.append(start)
            self._characters_at.append(at)
            pieces.append(data[start:end].decode(encoding.name, "replace"))
            at += len(pieces[-1])
        self.text = "".join(pieces)

    def byte_of(self, index: int) -> int | None:
        """The offset of the byte at which the character ``index`` begins; ``None`` if it begins
        inside of what the encoding writes as one."""
        if not self._bytes_at:
            return len(self._encoding.mark)
        line = bisect_right(self._characters_at, index) - 1
        start, first = self._bytes_at[line], self._characters_at[line]
        before = self.text[first:index]
        try:
            encoded = self._encoding.encode(before)
        except UnicodeEncodeError:
            pass
        else:
            if self._data.startswith(encoded, start):
                return start + len(encoded)
        is_last = line + 1 == len(self._bytes_at)
        end = len(self._data) if is_last else self._bytes_at[line + 1]
        after = self.text[index : None if is_last else self._characters_at[line + 1]]
        return self._searched(self._data[start:end], start, before, after)

    def _searched(self, line: bytes, start: int, before: str, after: str) -> int | None:
        """Where to split a line that is not what its text is encoded to."""
        name = self._encoding.name
        decoder = getincrementaldecoder(name)("replace")
        count = at = 0
        while count < len(before) and at < len(line):
            at += 1
            count += len(decoder.decode(line[at - 1 : at], final=at == len(line)))
        for end in range(at, max(-1, at - _MAX_PENDING_BYTES), -1):
            pieces = line[:end].decode(name, "replace"), line[end:].decode(name, "replace")
            if pieces == (before, after):
                return start + end
        return None


def _lines(data: bytes, encoding: Encoding) -> Iterator[tuple[int, int]]:
    """Start and end of each line, with its newline."""
    newline, width = encoding.encode("\n"), encoding.width
    first = start = at = len(encoding.mark)
    while (found := data.find(newline, at)) != -1:
        at = found + 1
        if (found - first) % width == 0:
            at = found + width
            yield start, at
            start = at
    if start < len(data):
        yield start, len(data)


def counted(number: int, noun: str, plural: str = "") -> str:
    """``1 line``, ``2 lines``."""
    return f"{number} {noun}" if number == 1 else f"{number} {plural or noun + 's'}"
