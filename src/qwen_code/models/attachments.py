"""What a provider attaches to an answer and wants back with it: reasoning, signatures.

In a conversation the fields stand where they came: in the message and in its calls. The message
also says who sent them (``attached_by``), because another provider would reject them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

SENDER = "attached_by"
"""The field of a message that names the sender of its attachments. It is never sent."""

_MESSAGE_FIELDS = ("role", "content", "tool_calls", "tool_call_id", "name", "refusal")
_CALL_FIELDS = ("id", "type", "function")
_FUNCTION_FIELDS = ("name", "arguments")


class Attachments:
    """Collects the attachments of one answer while it is streamed."""

    def __init__(self) -> None:
        self._parts: dict[str, list[Any]] = {}
        self._of_calls: dict[int, list[dict[str, Any]]] = {}

    def add(self, name: str, value: Any) -> None:
        """Add a part of a field of the message."""
        self._parts.setdefault(name, []).append(value)

    def add_to_call(self, index: int, values: Mapping[str, Any]) -> None:
        """Add parts of the fields of a call."""
        self._of_calls.setdefault(index, []).append(dict(values))

    def whole(self) -> tuple[dict[str, Any], dict[int, dict[str, Any]]]:
        """The fields of the message, and those of the calls by their index."""
        fields = {name: merged(parts) for name, parts in self._parts.items()}
        return fields, {index: merged(parts) for index, parts in self._of_calls.items()}


_LABELS = ("type", "format", "id", "index")
"""Of a part, these name what it belongs to, and are repeated in each."""


def merged(parts: Sequence[Any]) -> Any:
    """A field of its parts: texts and lists are joined, objects are merged.

    Elements of a list that have an ``index`` are parts of the element with the same one, as in
    OpenRouter's ``reasoning_details``. Of values that do not fit together, the last one counts.
    """
    if all(isinstance(part, str) for part in parts):
        return "".join(parts)
    if all(isinstance(part, list) for part in parts):
        return [merged(group) for group in _groups(part for each in parts for part in each)]
    if all(isinstance(part, dict) for part in parts):
        values: dict[str, list[Any]] = {}
        for part in parts:
            for name, value in part.items():
                values.setdefault(name, []).append(value)
        return {n: each[-1] if n in _LABELS else merged(each) for n, each in values.items()}
    return parts[-1]


def _groups(parts: Iterable[Any]) -> Iterator[list[Any]]:
    """The elements of lists, those together that are parts of one."""
    group: list[Any] = []
    is_signed = False
    for part in parts:
        if group and not _is_continued(group[-1], part, is_signed=is_signed):
            yield group
            group, is_signed = [], False
        group.append(part)
        is_signed = is_signed or (isinstance(part, dict) and bool(part.get("signature")))
    if group:
        yield group


def _is_continued(last: Any, part: Any, *, is_signed: bool) -> bool:
    if not isinstance(last, dict) or not isinstance(part, dict):
        return False
    if last.get("type") != part.get("type") or "encrypted" in str(part.get("type")):
        return False
    if "index" in last or "index" in part:
        return bool(last.get("index") == part.get("index"))
    return not is_signed and any(name in part for name in ("text", "summary"))


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
