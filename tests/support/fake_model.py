"""A model whose answers are written down beforehand, for tests of what goes on around it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from qwen_code.base.stop import Stop
from qwen_code.models.events import Event, EventStream, Finished, TextDelta, ToolCallDelta, Usage

Answer = Sequence[Event | BaseException]


class FakeModel:
    """Gives the answers one after the other, and keeps what it was asked; an exception among the
    events is raised."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.asked: list[list[dict[str, Any]]] = []
        self.tools: list[Any] = []

    def complete(self, messages: Any, tools: Any = None, *, stop: Stop) -> EventStream:
        self.asked.append([dict(message) for message in messages])
        self.tools.append(tools)
        for event in self._answers.pop(0):
            if isinstance(event, BaseException):
                raise event
            yield [event]


def says(text: str, tokens: int = 0) -> list[Event]:
    """An answer in words; the server says that it counted ``tokens``."""
    usage = [Usage(tokens, 0, tokens)] if tokens else []
    return [TextDelta(text), *usage, Finished("stop")]


def calls(name: str, index: int = 0, **arguments: Any) -> list[Event]:
    """An answer, or a part of one, that calls a tool."""
    return [ToolCallDelta(index, f"c{index}", name, json.dumps(arguments))]
