"""Marks up to where a provider may keep what it has read of a prompt (``cache_control``).

Anthropic's models and DashScope's explicit cache want them in the content of a message, and take at
most four. One stands at the end of the instructions, which never change, and covers the tools; two
at the ends of the last two messages, so that each request finds the mark of the one before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Message = Mapping[str, Any]

_MARK = {"cache_control": {"type": "ephemeral"}}
_MARKED_AT_THE_END = 2


def marked(messages: Sequence[Message]) -> list[Message]:
    """The messages with marks. All contents are lists of parts, so that they stay the same when the
    marks move on."""
    shown = [_in_parts(message) for message in messages]
    ends = [index for index, each in enumerate(shown) if index > 0 and _can_be_marked(each)]
    first = [0] if shown and shown[0]["role"] == "system" else []
    for index in {*first, *ends[-_MARKED_AT_THE_END:]}:
        *others, last = shown[index]["content"]
        shown[index] = {**shown[index], "content": [*others, {**last, **_MARK}]}
    return shown


def _can_be_marked(message: Message) -> bool:
    return message["role"] != "assistant" and isinstance(message["content"], list)


def _in_parts(message: Message) -> Message:
    content = message.get("content")
    if not isinstance(content, str) or not content or message["role"] == "assistant":
        return message
    return {**message, "content": [{"type": "text", "text": content}]}
