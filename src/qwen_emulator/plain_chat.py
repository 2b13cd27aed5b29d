"""Chat requests for a small model: plain text, without tools, with short instructions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

_TOOL_FIELDS = ("tools", "tool_choice", "parallel_tool_calls", "functions", "function_call")
_SYSTEM_ROLES = ("system", "developer")
_MAX_INSTRUCTIONS_CHARS = 1000
"""Longer instructions are an agent's. They describe tools that the model does not have, and can
exceed its window."""


class PlainChat(msgspec.Struct, frozen=True):
    """Rewrites requests that were meant for a large model.

    ``defaults`` are fields for every body; those of the request win. ``instructions`` replace a
    system message that is too long for a small model.
    """

    defaults: Mapping[str, Any]
    instructions: str

    def rewrite(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """``request`` without tools: calls are omitted, and their results precede the question as
        text."""
        kept = {name: value for name, value in request.items() if name not in _TOOL_FIELDS}
        body = {**self.defaults, **kept}
        if isinstance(messages := request.get("messages"), list):
            known = [message for message in messages if isinstance(message, dict)]
            body["messages"] = [*self._system(known), *_conversation(known)]
        return body

    def _system(self, messages: list[dict[str, Any]]) -> list[dict[str, str]]:
        texts = [_text(m.get("content")) for m in messages if m.get("role") in _SYSTEM_ROLES]
        text = "\n\n".join(text for text in texts if text)
        if len(text) > _MAX_INSTRUCTIONS_CHARS:
            text = self.instructions
        return [{"role": "system", "content": text}] if text else []


def _conversation(messages: list[dict[str, Any]]) -> list[dict[str, str]]:
    written: list[dict[str, str]] = []
    results: dict[int, list[str]] = {}
    calls: dict[str, str] = {}
    question = -1
    for message in messages:
        role, text = message.get("role"), _text(message.get("content"))
        if role in ("tool", "function"):
            call = calls.get(str(message.get("tool_call_id")), "A tool")
            results.setdefault(question, []).append(f"{call} gave:\n```\n{text}\n```")
        elif role == "user":
            question = len(written)
            written.append({"role": "user", "content": text})
        elif role == "assistant":
            calls |= _calls(message.get("tool_calls"))
            if text:
                written.append({"role": "assistant", "content": text})
    unasked = results.pop(-1, [])
    for number, texts in results.items():
        written[number]["content"] = "\n\n".join([*texts, written[number]["content"]])
    return [*({"role": "user", "content": text} for text in unasked), *written]


def _calls(calls: Any) -> dict[str, str]:
    """By id: the call as text."""
    found = {}
    for call in calls if isinstance(calls, list) else ():
        if isinstance(call, dict) and isinstance(function := call.get("function"), dict):
            text = f"{function.get('name')}({function.get('arguments') or ''})"
            found[str(call.get("id"))] = text
    return found


def _text(content: Any) -> str:
    """The text of a message, whose content may be a list of parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n".join(_part(part) for part in parts if isinstance(part, dict))


def _part(part: dict[str, Any]) -> str:
    text = part.get("text")
    return text if isinstance(text, str) else f"({part.get('type')} omitted)"
