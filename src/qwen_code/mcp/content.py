"""Converts the results of a server for the model. Pure: decoded JSON in, a `Result` out."""

from __future__ import annotations

import binascii
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from qwen_code.base.secret import redact
from qwen_code.tools.base import Image, Result
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.media import media_of, problem_of

_MAX_CHARACTERS = 50_000


def read_answer(answer: Mapping[str, Any]) -> Result:
    """The result of a call, from a ``CallToolResult`` as JSON data.

    Raises:
        ToolFailed: the tool reported an error.
    """
    result = _shown(answer.get("content") or (), answer.get("structuredContent"))
    if answer.get("isError"):
        raise ToolFailed(result.text if answer.get("content") else "it failed without a message")
    return result


def read_contents(answer: Mapping[str, Any]) -> Result:
    """What a resource holds, from a ``ReadResourceResult`` as JSON data."""
    contents: Sequence[Mapping[str, Any]] = answer.get("contents") or ()
    texts = [{"type": "text", "text": each["text"]} for each in contents if "text" in each]
    others = [{"type": "resource", "resource": each} for each in contents if "text" not in each]
    return _shown([*texts, *others])


def read_prompt(answer: Mapping[str, Any]) -> str:
    """The text of a prompt, from a ``GetPromptResult`` as JSON data. What it lets the assistant say
    is marked as that."""
    parts = []
    for message in answer.get("messages") or ():
        text = _text(message.get("content") or {}, seen=None)
        parts.append(f"[assistant] {text}" if message.get("role") == "assistant" else text)
    return "\n\n".join(part for part in parts if part)


def _shown(blocks: Sequence[Mapping[str, Any]], structured: Any = None) -> Result:
    image = next((found for block in blocks if (found := _image(block)) is not None), None)
    parts = [_text(block, seen=image) for block in blocks]
    text = "\n".join(part for part in parts if part)
    if not text and structured is not None:
        text = msgspec.json.encode(structured).decode()
    text = _cut(redact(text))
    summary = f"{len(text.splitlines()):,} lines" if "\n" in text else text[:100]
    return Result(text or "(empty result)", summary or "(empty)", image)


def _image(block: Mapping[str, Any]) -> Image | None:
    """The image of a block that can be sent to a model, also where it is an embedded resource. Its
    bytes count, whatever the server calls them: a broken one would spoil all later requests."""
    if block.get("type") == "resource":
        block = block.get("resource") or {}
    encoded = str(block.get("data") or block.get("blob") or "")
    if not encoded or not str(block.get("mimeType")).startswith("image/"):
        return None
    try:
        data = binascii.a2b_base64(encoded.partition(";base64,")[2] or encoded)
    except binascii.Error:
        return None
    media = media_of(data)
    if media is None or media.kind != "picture" or problem_of(media, data):
        return None
    return Image(media.media_type, data)


def _text(block: Mapping[str, Any], *, seen: Image | None) -> str:
    kind = block.get("type")
    if kind == "text":
        return str(block.get("text", ""))
    if seen is not None and _image(block) == seen:
        return ""
    if kind in ("image", "audio"):
        return f"[{kind} not shown: {block.get('mimeType')}]"
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
    return (
        f"{text[:_MAX_CHARACTERS]}\n"
        f"[{left_out:,} more characters omitted; if they matter, ask the tool for less at once]"
    )
