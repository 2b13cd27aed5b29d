"""Images in a conversation: tool results can only be text, so images follow in a user message."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

from qwen_code.tools.base import Image

_PICTURES = "(the pictures that were read)"
_NO_PICTURE = "(a picture, which this model cannot see)"


def as_message(images: Sequence[Image]) -> dict[str, Any]:
    """The message that shows images to a model."""
    parts: list[dict[str, Any]] = [{"type": "text", "text": _PICTURES}]
    for image in images:
        url = f"data:{image.media_type};base64,{b64encode(image.data).decode()}"
        parts.append({"type": "image_url", "image_url": {"url": url}})
    return {"role": "user", "content": parts}


def without_pictures(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages for a model without vision; another model may have seen their images."""
    shown = (_without_pictures(each) for each in messages)
    return [each for each in shown if each is not None]


def _without_pictures(message: dict[str, Any]) -> dict[str, Any] | None:
    """``None`` for a message that only shows images."""
    content = message.get("content")
    if not isinstance(content, list):
        return message
    if content[0].get("text") == _PICTURES:
        return None
    texts = [part["text"] if part.get("type") == "text" else _NO_PICTURE for part in content]
    return {**message, "content": "\n".join(texts)}
