"""Results that fit the model's window: cut, and with how to get the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from qwen_code.agent.progress import is_prompt
from qwen_code.base.json_text import decode_json
from qwen_code.tools.base import Subject
from qwen_code.tools.catalogue import find

_BYTES_A_TOKEN = 4
_CUT = (
    "\n[cut here, after {shown:,} of {total:,} characters, because the model's window has no room "
    "for more. {way_on}]"
)
_OTHER_WAY = "Ask for less at once: a part of it, a narrower pattern, a command that prints less."
_OMITTED = "[left out: the server rejected the request with this result: {reason}]"


def fitted(text: str, room_tokens: int, name: str = "", arguments: str = "") -> str:
    """``text``, the result of a call, cut to ``room_tokens`` at the end of a line."""
    room = room_tokens * _BYTES_A_TOKEN
    data = text.encode("utf-8", "replace")
    if len(data) <= room:
        return text
    kept = data[:room].decode("utf-8", "ignore")
    line_end = kept.rfind("\n") + 1
    kept = kept[:line_end] if line_end > len(kept) // 2 else kept
    way_on = _way_on(kept, name, arguments)
    return kept.rstrip("\n") + _CUT.format(shown=len(kept), total=len(text), way_on=way_on)


def _way_on(kept: str, name: str, arguments: str) -> str:
    definition = find(name)
    if definition is None or definition.subject is not Subject.FILE:
        return _OTHER_WAY
    try:
        offset = decode_json(arguments, dict[str, Any]).get("offset")
    except msgspec.DecodeError:
        offset = None
    first = offset if isinstance(offset, int) and offset > 0 else 1
    return f"To go on: {name} with offset={first + kept.count(chr(10))}."


def begin_of_round(messages: Sequence[Mapping[str, Any]]) -> int | None:
    """The index of the answer whose results are the last messages; ``None`` if others are."""
    index = len(messages)
    while index > 0 and messages[index - 1]["role"] != "assistant":
        if messages[index - 1]["role"] == "user" and is_prompt(messages[index - 1]):
            return None
        index -= 1
    return index - 1 if 0 < index < len(messages) else None


def halve_results(messages: list[dict[str, Any]]) -> bool:
    """Cut the longest of the last results in half. ``False``: there is nothing left to cut."""
    begin = begin_of_round(messages)
    if begin is None:
        return False
    sizes = {n: len(_text(messages[n])) for n in range(begin + 1, len(messages))}
    longest = max(sizes, key=lambda n: sizes[n])
    if sizes[longest] < _MIN_LENGTH:
        return False
    room_tokens = len(_text(messages[longest]).encode()) // _BYTES_A_TOKEN // 2
    calls = {call["id"]: call["function"] for call in messages[begin].get("tool_calls", ())}
    function = calls.get(messages[longest].get("tool_call_id"), {})
    text = fitted(
        _text(messages[longest]),
        room_tokens,
        function.get("name", ""),
        function.get("arguments", ""),
    )
    messages[longest] = {**messages[longest], "content": text}
    return True


_MIN_LENGTH = 1000


def without_results(messages: list[dict[str, Any]], reason: str) -> list[dict[str, Any]] | None:
    """The messages without what the last calls returned; ``None`` if they do not end so."""
    begin = begin_of_round(messages)
    if begin is None:
        return None
    note = _OMITTED.format(reason=reason)
    results = [
        {**message, "content": note}
        for message in messages[begin + 1 :]
        if message["role"] == "tool"  # and without the images that follow them
    ]
    return [*messages[: begin + 1], *results]


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    return content if isinstance(content, str) else ""
