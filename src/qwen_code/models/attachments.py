"""What a provider attaches to an answer and wants back with it: reasoning, signatures.

In a conversation the fields stand where they came: in the message and in its calls. The message
also says who sent them (``attached_by``), because another provider would reject them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

SENDER = "attached_by"
"""The field of a message that names the sender of its attachments. It is never sent."""

_MESSAGE_FIELDS = ("role", "content", "tool_calls", "tool_call_id", "name", "refusal")
_CALL_FIELDS = ("id", "type", "function")
_FUNCTION_FIELDS = ("name", "arguments")


class Attachments:
    """Collects the attachments of one answer while it is streamed."""

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}
        self.calls: dict[int, dict[str, Any]] = {}
        """By the index of the call."""

    def add(self, name: str, value: Any) -> None:
        """Add a part of a field of the message."""
        self.fields[name] = merged(self.fields.get(name), value)

    def add_to_call(self, index: int, values: Mapping[str, Any]) -> None:
        """Add parts of the fields of a call."""
        self.calls[index] = merged(self.calls.get(index), dict(values))


def merged(before: Any, more: Any) -> Any:
    """A field of two parts: texts and lists are joined, objects are merged.

    Elements of a list that have an ``index`` are parts of the element with the same one, as in
    OpenRouter's ``reasoning_details``.
    """
    if before is None:
        return _grouped([], more) if isinstance(more, list) else more
    if isinstance(before, str) and isinstance(more, str):
        return before + more
    if isinstance(before, dict) and isinstance(more, dict):
        joined = {**before}
        for name, value in more.items():
            is_label = name in _LABELS or name not in joined
            joined[name] = value if is_label else merged(joined[name], value)
        return joined
    if isinstance(before, list) and isinstance(more, list):
        return _grouped(before, more)
    return before if more is None else more


_LABELS = ("type", "format", "id", "index")
"""Of a part, these name what it belongs to, and are repeated in each."""


def _grouped(before: list[Any], more: list[Any]) -> list[Any]:
    parts = list(before)
    for part in more:
        last = parts[-1] if parts else None
        if _is_continued(last, part):
            parts[-1] = merged(last, part)
        else:
            parts.append(part)
    return parts


def _is_continued(last: Any, part: Any) -> bool:
    if not isinstance(last, dict) or not isinstance(part, dict):
        return False
    if last.get("type") != part.get("type") or "encrypted" in str(part.get("type")):
        return False
    if "index" in last or "index" in part:
        return bool(last.get("index") == part.get("index"))
    return not last.get("signature") and any(name in part for name in ("text", "summary"))


def for_sender(
    messages: Sequence[Mapping[str, Any]], sender: str, *, without: frozenset[str] = frozenset()
) -> list[Mapping[str, Any]]:
    """The messages as ``sender`` accepts them: with its own attachments, and no others.

    ``without`` are fields that it has rejected.
    """
    return [
        _own(message, without) if message.get(SENDER) == sender else _bare(message)
        for message in messages
    ]


def _own(message: Mapping[str, Any], without: frozenset[str]) -> Mapping[str, Any]:
    left_out = without | {SENDER}
    return {name: value for name, value in message.items() if name not in left_out}


def _bare(message: Mapping[str, Any]) -> Mapping[str, Any]:
    if SENDER not in message:  # nothing was attached, so nothing has to be left out
        return message
    bare = {name: message[name] for name in _MESSAGE_FIELDS if name in message}
    if calls := bare.get("tool_calls"):
        bare["tool_calls"] = [_bare_call(call) for call in calls]
    return bare


def _bare_call(call: Mapping[str, Any]) -> dict[str, Any]:
    bare = {name: call[name] for name in _CALL_FIELDS if name in call}
    bare["function"] = {n: v for n, v in call["function"].items() if n in _FUNCTION_FIELDS}
    return bare
