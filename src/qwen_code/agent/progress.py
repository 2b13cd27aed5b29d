"""The facts of a conversation that compaction must keep, extracted from its messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec

from qwen_code.agent.news import as_typed
from qwen_code.base.json_text import decode_json
from qwen_code.tools.base import Effect, Subject, Todo
from qwen_code.tools.catalogue import find

PICTURES = "(the pictures that were read)"
"""How a message begins that shows the images that tools have read."""


class _Path(msgspec.Struct):
    path: str


class _Todos(msgspec.Struct):
    todos: list[Todo]


class Progress:
    """The user's prompts, the files that were read and changed, the list of steps, and whether
    there are images."""

    def __init__(self, messages: Iterable[Mapping[str, Any]] = ()) -> None:
        self.words: list[str] = []
        self.files: dict[str, Literal["read", "changed"]] = {}
        self.todos: list[Todo] = []
        self.has_pictures = False
        for message in messages:
            self.note(message)

    def note(self, message: Mapping[str, Any]) -> None:
        """Add the facts of a message."""
        if is_prompt(message):
            self.words.append(as_typed(words_of(message)))
        if message["role"] == "user" and isinstance(message["content"], list):
            self.has_pictures = True
        for call in message.get("tool_calls") or ():
            function = call.get("function", {})
            self._note_call(str(function.get("name")), str(function.get("arguments")))

    def _note_call(self, name: str, arguments: str) -> None:
        definition = find(name)
        if definition is None:
            return
        try:
            if definition.effect is Effect.STEPS:
                self.todos = decode_json(arguments, _Todos).todos
            elif definition.subject is Subject.FILE:
                path = decode_json(arguments, _Path).path
                if definition.effect is Effect.FILES:
                    self.files[path] = "changed"
                else:
                    self.files.setdefault(path, "read")
        except msgspec.DecodeError:
            pass  # the call was invalid


def is_prompt(message: Any) -> bool:
    """Whether a person wrote the message, and it does not only show images that a tool read."""
    if not isinstance(message, dict) or message.get("role") != "user":  # from a damaged file
        return False
    content = message.get("content")
    if not isinstance(content, list):
        return isinstance(content, str)
    first = content[0] if content else None
    return isinstance(first, dict) and first.get("type") == "text" and first.get("text") != PICTURES


def words_of(message: Mapping[str, Any]) -> str:
    """The text of a message, whose content is text or a list of parts."""
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(str(p.get("text", "")) for p in content if isinstance(p, dict))
    return content if isinstance(content, str) else ""
