"""Repair a conversation so that the Chat Completions API accepts it, and format it to read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from qwen_code.agent.calls import acceptable_arguments, acceptable_name
from qwen_code.agent.progress import is_prompt, words_of

_UNANSWERED = "The session ended before this was done."
_NOTHING_SAID = {"role": "assistant", "content": "(nothing more was said)"}


def repaired(messages: Iterable[Any]) -> list[dict[str, Any]]:
    """``messages`` without the parts that the API would reject, and with a result for every call.

    Well-formed messages are unchanged; repairing again changes nothing.
    """
    whole: list[dict[str, Any]] = []
    waiting: list[str] = []
    for message in messages:
        clean = _clean(message)
        if clean is None:
            continue
        if clean["role"] == "tool":
            if clean["tool_call_id"] not in waiting:
                continue
            waiting.remove(clean["tool_call_id"])
        else:
            whole += _answers(waiting)
            waiting = [call["id"] for call in clean.get("tool_calls", ())]
            role_before = whole[-1]["role"] if whole else None
            if clean == _NOTHING_SAID and role_before in (None, "assistant"):
                continue
            if clean["role"] == role_before == "assistant":  # what was between them is lost
                clean = _joined(whole.pop(), clean)
            elif clean["role"] == role_before == "user" or (
                role_before == "tool" and is_prompt(clean)
            ):
                whole.append(_NOTHING_SAID.copy())
        whole.append(clean)
    return whole + _answers(waiting)


def is_usable(message: Any) -> bool:
    """Whether anything of a message from a file can be sent."""
    return _clean(message) is not None


def close_open_end(messages: list[dict[str, Any]]) -> None:
    """Add an answer of the model if another message is the last, because the next one will be the
    user's: some servers reject two user messages in a row, and one after a tool result."""
    if messages and messages[-1]["role"] != "assistant":
        messages.append(_NOTHING_SAID.copy())


def as_markdown(messages: Sequence[Mapping[str, Any]]) -> str:
    """A conversation as Markdown."""
    parts = []
    for message in messages:
        role = str(message.get("role"))
        text = words_of(message).strip()
        if role == "tool":
            parts.append(f"```\n{text}\n```")
        elif text:
            parts.append(f"## {role.capitalize()}\n\n{text}")
        for call in message.get("tool_calls") or ():
            function = call.get("function", {})
            parts.append(f"**{function.get('name')}** `{function.get('arguments')}`")
    return "\n\n".join(parts) + "\n"


def _answers(ids: Sequence[str]) -> list[dict[str, Any]]:
    return [{"role": "tool", "tool_call_id": each, "content": _UNANSWERED} for each in ids]


def _clean(message: Any) -> dict[str, Any] | None:
    """A message that the API accepts, as close to the given one as possible."""
    if not isinstance(message, dict):
        return None
    role = message.get("role")
    if role == "assistant":
        return _clean_assistant(message)
    if role == "user":
        content = _content(message.get("content"), images=True)
    elif role == "tool" and isinstance(message.get("tool_call_id"), str):
        content = _content(message.get("content"))
    else:
        return None
    if content is None:
        return None
    foreign = ("tool_calls", "tool_call_id" if role == "user" else "")
    kept = {name: value for name, value in message.items() if name not in foreign}
    return {**kept, "content": content}


def _clean_assistant(message: dict[str, Any]) -> dict[str, Any] | None:
    content = _content(message.get("content"))
    calls = _calls(message.get("tool_calls"))
    if not content and not calls:
        return None
    clean = {**message, "content": content, "tool_calls": calls}
    clean.pop("tool_call_id", None)
    if not calls:
        del clean["tool_calls"]
    return clean


def _joined(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Two answers in a row as one. The first made no calls, or their results would be between."""
    text = "\n\n".join(words for each in (first, second) if (words := words_of(each)))
    return {**first, **second, "content": text or None}


def _content(value: Any, *, images: bool = False) -> str | list[Any] | None:
    """Text, or the valid parts of a list."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        return None
    return [part for part in value if _is_text(part) or (images and _is_image(part))] or None


def _is_text(part: Any) -> bool:
    return (
        isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)
    )


def _is_image(part: Any) -> bool:
    """Whether it is a picture or a document."""
    kind = part.get("type") if isinstance(part, dict) else None
    field = {"image_url": "url", "file": "file_data"}.get(kind) if isinstance(kind, str) else None
    shown = part.get(kind) if field else None
    return isinstance(shown, dict) and isinstance(shown.get(field), str)


def _calls(value: Any) -> list[dict[str, Any]]:
    """The valid calls: each has a unique id and names a tool."""
    calls: dict[str, dict[str, Any]] = {}
    for call in value if isinstance(value, list) else ():
        if not isinstance(call, dict) or not isinstance(call.get("function"), dict):
            continue
        call_id, function = call.get("id"), call["function"]
        name = function.get("name")
        if isinstance(call_id, str) and call_id and isinstance(name, str) and name:
            arguments = _arguments(function.get("arguments"))
            whole = {**function, "name": acceptable_name(name), "arguments": arguments}
            clean = {**call, "type": "function", "function": whole}
            calls.setdefault(call_id, clean)
    return list(calls.values())


def _arguments(value: Any) -> str:
    """A JSON object as text; servers reject anything else."""
    if isinstance(value, dict):
        return msgspec.json.encode(value).decode()
    return acceptable_arguments(value) if isinstance(value, str) else "{}"
