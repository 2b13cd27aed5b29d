"""Text files as bytes: their encoding, byte order mark and line endings.

Changes are made on the bytes and not on decoded text, so everything else in a file stays the same.
"""

from __future__ import annotations

import codecs

import msgspec

_SNIFFED_BYTES = 8192
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16: its mark begins with that one
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class Encoding(msgspec.Struct, frozen=True):
    """How the text of a file is encoded. ``mark`` is the byte order mark, ``newline`` the most
    common line ending."""

    name: str
    mark: bytes = b""
    newline: str = "\n"

    @property
    def width(self) -> int:
        """Bytes of one code unit: a match may begin only at a multiple of it."""
        return {"utf-16": 2, "utf-32": 4}.get(self.name[:6], 1)

    def encode(self, text: str) -> bytes:
        """The bytes of ``text`` in this encoding, without the mark.

        Raises:
            UnicodeEncodeError: the encoding lacks a character.
        """
        return text.encode(self.name, "surrogateescape" if self.name == "utf-8" else "strict")

    def decode(self, data: bytes) -> str:
        """The text of a file, for reading; invalid bytes become U+FFFD."""
        return data.removeprefix(self.mark).decode(self.name, "replace")


def sniff(data: bytes) -> Encoding:
    """The encoding of ``data``: by its mark, else UTF-8 if it is valid, else Latin-1.

    The newline is the one that most lines end in.
    """
    name, mark = "utf-8", b""
    for known, of in _MARKS:
        if data.startswith(known):
            name, mark = of, known
            break
    else:
        try:
            data.decode()
        except UnicodeDecodeError as error:
            # A few invalid bytes in UTF-8 do not make it another encoding.
            valid_bytes = data[: error.start].isascii()
            name = "latin-1" if valid_bytes and not _looks_like_utf8(data) else "utf-8"
    encoding = Encoding(name, mark)
    body = data.removeprefix(mark)
    crlf = body.count(encoding.encode("\r\n"))
    lf = body.count(encoding.encode("\n")) - crlf
    cr = body.count(encoding.encode("\r")) - crlf
    most = max((lf, "\n"), (crlf, "\r\n"), (cr, "\r"), key=lambda pair: pair[0])
    return Encoding(name, mark, most[1] if most[0] else "\n")


def is_binary(data: bytes) -> bool:
    """Whether ``data`` is not text: it has a NUL near its start, and no byte order mark."""
    if any(data.startswith(mark) for mark, _ in _MARKS):
        return False
    return b"\0" in data[:_SNIFFED_BYTES]


def _looks_like_utf8(data: bytes) -> bool:
    """Whether most non-ASCII bytes are part of valid UTF-8."""
    high = sum(byte >= 0x80 for byte in data)
    broken = data.decode("utf-8", "replace").count("\ufffd")
    return broken * 4 < high


def counted(number: int, noun: str, plural: str = "") -> str:
    """``1 line``, ``2 lines``."""
    return f"{number} {noun}" if number == 1 else f"{number} {plural or noun + 's'}"
