"""The body of an HTTP response as text for a model."""

from __future__ import annotations

import codecs
import re
import zlib
from email.message import Message

from qwen_code.tools.errors import ToolFailed

_HTML = ("text/html", "application/xhtml+xml")
_TEXT = re.compile(r"text/.+|application/(.+\+)?(json|xml|yaml|toml|javascript|x-(sh|yaml|ndjson))")
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?([a-zA-Z0-9_:-]+)", re.IGNORECASE)
_TITLE = re.compile(r"<title(?:\s[^<>]{0,500})?>([^<]{1,300})", re.IGNORECASE)
_DECLARATION = re.compile(r"<!(?!--)[^>]*>?")
_AMPERSAND = re.compile(r"&(?!#?\w{1,32};)")
_MAX_HTML_CHARACTERS = 1_000_000
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def unpack(body: bytes, encoding: str, limit_bytes: int) -> bytes:
    """``body`` with its ``Content-Encoding`` decoded, at most ``limit_bytes`` of it.

    Raises:
        ToolFailed: the encoding was not requested, or the body is damaged.
    """
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise ToolFailed(f"the server used the encoding {encoding}, which was not requested")
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(body, limit_bytes)
    except zlib.error as error:
        raise ToolFailed(f"the body is not valid {encoding}: {error}") from error


def read_text(body: bytes, content_type: str, url: str) -> str:
    """HTML as Markdown with absolute links and without decoration; other text unchanged.

    Raises:
        ToolFailed: it is not text; the message says what it is.
    """
    message = Message()
    message["content-type"] = content_type
    media_type = message.get_content_type() if content_type else _guess(body)
    is_html = media_type in _HTML
    if not (is_html or _TEXT.fullmatch(media_type)) or _is_binary(body):
        raise ToolFailed(
            f"{url} is not text: {media_type}, {len(body):,} bytes. "
            "Use run_shell_command to download a file."
        )
    text = _decode(body, message.get_content_charset() or "", is_html=is_html)
    return _as_markdown(text, url) if is_html else text


def _guess(body: bytes) -> str:
    """The media type of a body without one: RFC 9110 §8.3 lets a receiver examine it."""
    if re.match(rb"\s*<(!doctype html|html)", body, re.IGNORECASE):
        return "text/html"
    return "application/octet-stream" if _is_binary(body) else "text/plain"


def _is_binary(body: bytes) -> bool:
    return b"\0" in body[:1024] and not any(body.startswith(bom) for bom, _ in _BOMS)


def _decode(body: bytes, charset: str, *, is_html: bool) -> str:
    for bom, name in _BOMS:
        if body.startswith(bom):
            charset = name
    if not charset and is_html and (found := _META_CHARSET.search(body[:4096])):
        charset = found[1].decode()
    try:
        return body.decode(charset or "utf-8", "replace").removeprefix("\ufeff")
    except LookupError:
        return body.decode("utf-8", "replace")


def _as_markdown(html: str, url: str) -> str:
    from html_to_markdown import ConversionError, ConversionOptions, PreprocessingOptions, convert

    options = ConversionOptions(
        base_url=url,
        skip_images=True,
        extract_metadata=False,
        exclude_selectors=["nav", "svg", "iframe"],
        # Stronger presets drop headings in a <header>, and pages that are one <form>.
        preprocessing=PreprocessingOptions(preset="minimal", remove_forms=False),
    )
    # The converter takes quadratic time for some of what a hostile page can hold.
    html = _AMPERSAND.sub("&amp;", _DECLARATION.sub("", html))[:_MAX_HTML_CHARACTERS]
    try:
        text = convert(html, options).content or ""
    except ConversionError as error:
        raise ToolFailed(f"{url} could not be converted to text: {error}") from error
    title = _TITLE.search(html)
    if title and not text.lstrip().startswith("# "):
        from html import unescape

        text = f"# {unescape(title[1]).strip()}\n\n{text}"
    return text.strip()
