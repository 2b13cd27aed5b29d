"""What a file is by its bytes, whatever its name says, and whether a picture can be sent.

Providers reject a request with a picture that they cannot decode, and then every later one of the
conversation. So what is broken or too large is an error of the call.
"""

from __future__ import annotations

import re
import zlib
from typing import Literal

import msgspec

MAX_BASE64_BYTES = 5_000_000
MAX_PICTURE_BYTES = MAX_BASE64_BYTES * 3 // 4
"""The smallest limit that providers have is 5 MB, in base64."""
MAX_SIDE_PIXELS = 8000


class Media(msgspec.Struct, frozen=True):
    """What a file is: ``name`` in words. ``media_type`` only of what can be sent to a model."""

    kind: Literal["picture", "pdf", "other"]
    name: str
    media_type: str = ""


_PDF = Media("pdf", "a PDF document", "application/pdf")
_BEGINNINGS: tuple[tuple[bytes, Media], ...] = (
    (b"\x89PNG\r\n\x1a\n", Media("picture", "a PNG picture", "image/png")),
    (b"\xff\xd8\xff", Media("picture", "a JPEG picture", "image/jpeg")),
    (b"GIF87a", Media("picture", "a GIF picture", "image/gif")),
    (b"GIF89a", Media("picture", "a GIF picture", "image/gif")),
    (b"II*\0", Media("picture", "a TIFF picture")),
    (b"MM\0*", Media("picture", "a TIFF picture")),
    (b"\0\0\1\0", Media("picture", "an icon (ICO)")),
    (b"8BPS", Media("picture", "a Photoshop picture")),
    (b"%PDF-", _PDF),
    (b"ID3", Media("other", "an MP3 audio file")),
    (b"\xff\xfb", Media("other", "an MP3 audio file")),
    (b"fLaC", Media("other", "a FLAC audio file")),
    (b"OggS", Media("other", "an Ogg audio or video file")),
    (b"\x1aE\xdf\xa3", Media("other", "a Matroska or WebM video")),
    (b"FLV\1", Media("other", "a Flash video")),
    (b"PK\3\4", Media("other", "a zip archive (also: docx, xlsx, jar, whl)")),
    (b"\x1f\x8b", Media("other", "data compressed with gzip")),
    (b"BZh", Media("other", "data compressed with bzip2")),
    (b"\xfd7zXZ\0", Media("other", "data compressed with xz")),
    (b"\x28\xb5\x2f\xfd", Media("other", "data compressed with zstd")),
    (b"7z\xbc\xaf\x27\x1c", Media("other", "a 7z archive")),
    (b"Rar!\x1a\x07", Media("other", "a RAR archive")),
    (b"SQLite format 3\0", Media("other", "an SQLite database")),
    (b"\x7fELF", Media("other", "a program or library (ELF)")),
    (b"\0asm", Media("other", "a WebAssembly module")),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Media("other", "an old Office document")),
)
_RIFF = {
    b"WEBP": Media("picture", "a WebP picture", "image/webp"),
    b"WAVE": Media("other", "a WAVE audio file"),
    b"AVI ": Media("other", "an AVI video"),
}
_BRANDS = {
    b"heic": Media("picture", "a HEIC picture"),
    b"heix": Media("picture", "a HEIC picture"),
    b"mif1": Media("picture", "a HEIF picture"),
    b"avif": Media("picture", "an AVIF picture"),
    b"M4A ": Media("other", "an MPEG-4 audio file"),
}
_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)


def media_of(head: bytes) -> Media | None:
    """What a file is that begins with ``head``; ``None`` if it may be text."""
    for beginning, media in _BEGINNINGS:
        if head.startswith(beginning):
            is_text = media.kind == "other" and len(beginning) < 4 and _is_ascii_text(head)
            return None if is_text else media
    if head[:4] == b"RIFF" and head[8:12] in _RIFF:
        return _RIFF[head[8:12]]
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], Media("other", "an MPEG-4 or QuickTime video"))
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return Media("picture", "a BMP picture")
    is_late_pdf = b"%PDF-" in head[:1024] and b"endobj" in head and not _is_ascii_text(head)
    return _PDF if is_late_pdf else None


def problem_of(media: Media, data: bytes) -> str:
    """Why a picture cannot be sent to a model, and the way out; empty if it can."""
    if not media.media_type:
        return f"models do not take this format. Convert it: {_convert('picture.png')}"
    if len(data) > MAX_PICTURE_BYTES:
        return (
            f"it has {len(data):,} bytes, and providers take up to {MAX_PICTURE_BYTES:,}. Make it "
            f"smaller: {_convert('-resize 1568x1568> small.jpg')}"
        )
    size = picture_size(media, data)
    if size is None:
        return "it is broken or not complete. file and hexdump -C show what it holds"
    if max(size) > MAX_SIDE_PIXELS:
        return (
            f"it has {size[0]}×{size[1]} pixels, and providers take up to {MAX_SIDE_PIXELS} a side."
            f" Make it smaller: {_convert('-resize 1568x1568> small.png')}"
        )
    return ""


def picture_size(media: Media, data: bytes) -> tuple[int, int] | None:
    """Width and height in pixels; ``None`` if the picture is broken or not complete."""
    try:
        size = {
            "image/png": _png_size,
            "image/jpeg": _jpeg_size,
            "image/gif": _gif_size,
            "image/webp": _webp_size,
        }[media.media_type](data)
    except IndexError:
        return None
    return size if size and min(size) > 0 else None


def _convert(rest: str) -> str:
    return f"magick FILE '{rest}'" if ">" in rest else f"magick FILE {rest}"


def _is_ascii_text(head: bytes) -> bool:
    return head.isascii() and b"\0" not in head


def _big(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _png_size(data: bytes) -> tuple[int, int] | None:
    at, has_pixels = 8, False
    while at + 12 <= len(data):
        length, kind = _big(data[at : at + 4]), data[at + 4 : at + 8]
        end = at + 12 + length
        if end > len(data):
            return None
        is_critical = not data[at + 4] & 0x20  # decoders pass over the other chunks (PNG §5.4)
        if is_critical and zlib.crc32(data[at + 4 : end - 4]) != _big(data[end - 4 : end]):
            return None
        has_pixels = has_pixels or kind == b"IDAT"
        if kind == b"IEND":
            is_whole = has_pixels and data[12:16] == b"IHDR"
            return (_big(data[16:20]), _big(data[20:24])) if is_whole else None
        at = end
    return None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    at, size = 2, None
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker == 0xDA:  # pixels follow, up to the end of the picture
            return size if data.find(b"\xff\xd9", at) != -1 else None
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            size = _big(data[at + 7 : at + 9]), _big(data[at + 5 : at + 7])
        at += 2 + _big(data[at + 2 : at + 4])
    return None


def _gif_size(data: bytes) -> tuple[int, int] | None:
    is_whole = data.rstrip(b"\0").endswith(b";") and re.search(rb"[,]", data[13:]) is not None
    return (_little(data[6:8]), _little(data[8:10])) if is_whole else None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    if _little(data[4:8]) + 8 > len(data):
        return None
    kind = data[12:16]
    if kind == b"VP8X":
        return _little(data[24:27]) + 1, _little(data[27:30]) + 1
    if kind == b"VP8L":
        bits = _little(data[21:25])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        return _little(data[26:28]) & 0x3FFF, _little(data[28:30]) & 0x3FFF
    return None
