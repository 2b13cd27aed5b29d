"""A browser for tests: it follows redirects, keeps cookies, and fills in forms.

As a program, it opens the address in its last argument. ``QWEN_TEST_TYPED`` is a JSON object with
what it types into fields, by name.
"""

from __future__ import annotations

import http.cookiejar
import json
import os
import sys
import urllib.parse
import urllib.request
from collections.abc import Mapping
from html.parser import HTMLParser

_MAX_PAGES = 10


class _Form(HTMLParser):
    """The first form of a page: where it goes and what a browser would send with it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self.action = self.action or given.get("action")
        elif tag == "input" and (name := given.get("name")):
            self.fields[name] = given.get("value") or ""


def follow_forms(address: str, typed: Mapping[str, str], *, abort: bool = False) -> str:
    """The last page from ``address`` on: the one without a form, or the answer to "Abort"."""
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}),
        urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()),
    )
    fields: dict[str, str] | None = None
    for _ in range(_MAX_PAGES):
        body = None if fields is None else urllib.parse.urlencode(fields).encode()
        with opener.open(address, body, timeout=20) as response:
            page = str(response.read(), "utf-8")
            address = response.url
        form = _Form(page)
        if form.action is None or "abort" in (fields or {}):
            return page
        address = urllib.parse.urljoin(address, form.action)
        fields = {name: typed.get(name, value) for name, value in form.fields.items()}
        if abort and "confirm" in fields:
            fields["abort"] = "yes"
    raise AssertionError(f"forms without end: {page}")


if __name__ == "__main__":
    follow_forms(sys.argv[-1], json.loads(os.environ.get("QWEN_TEST_TYPED") or "{}"))
