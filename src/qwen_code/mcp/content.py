"""Converts the result of a server for the model. Pure: decoded JSON in, a `Result` out."""

from __future__ import annotations

import binascii
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from qwen_code.base.secret import redact
from qwen_code.tools.base import Image, Result
from qwen_code.tools.errors import ToolFailed

_MAX_CHARACTERS = 30_000
_MAX_IMAGE_BYTES = 8 << 20
_IMAGE_TYPES = ("image/png", "image/jpeg", "image/gif", "image/webp")


def read_answer(answer: Mapping[str, Any]) -> Result:
    """The result of a call, from a ``CallToolResult`` as JSON data.

    Raises:
        ToolFailed: the tool reported an error.
    """
    blocks: Sequence[Mapping[str, Any]] = answer.get("content") or ()
    image = next((found for block in blocks if (found := _image(block)) is not None), None)
    parts = [_text(block, seen=image) for block in blocks]
    text = "\n".join(part for part in parts if part)
    if not text and (structured := answer.get("structuredContent")) is not None:
        text = msgspec.json.encode(structured).decode()
    text = _cut(redact(text))
    if answer.get("isError"):
        raise ToolFailed(text or "the tool failed without a message")
    summary = f"{len(text.splitlines()):,} lines" if "\n" in text else text[:100]
    return Result(text or "(empty result)", summary or "(empty)", image)


def _image(block: Mapping[str, Any]) -> Image | None:
    if block.get("type") != "image" or block.get("mimeType") not in _IMAGE_TYPES:
        return None
    try:
        data = binascii.a2b_base64(str(block.get("data", "")))
    except binascii.Error:
        return None
    return Image(block["mimeType"], data) if 0 < len(data) <= _MAX_IMAGE_BYTES else None


def _text(block: Mapping[str, Any], *, seen: Image | None) -> str:
    kind = block.get("type")
    if kind == "text":
        return str(block.get("text", ""))
    if kind == "image":
        if seen is not None and _image(block) == seen:
            return ""
        return f"[image not shown: {block.get('mimeType')}]"
    if kind == "resource_link":
        described = block.get("description") or block.get("title") or block.get("name") or ""
        return f"[resource {block.get('uri')}: {described}]"
    if kind == "resource":
        resource: Mapping[str, Any] = block.get("resource") or {}
        if "text" in resource:
            return f"[resource {resource.get('uri')}]\n{resource['text']}"
        return f"[resource {resource.get('uri')}: {resource.get('mimeType') or 'binary'}]"
    return f"[{kind}: {block.get('mimeType') or 'not shown'}]"


def _cut(text: str) -> str:
    if len(text) <= _MAX_CHARACTERS:
        return text
    left_out = len(text) - _MAX_CHARACTERS
    return f"{text[:_MAX_CHARACTERS]}\n[{left_out:,} more characters omitted]"
