"""The history of a resumed session as events, so that fronts show it as they show a turn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from qwen_code.agent.calls import ToolCall, announced, finished
from qwen_code.agent.events import AgentEvent, PromptSent, ToolAsked
from qwen_code.agent.news import as_typed
from qwen_code.agent.progress import is_prompt, words_of
from qwen_code.agent.toolbox import Toolbox
from qwen_code.base.json_text import decode_json
from qwen_code.models.events import Finished, TextDelta
from qwen_code.tools.base import Effect, Result, Todo
from qwen_code.tools.catalogue import find
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.todo import TodoArguments


def replay(
    messages: Sequence[Mapping[str, Any]], toolbox: Toolbox | None = None
) -> Iterator[list[AgentEvent]]:
    """The events that ``messages`` came from, one list per message.

    ``toolbox`` provides the titles of calls. Reasoning, diffs and durations are absent, because
    messages do not contain them.
    """
    asked: dict[str, ToolCall] = {}
    for message in messages:
        role = message.get("role")
        if is_prompt(message):
            yield [PromptSent(as_typed(words_of(message)))]
        elif role == "assistant":
            yield _answer(message, asked, toolbox)
        elif role == "tool" and (call := asked.pop(str(message.get("tool_call_id")), None)):
            todos = _todos(call)
            yield [finished(call, Result(words_of(message), "", todos=todos))]


def _answer(
    message: Mapping[str, Any], asked: dict[str, ToolCall], toolbox: Toolbox | None
) -> list[AgentEvent]:
    events: list[AgentEvent] = []
    if text := words_of(message):
        events.append(TextDelta(text))
    calls = []
    for each in message.get("tool_calls") or ():
        function = each.get("function", {})
        call = ToolCall(
            str(each.get("id")), str(function.get("name")), str(function.get("arguments"))
        )
        asked[call.id] = call
        calls.append(_asked(call, toolbox))
    return [*events, Finished("tool_calls" if calls else "stop"), *calls]


def _asked(call: ToolCall, toolbox: Toolbox | None) -> ToolAsked:
    prepared = None
    if toolbox is not None:
        with suppress(ToolFailed):  # the tool no longer exists, or its arguments have changed
            prepared = toolbox.prepare(call.name, call.arguments)
    definition = toolbox.definition(call.name) if toolbox else find(call.name)
    return announced(call, definition, prepared)


def _todos(call: ToolCall) -> tuple[Todo, ...] | None:
    definition = find(call.name)
    if definition is None or definition.effect is not Effect.STEPS:
        return None
    try:
        return tuple(decode_json(call.arguments, TodoArguments).todos)
    except msgspec.DecodeError:
        return None
