"""How the text of a file is encoded: by its mark, by what it says of itself, else by statistics.

In this order: a byte order mark; UTF-16 and UTF-32 without one; valid UTF-8; UTF-8 with few invalid
bytes; what the file declares (PEP 263, XML, HTML, CSS); what the caller knows, such as
``.editorconfig``; what chardet finds. A declaration that does not fit the bytes is ignored.

Of a text that is ASCII so far, the declaration says how more would be written.
"""

from __future__ import annotations

import codecs
import re

import msgspec

HEAD_BYTES = 64 << 10
"""How much of the beginning of a longer text is enough to tell. A text of just this length may end
in the middle of a character."""

_SNIFFED_BYTES = 8192
_MAX_CONTROLS = 0.02
_DECLARED_BYTES = 1024
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16: its mark begins with that one
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_WIDE = ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")
_WIDER = {
    "gb2312": ("gb18030",),
    "gbk": ("gb18030",),
    "shift_jis": ("cp932",),
    "shift_jis_2004": ("cp932", "shift_jis_2004"),
    "euc_jis_2004": ("euc_jp", "euc_jis_2004"),
    "euc_kr": ("cp949",),
    "big5": ("cp950", "big5hkscs"),
    "big5hkscs": ("cp950", "big5hkscs"),
}
"""What programs write where they say the first, in the order to try."""
_DECLARATIONS = (
    (re.compile(rb"\A(?:[^\n]*\n)?[ \t\f]*#[^\n]*?coding[:=][ \t]*([-\w.]+)"), "its coding line"),
    (re.compile(rb"\A\s*<\?xml[^>]*?encoding\s*=\s*[\"']([-\w.]+)"), "its XML declaration"),
    (re.compile(rb"\A\s*@charset\s+\"([-\w.]+)\""), "its @charset"),
    (re.compile(rb"<meta[^>]*?charset\s*=\s*[\"']?([-\w.]+)", re.IGNORECASE), "its <meta> tag"),
)
_SHOWN = {
    "cp932": "shift_jis",
    "euc_jp": "euc-jp",
    "cp949": "euc-kr",
    "cp950": "big5",
    "big5hkscs": "big5-hkscs",
    "cp866": "ibm866",
}
_ASCII = "".join(map(chr, range(32, 127)))
_NOT_OF_FILES = ("iso2022", "hz", "utf-7", "punycode", "idna", "raw", "unicode")
"""Beginnings of codecs that change their meaning within a text, or are about something else."""
_LATIN = {
    *("cp1250", "cp1252", "cp1254", "cp1257", "cp1258", "iso8859-1", "iso8859-2", "iso8859-3"),
    *("iso8859-4", "iso8859-9", "iso8859-10", "iso8859-13", "iso8859-14", "iso8859-15"),
    "iso8859-16",
}
_MAX_ACCENTS = 2
_BEFORE_FIRST_BYTES = 1000
_HIGH_BYTES = bytes(range(0x80, 0x100))
_HIGH = re.compile(rb"[\x80-\xff]+")
_BESIDE_LETTERS = re.compile(rb"[A-Za-z][\x80-\xff]|[\x80-\xff](?=[A-Za-z])")
_CONTROLS = bytes(set(range(32)) - {*b"\t\n\r\f\b\x1a\x1b"})


class Encoding(msgspec.Struct, frozen=True):
    """How the text of a file is encoded: ``name`` is a codec of Python. ``mark`` is the byte order
    mark, ``newline`` the most common line ending. ``declared_by``: what names the encoding."""

    name: str
    mark: bytes = b""
    newline: str = "\n"
    declared_by: str = ""

    @property
    def width(self) -> int:
        """Bytes of one code unit: a character begins only at a multiple of it."""
        return {"utf-16": 2, "utf-32": 4}.get(self.name[:6], 1)

    @property
    def shown(self) -> str:
        """The name that people, and ripgrep, know."""
        name = self.name.replace("cp125", "windows-125").replace("iso8859", "iso-8859")
        return _SHOWN.get(name, name)

    def encode(self, text: str) -> bytes:
        """The bytes of ``text`` in this encoding, without the mark.

        Raises:
            UnicodeEncodeError: the encoding lacks a character.
        """
        return text.encode(self.name)

    def decode(self, data: bytes) -> str:
        """The text of a file, for reading; invalid bytes become U+FFFD."""
        return data.removeprefix(self.mark).decode(self.name, "replace")

    def is_valid(self, data: bytes) -> bool:
        """Whether ``data`` has no byte that is invalid in this encoding."""
        return _decodes(data.removeprefix(self.mark), self.name)


def detect(data: bytes, known: tuple[str, str] = ("", "")) -> Encoding:
    """The encoding of ``data``: a text, or the first `HEAD_BYTES` of one.

    ``known`` is an encoding that something outside of the file names, and what that is.
    """
    mark, name = next(((m, n) for m, n in _MARKS if data.startswith(m)), (b"", ""))
    declared_by = ""
    if not name:
        name, declared_by = _by_content(data, known)
    encoding = Encoding(name, mark, declared_by=declared_by)
    body = data.removeprefix(mark)
    crlf = body.count(encoding.encode("\r\n"))
    lf = body.count(encoding.encode("\n")) - crlf
    cr = body.count(encoding.encode("\r")) - crlf
    most = max((lf, "\n"), (crlf, "\r\n"), (cr, "\r"), key=lambda pair: pair[0])
    newline = most[1] if most[0] else "\n"
    return Encoding(name, mark, newline, declared_by)


