from __future__ import annotations

from typing import Any

from qwen_code.agent.events import AgentEvent, PromptSent, ToolAsked, ToolFinished
from qwen_code.agent.replay import replay
from qwen_code.models.events import Finished, TextDelta
from qwen_code.tools.base import Todo


def events(*messages: dict[str, Any]) -> list[AgentEvent]:
    return [event for batch in replay(messages) for event in batch]


def answer(text: str | None, *calls: tuple[str, str, str]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if calls:
        message["tool_calls"] = [
            {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
            for call_id, name, arguments in calls
        ]
    return message


def result(call_id: str, text: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": text}


def test_prompts_answers_and_calls_in_their_order() -> None:
    found = events(
        {"role": "user", "content": "do it"},
        answer("Looking.", ("c1", "read_file", '{"path": "a"}'), ("c2", "glob", "{}")),
        result("c1", "alpha\nbeta"),
        result("c2", "a"),
        answer("Done."),
    )
    assert [type(event) for event in found] == [
        *(PromptSent, TextDelta, Finished, ToolAsked, ToolAsked),
        *(ToolFinished, ToolFinished, TextDelta, Finished),
    ]
    asked = [event for event in found if isinstance(event, ToolAsked)]
    assert asked[0] == ToolAsked("c1", "read_file", "", '{"path": "a"}', "Read")
    ends = [event for event in found if isinstance(event, ToolFinished)]
    assert (ends[0].call_id, ends[0].text, ends[0].summary) == ("c1", "alpha\nbeta", "alpha")


def test_steps_come_back_as_data() -> None:
    arguments = '{"todos": [{"content": "look", "status": "completed"}]}'
    (*_, end) = events(answer(None, ("c", "todo_write", arguments)), result("c", "[x] look"))
    assert isinstance(end, ToolFinished)
    assert end.todos == (Todo("look", "completed"),)


def test_what_cannot_be_understood_costs_itself() -> None:
    found = events(
        answer(None, ("c", "todo_write", "no JSON")),
        result("c", "it failed"),
        result("nobody", "an answer without a call"),
    )
    ends = [event for event in found if isinstance(event, ToolFinished)]
    assert [(end.text, end.todos) for end in ends] == [("it failed", None)]
