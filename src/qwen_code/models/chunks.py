"""The parts of a Chat Completions answer that are used, with every field optional.

Most chunks have the expected types and are decoded straight into these structs. One with another
type somewhere is decoded again without the fields that are wrong.
"""

from __future__ import annotations

from typing import Any

import msgspec

from qwen_code.models.openai_wire import json_or_none

ATTACHED_TO_MESSAGES = (
    *("reasoning_content", "reasoning", "reasoning_details", "reasoning_text"),
    *("reasoning_opaque", "thinking", "thinking_blocks", "signature", "provider_specific_fields"),
    "extra_content",
)
"""Fields beside ``content`` that providers want back with the message."""


class CallChunk(msgspec.Struct):
    """A part of a tool call. ``attached`` has the fields of other names, if it has any."""

    index: int | None = None
    id: str | None = None
    name: str | None = None
    arguments: Any = None
    attached: dict[str, Any] | None = None


class Delta(msgspec.Struct):
    """``tool_calls`` is raw: `call_chunks` reads it."""

    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    reasoning_details: Any = None
    reasoning_text: Any = None
    reasoning_opaque: Any = None
    thinking: Any = None
    thinking_blocks: Any = None
    signature: Any = None
    provider_specific_fields: Any = None
    extra_content: Any = None
    refusal: Any = None
    tool_calls: Any = None
    function_call: Any = None

    @property
    def has_more(self) -> bool:
        """Whether there is anything but content. Most chunks have nothing, so this is quick."""
        return bool(
            self.tool_calls
            or self.reasoning_content
            or self.reasoning
            or self.reasoning_details
            or self.reasoning_text
            or self.reasoning_opaque
            or self.thinking
            or self.thinking_blocks
            or self.signature
            or self.provider_specific_fields
            or self.extra_content
            or self.refusal
            or self.function_call
        )


class Choice(msgspec.Struct):
    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: str | None = None
    text: str | None = None
    error: Any = None
    usage: Any = None
    """Moonshot counts in the last choice, not beside it."""


class Chunk(msgspec.Struct):
    """One event of a stream, or a whole answer."""

    id: str | None = None
    model: str | None = None
    choices: list[Choice] | None = None
    usage: Any = None
    error: Any = None
    base_resp: Any = None


def lenient(data: bytes) -> Chunk | None:
    """The chunk in ``data`` without fields of wrong types; ``None`` if it is not an object."""
    raw = json_or_none(data)
    if not isinstance(raw, dict):
        return None
    choices = raw.get("choices")
    if isinstance(choices, dict):
        choices = [choices]
    return Chunk(
        id=_str(raw.get("id")),
        model=_str(raw.get("model")),
        choices=[_choice(each) for each in choices] if isinstance(choices, list) else None,
        usage=raw.get("usage"),
        error=raw.get("error"),
        base_resp=raw.get("base_resp"),
    )


def call_chunks(raw: Any) -> list[CallChunk]:
    """The parts of calls in a ``tool_calls``, however a server writes them."""
    if isinstance(raw, dict):
        raw = [raw]
    return [_call(each) for each in raw if isinstance(each, dict)] if isinstance(raw, list) else []


def _choice(raw: Any) -> Choice:
    raw = raw if isinstance(raw, dict) else {}
    delta, message = (_delta(raw.get(name)) for name in ("delta", "message"))
    return Choice(
        delta,
        message,
        _str(raw.get("finish_reason")),
        _str(raw.get("text")),
        raw.get("error"),
        raw.get("usage"),
    )


def _delta(raw: Any) -> Delta | None:
    if isinstance(raw, str):
        return Delta(content=raw)
    if not isinstance(raw, dict):
        return None
    return Delta(*(raw.get(name) for name in Delta.__struct_fields__))


def _call(raw: dict[str, Any]) -> CallChunk:
    function = raw.get("function")
    function = function if isinstance(function, dict) else raw
    index = raw.get("index")
    if isinstance(index, str) and index.isdigit():
        index = int(index)
    arguments = function.get("arguments", function.get("parameters", function.get("input")))
    attached = {name: raw[name] for name in raw if name not in _OF_A_CALL and raw[name]}
    if function is not raw and (more := {n: v for n, v in function.items() if n not in _OF_A_CALL}):
        attached["function"] = more
    number = isinstance(index, int) and not isinstance(index, bool)
    return CallChunk(
        index if number else None,
        _str(raw.get("id")) or None,
        _str(function.get("name")) or None,
        arguments,
        attached or None,
    )


_OF_A_CALL = ("index", "id", "type", "function", "name", "arguments", "parameters", "input")


def _str(value: Any) -> str | None:
    return value if isinstance(value, str) else None
