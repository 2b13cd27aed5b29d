"""Images and PDF documents in a conversation: tool results can only be text, so they follow in a
user message."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Collection, Sequence
from typing import Any

from qwen_code.agent.progress import PICTURES
from qwen_code.tools.base import Image

_LEFT_OUT = {
    "image_url": "(a picture, which this model cannot see)",
    "file": "(a document, which this model does not take)",
}


def as_message(images: Sequence[Image]) -> dict[str, Any]:
    """The message that shows images to a model."""
    return {"role": "user", "content": [{"type": "text", "text": PICTURES}, *parts_of(images)]}


def parts_of(images: Sequence[Image]) -> list[dict[str, Any]]:
    """The parts of a message that show images."""
    parts: list[dict[str, Any]] = []
    for image in images:
        url = f"data:{image.media_type};base64,{b64encode(image.data).decode()}"
        shown = {"filename": image.name, "file_data": url} if image.is_document else {"url": url}
        parts.append({"type": image.part_type, image.part_type: shown})
    return parts


def without_pictures(
    messages: Sequence[dict[str, Any]], takes: Collection[str] = ()
) -> list[dict[str, Any]]:
    """The messages for a model that takes only these types of parts beside text; another model may
    have seen the others."""
    shown = (_without_pictures(each, takes) for each in messages)
    return [each for each in shown if each is not None]


def _without_pictures(message: dict[str, Any], takes: Collection[str]) -> dict[str, Any] | None:
    """``None`` for a message that would show nothing."""
    content = message.get("content")
    if not isinstance(content, list) or all(p.get("type") in ("text", *takes) for p in content):
        return message
    if content[0].get("text") == PICTURES:
        kept = [part for part in content if part.get("type") in ("text", *takes)]
        return {**message, "content": kept} if len(kept) > 1 else None
    if any(part.get("type") in takes for part in content):
        return {**message, "content": [_or_words(part, takes) for part in content]}
    return {**message, "content": "\n".join(_or_words(part, ())["text"] for part in content)}


def _or_words(part: dict[str, Any], takes: Collection[str]) -> dict[str, Any]:
    """The part, or words in its place."""
    kind = part.get("type")
    if kind == "text" or kind in takes:
        return part
    return {"type": "text", "text": _LEFT_OUT.get(str(kind), _LEFT_OUT["file"])}
