from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_code.agent.small import GuidedModel, possible_calls
from qwen_code.base.stop import Stop
from qwen_code.models.events import (
    Event,
    EventStream,
    Finished,
    Retrying,
    TextDelta,
    ToolCallDelta,
)

KINDS = {"notes.txt": "file", "b.txt": "file", "src": "directory", "LICENSE": "file"}
TOOLS = [
    {"type": "function", "function": {"name": name}}
    for name in ("read_file", "list_directory", "grep", "run_shell_command")
]


def kind_of(text: str) -> str:
    return KINDS.get(text, "")


class FakeChooser:
    """Answers in the form that it is asked for: with ``step`` if the schema has it."""

    def __init__(self, *texts: str) -> None:
        self._texts = list(texts)
        self.asked: list[tuple[list[Any], Any, Any]] = []

    def complete(
        self, messages: Any, tools: Any = None, *, stop: Stop, response_format: Any = None
    ) -> EventStream:
        self.asked.append(([*messages], tools, response_format))
        for piece in self._texts.pop(0).partition(" "):
            yield [TextDelta(piece)]
        yield [Finished("stop")]


def answer(model: FakeChooser, messages: list[Any], tools: Any = TOOLS) -> list[Event]:
    def collect() -> list[Event]:
        guided = GuidedModel(model, kind_of)
        return [
            event for events in guided.complete(messages, tools, stop=Stop()) for event in events
        ]

    return collect()


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def called(name: str, arguments: str, result: str) -> list[dict[str, Any]]:
    call = {"id": "c", "type": "function", "function": {"name": name, "arguments": arguments}}
    return [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": result},
    ]


def choices(model: FakeChooser) -> list[dict[str, Any]]:
    """The steps that the last schema allows."""
    steps = model.asked[0][2]["json_schema"]["schema"]["anyOf"]
    return [step["properties"] for step in steps]


def test_what_a_choice_waits_for_is_told() -> None:
    class Slow(FakeChooser):
        def complete(self, *arguments: Any, **named: Any) -> EventStream:
            yield [Retrying(2, 0.5, "it did not answer within 300 s")]
            yield from super().complete(*arguments, **named)

    model = Slow('{"tool": "read_file", "path": "notes.txt"}')
    events = answer(model, [user("What is in notes.txt?")])
    assert [type(event) for event in events] == [Retrying, ToolCallDelta, Finished]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What is in notes.txt?", {"read_file": ["notes.txt"]}),
        ("Explain `src/new.py`.", {"read_file": ["src/new.py"]}),
        ("What does the LICENSE say?", {"read_file": ["LICENSE"]}),
        ("Which files are in src?", {"list_directory": ["src", "."]}),
        ("Where is parse_config called by LoadUser?", {"grep": ["parse_config", "LoadUser"]}),
        ("Run `make test`, please", {"run_shell_command": ["make test"]}),
        ("What does `make test` do?", {}),
        ("Write a function that adds two numbers", {}),
        ("Say hello", {}),
        ("", {}),
    ],
)
def test_calls_come_from_the_users_words(question: str, expected: dict[str, list[str]]) -> None:
    found = possible_calls(question, kind_of)
    assert {name: subjects for name, subjects in found.items() if subjects} == expected


@given(st.text())
def test_any_question_can_be_looked_at(question: str) -> None:
    for subjects in possible_calls(question, kind_of).values():
        assert all(subject in question or subject == "." for subject in subjects)


def test_a_question_about_nothing_here_goes_straight_to_the_model() -> None:
    model = FakeChooser("a class is")
    events = answer(model, [user("What is a class?")])
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == "a class is"
    assert model.asked == [([user("What is a class?")], None, None)]


def test_the_chosen_step_becomes_a_call() -> None:
    model = FakeChooser('{"tool": "read_file", "path": "notes.txt"}')
    events = answer(model, [user("What is in notes.txt?")])
    assert isinstance(events[0], ToolCallDelta)
    assert events[0].name == "read_file"
    assert json.loads(events[0].arguments) == {"path": "notes.txt", "limit": 150}
    assert events[1] == Finished("tool_calls")


def test_a_file_that_is_there_has_to_be_read_first() -> None:
    model = FakeChooser('{"tool": "read_file", "path": "notes.txt"}')
    answer(model, [user("What is in notes.txt?")])
    assert choices(model) == [{"tool": {"const": "read_file"}, "path": {"enum": ["notes.txt"]}}]


def test_where_nothing_has_to_be_read_it_may_answer() -> None:
    model = FakeChooser('{"tool": "answer"}', "it is a pattern")
    events = answer(model, [user("What is AbstractFactory?")])
    assert choices(model)[-1] == {"tool": {"const": "answer"}}
    assert any(isinstance(event, TextDelta) for event in events)
    assert model.asked[1][2] is None


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", '{"tool": 1}', '{"tool": "write_file", "path": "notes.txt"}'),
        '{"tool": "read_file", "path": "/etc/passwd"}',
        '{"path": "notes.txt"}',
    ],
)
def test_anything_else_is_no_call(text: str) -> None:
    model = FakeChooser(text, "words")
    events = answer(model, [user("What is in notes.txt?")])
    assert not any(isinstance(event, ToolCallDelta) for event in events)


def test_what_came_back_stands_before_the_question() -> None:
    model = FakeChooser("on Tuesday")
    read = called("read_file", '{"path": "notes.txt"}', "The meeting is on Tuesday.")
    system = {"role": "system", "content": "work"}
    answer(model, [system, user("When is the meeting in notes.txt?"), *read])
    (messages, tools, _) = model.asked[0]
    assert tools is None
    assert [message["role"] for message in messages] == ["system", "user"]
    assert "text that is given" in messages[0]["content"]
    assert messages[1]["content"] == (
        "notes.txt:\n```\nThe meeting is on Tuesday.\n```\n\nWhen is the meeting in notes.txt?"
    )


def test_both_files_of_a_question_are_read() -> None:
    model = FakeChooser('{"tool": "read_file", "path": "b.txt"}')
    read = called("read_file", '{"path": "notes.txt"}', "x")
    events = answer(model, [user("Compare notes.txt and b.txt"), *read])
    assert isinstance(events[0], ToolCallDelta)
    assert choices(model) == [{"tool": {"const": "read_file"}, "path": {"enum": ["b.txt"]}}]


def test_tools_that_are_not_offered_are_not_chosen() -> None:
    model = FakeChooser("words")
    answer(model, [user("Run `make test`")], TOOLS[:1])
    assert model.asked[0][2] is None


def test_calls_of_another_model_are_read_too() -> None:
    model = FakeChooser("words")
    before = [user("hi"), *called("edit", "{broken", "no"), {"role": "assistant", "content": "ok"}]
    answer(model, [*before, user("And now?")])
    assert [m["role"] for m in model.asked[0][0]] == ["user", "assistant", "user"]
