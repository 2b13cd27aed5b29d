"""The text of PDF documents, page by page, for models that do not take the document itself."""

from __future__ import annotations

import logging
from io import BytesIO

import msgspec
from pypdf import PdfReader
from pypdf.errors import PyPdfError

from qwen_code.base.secret import redact
from qwen_code.base.stop import Stop
from qwen_code.tools.errors import ToolFailed

MAX_PAGES = 20
_MAX_CHARACTERS = 100_000
_BROKEN = (
    PyPdfError,
    *(ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError),
    *(AssertionError, EOFError, NotImplementedError),
)
"""What pypdf raises for documents that are not as they should be."""

logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # else its remarks go to standard error


class Pages(msgspec.Struct, frozen=True):
    """The text of some pages, from ``first`` to ``last`` of ``total``."""

    text: str
    first: int
    last: int
    total: int


def read_pages(data: bytes, shown: str, first: int, limit: int, stop: Stop) -> Pages:
    """The text of at most ``limit`` pages from page ``first`` (from 1).

    Raises:
        ToolFailed: the document is encrypted or broken, or has no such page; the message says what
            to do.
        Stopped: ``stop`` was set.
    """
    try:
        reader = PdfReader(BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise ToolFailed(
                f"{shown} is an encrypted PDF document. With its password, run: "
                f"qpdf --decrypt --password=… {shown} plain.pdf"
            )
        total = len(reader.pages)
    except _BROKEN as error:
        raise ToolFailed(f"{shown} is a PDF document that cannot be read: {error}") from error
    if first > total:
        raise ToolFailed(f"{shown} has {total} pages; there is no page {first}")
    texts: list[str] = []
    last = min(total, first + min(limit, MAX_PAGES) - 1)
    for number in range(first, last + 1):
        stop.check()
        texts.append(_page(reader, number))
        if sum(map(len, texts)) > _MAX_CHARACTERS:
            last = number
            break
    if not any(texts):
        words = (
            f"{shown} is a PDF document of {total} pages, and pages {first}–{last} have no text: "
            "they are probably scanned. For pictures of them, run: "
            f"pdftoppm -png -r 100 -f {first} -l {last} {shown} page"
        )
        return Pages(words, first, last, total)
    pages = (f"[page {n} of {total}]\n{t}" for n, t in enumerate(texts, start=first))
    return Pages(redact("\n\n".join(pages)), first, last, total)


def _page(reader: PdfReader, number: int) -> str:
    """The text of a page; a page that is broken costs itself."""
    try:
        return reader.pages[number - 1].extract_text().strip()
    except _BROKEN as error:
        return f"(the page cannot be read: {error})"