def declared(data: bytes) -> tuple[str, str]:
    """The encoding that a text declares in its beginning, and how; both empty if it does not, or
    names one that cannot be used."""
    for pattern, by in _DECLARATIONS:
        if found := pattern.search(data[:_DECLARED_BYTES]):
            name = codec_of(found[1].decode("ascii", "replace"))
            return (name, by) if name else ("", "")
    return "", ""


def codec_of(label: str) -> str:
    """Python's codec for the name of an encoding; empty for one that is unknown, is not about text,
    or does not contain ASCII as it is."""
    try:
        name = codecs.lookup(label).name
        name = _WIDER.get(name, (name,))[0]
        is_plain = _ASCII.encode().decode(name) == _ASCII
    except (LookupError, UnicodeError, ValueError, TypeError, AttributeError):
        return ""
    if not is_plain or name.startswith(_NOT_OF_FILES):
        return ""
    return "utf-8" if name == "utf-8-sig" else name


def is_binary(data: bytes) -> bool:
    """Whether ``data`` is not text: it has a NUL near its start and is not UTF-16 or UTF-32, or too
    many control characters."""
    if any(data.startswith(mark) for mark, _ in _MARKS):
        return False
    start = data[:_SNIFFED_BYTES]
    if b"\0" in start:
        return not _wide(start)
    if _is_utf_8(start, is_cut=len(data) > len(start)):
        return False
    controls = len(start) - len(start.translate(None, _CONTROLS))
    return controls > len(start) * _MAX_CONTROLS


def _by_content(data: bytes, known: tuple[str, str]) -> tuple[str, str]:
    """The encoding of a text without a mark, and what names it."""
    says = [each for each in (declared(data), known) if each[0]]
    start = data[:_SNIFFED_BYTES]
    if b"\0" in start and (wide := _wide(start)):
        return wide, ""
    if data.isascii():
        return says[0] if says and says[0][0] not in _WIDE else ("utf-8", "")
    if _is_utf_8(data, is_cut=len(data) == HEAD_BYTES) or _is_mostly_utf_8(data):
        return "utf-8", ""
    for name, by in says:
        if name not in _WIDE and _decodes(data, name):
            return name, by
    return _by_statistics(data), ""


def _is_utf_8(data: bytes, *, is_cut: bool) -> bool:
    """Whether it is valid, except for a last character if it ``is_cut``."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return is_cut and error.reason == "unexpected end of data"
    return True


def _is_mostly_utf_8(data: bytes) -> bool:
    """Whether there are at least as many characters of UTF-8 as bytes that are not, which is rare
    in any other encoding."""
    text = data.decode("utf-8", "replace")
    broken = text.count("\ufffd")
    whole = len(text) - broken - len(data.translate(None, _HIGH_BYTES))
    return whole > 0 and whole >= broken


def _wide(start: bytes) -> str:
    """UTF-16 or UTF-32 without a mark: nothing else is text with NULs."""
    import unicodedata  # few files need it

    for name in _WIDE:
        width = 4 if name.startswith("utf-32") else 2
        if len(start) < 2 * width:
            continue
        try:
            text = start[: len(start) // width * width].decode(name)
        except UnicodeDecodeError as error:
            if error.reason != "unexpected end of data":
                continue
            text = start[: error.start].decode(name)
        plain = text.replace("\n", "").replace("\r", "").replace("\t", "")
        strange = any(unicodedata.category(each) in ("Cc", "Cn", "Co") for each in plain)
        if not strange and any(each.isascii() for each in text):
            return name
    return ""


def _by_statistics(data: bytes) -> str:
    """What chardet finds; windows-1252 for few accents between ASCII letters, of which statistics
    make anything."""
    first = _HIGH.search(data)
    around = data[max(0, first.start() - _BEFORE_FIRST_BYTES) if first else 0 :]
    sample = b"\n".join(line for line in around.split(b"\n") if not line.isascii())[:HEAD_BYTES]
    runs = _HIGH.findall(sample)
    if len(runs) > _MAX_ACCENTS or max(map(len, runs)) > 1:
        for name in _found_by_chardet(data if len(data) <= HEAD_BYTES else sample):
            beside = len(_BESIDE_LETTERS.findall(sample))
            if _is_of_one_byte(name) and name not in _LATIN and beside > len(runs) / 2:
                break  # letters of another script inside of Latin words
            if _decodes(data, name):
                return name
    return "cp1252" if _decodes(data, "cp1252") else "latin-1"


def _found_by_chardet(sample: bytes) -> tuple[str, ...]:
    import chardet  # 80 ms: only for what is not UTF-8

    eras = chardet.EncodingEra
    era = eras.MODERN_WEB | eras.LEGACY_ISO | eras.DOS
    found = chardet.detect(sample, encoding_era=era, compat_names=False)["encoding"]
    name = codecs.lookup(found).name if found else ""
    return _WIDER.get(name, (name,)) if name and name not in _WIDE else ()


def _is_of_one_byte(name: str) -> bool:
    return len(_HIGH_BYTES.decode(name, "replace")) == len(_HIGH_BYTES)


def _decodes(data: bytes, name: str) -> bool:
    try:
        data.decode(name)
    except UnicodeDecodeError as error:
        return error.end >= len(data) == HEAD_BYTES
    return True
