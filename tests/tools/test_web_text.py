from __future__ import annotations

import codecs
import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.web_text import read_text, unpack

URL = "https://docs.example.org/guide/start.html"

PAGE = b"""<!doctype html><html><head><title>Start</title><style>p {}</style>
<script>let x = "<p>never</p>"</script></head><body>
<nav><a href="/">Home</a></nav>
<header><h1>Get &amp; start</h1></header>
<form><p>Read <a href="../api.html#f">the API</a>.</p>
<pre><code class="language-py">def f():
    return 1
</code></pre>
<table><tr><th>a<th>b<tr><td>1<td>2</table><p hidden>secret words</p>
<svg><text>drawn</text></svg><img src="data:image/png;base64,AAAA" alt=""></form>
</body></html>"""


def test_html_becomes_markdown() -> None:
    text = read_text(PAGE, "text/html; charset=utf-8", URL)
    assert text.startswith("# Get & start")
    assert "Read [the API](https://docs.example.org/api.html#f)." in text
    assert "```py\ndef f():\n    return 1\n```" in text
    assert "| 1 | 2 |" in text
    for gone in ("Home", "never", "secret words", "drawn", "base64"):
        assert gone not in text


def test_a_page_without_a_heading_gets_its_title() -> None:
    assert read_text(b"<title>A &lt; B</title><p>x", "text/html", URL) == "# A < B\n\nx"


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "text/markdown; charset=UTF-8", "application/json", "application/ld+json", ""],
)
def test_other_text_stays_as_it_is(content_type: str) -> None:
    assert read_text(b'{"a": "<p>"}\r\n', content_type, URL) == '{"a": "<p>"}\r\n'


def test_html_is_recognised_where_nothing_is_said() -> None:
    assert read_text(b"\n<!DOCTYPE html><p>hello", "", URL) == "hello"


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("caf\xe9".encode("latin-1"), "text/plain; charset=iso-8859-1"),
        ("caf\xe9".encode(), "text/plain"),
        (codecs.BOM_UTF8 + "caf\xe9".encode(), "text/plain; charset=latin-1"),
        (codecs.BOM_UTF16_LE + "caf\xe9".encode("utf-16-le"), "text/plain"),
        ("<meta charset='windows-1252'><p>caf\xe9".encode("cp1252"), "text/html"),
        ("caf\xe9".encode(), "text/plain; charset=no-such-thing"),
    ],
)
def test_encodings(body: bytes, content_type: str) -> None:
    assert read_text(body, content_type, URL) == "caf\xe9"


@pytest.mark.parametrize(
    ("body", "content_type", "named"),
    [
        (b"\x89PNG\r\n", "image/png", "image/png"),
        (b"PK\x03\x04", "application/zip", "application/zip"),
        (b"\x7fELF\0\0", "", "application/octet-stream"),
        (b"a\0b", "text/plain", "text/plain"),
    ],
)
def test_what_is_no_text_is_named(body: bytes, content_type: str, named: str) -> None:
    with pytest.raises(ToolFailed, match=f"is not text: {named}"):
        read_text(body, content_type, URL)


@pytest.mark.parametrize(
    "html", ["<div>" * 200_000, "<!--" * 50_000, "<" * 200_000, "<table>" * 50_000]
)
def test_broken_html_is_read_somehow(html: str) -> None:
    assert isinstance(read_text(html.encode(), "text/html", URL), str)


@given(st.binary(max_size=300))
def test_any_bytes_are_text_or_a_clear_refusal(body: bytes) -> None:
    for content_type in ("text/html", "text/plain", ""):
        try:
            read_text(body, content_type, URL)
        except ToolFailed as error:
            assert URL in error.message


def test_packed_bodies() -> None:
    assert unpack(gzip.compress(b"hello"), "gzip", 100) == b"hello"
    assert unpack(zlib.compress(b"hello"), "deflate", 100) == b"hello"
    assert unpack(b"hello", "", 100) == b"hello"
    assert unpack(gzip.compress(b"hello" * 1000)[:30], "gzip", 100).startswith(b"h")


def test_a_bomb_is_not_unpacked_whole() -> None:
    assert len(unpack(gzip.compress(bytes(50_000_000)), "gzip", 1000)) == 1000


@pytest.mark.parametrize(("body", "encoding"), [(b"x", "br"), (b"no gzip", "gzip")])
def test_what_cannot_be_unpacked(body: bytes, encoding: str) -> None:
    with pytest.raises(ToolFailed, match=encoding):
        unpack(body, encoding, 100)


@pytest.mark.parametrize(
    "part",
    ["<!d", "<", "<title", "<title>", "<!--", "&", "<![CDATA[", "<div>", "<a href='", "</", "<?"],
)
def test_hostile_pages_take_no_time(part: str) -> None:
    """Each is about as long as the longest page that is read. The test's limit of time is the check."""
    read_text(f"<p>{part * (4_000_000 // len(part))}".encode()[: 5 << 20], "text/html", URL)
