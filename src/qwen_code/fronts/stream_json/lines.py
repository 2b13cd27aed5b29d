"""A message as one line of JSON, for programs that split lines in their own ways."""

from __future__ import annotations

from typing import Any

import msgspec

_SEPARATORS = ((b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"))
"""Characters that end a line for JavaScript, with the escapes that JSON has for them."""


def encode_line(value: Any) -> bytes:
    """``value`` as JSON in UTF-8, without a character that any program takes for a line's end."""
    try:
        data = msgspec.json.encode(value)
    except UnicodeEncodeError:
        # A directory or argument is not UTF-8. Only json accepts such text, which is then replaced;
        # it is slow to import and rarely needed.
        import json

        data = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
    for character, escape in _SEPARATORS:
        data = data.replace(character, escape)
    return data


def shortened(text: str, max_bytes: int) -> str:
    """``text`` without its middle, if it would be longer than ``max_bytes`` as JSON."""
    if len(encode_line(text)) <= max_bytes:
        return text
    head = _fitting(text, max_bytes // 2)
    tail = _fitting(text[::-1], max_bytes // 2)[::-1]
    left_out = len(text) - len(head) - len(tail)
    return f"{head}\n[{left_out:,} characters are left out here; the model got them]\n{tail}"


def _fitting(text: str, max_bytes: int) -> str:
    """The beginning of ``text`` that has at most this length as JSON."""
    text = text[:max_bytes]
    while (length := len(encode_line(text))) > max_bytes:
        text = text[: min(len(text) - 1, len(text) * max_bytes // length)]
    return text
