"""A new tool is its module and its entry in the catalogue, and nothing else."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import msgspec
import pytest
from conversations import Talk, ask
from model_server import FakeModelServer, call

from qwen_code.agent.events import AgentEvent, ToolFinished
from qwen_code.agent.permission import Always, Question
from qwen_code.base.stop import Stop
from qwen_code.fronts.text.tool_lines import ToolLines
from qwen_code.tools import catalogue
from qwen_code.tools.base import (
    BuiltInTool,
    Definition,
    Effect,
    Result,
    Subject,
    parameters_of,
)
from qwen_code.tools.context import ToolContext
from qwen_code.tools.workspace import HeldPlaces

# -- the module -----------------------------------------------------------------------------------


class Arguments(msgspec.Struct):
    path: str


class Tool(BuiltInTool[Arguments]):
    arguments = Arguments

    def __init__(self, context: ToolContext) -> None:
        self.context = context
        self.places = HeldPlaces(context.workspace)

    @classmethod
    def create(cls, context: ToolContext) -> Self:
        return cls(context)

    def title(self, arguments: Arguments) -> str:
        return arguments.path

    def subject(self, arguments: Arguments) -> str:
        return self.places.shown(arguments, arguments.path)


class Count(Tool):
    def run(self, arguments: Arguments, show: Callable[[str], None], stop: Stop) -> Result:
        place = self.places.of(arguments, arguments.path)
        text = f"{len(self.context.workspace.read(place, 1000))} bytes"
        return Result(text, text)


class Shout(Tool):
    def run(self, arguments: Arguments, show: Callable[[str], None], stop: Stop) -> Result:
        place = self.places.of(arguments, arguments.path)
        data = self.context.workspace.read(place, 1000).upper()
        self.context.keep(place, data)
        self.context.workspace.write(place, data)
        return Result("done", "done")


# -- the table ------------------------------------------------------------------------------------

COUNT = Definition(
    "count",
    "Count the bytes of a file.",
    parameters_of(Arguments),
    effect=Effect.NONE,
    verb="Count",
    subject=Subject.FILE,
    audience=frozenset({"agent", "helpers"}),
    implementation="new_tool:Count",
)
SHOUT = Definition(
    "shout",
    "Write a file in capitals.",
    parameters_of(Arguments),
    effect=Effect.FILES,
    verb="Shout",
    subject=Subject.FILE,
    implementation="new_tool:Shout",
)
Count.definition, Shout.definition = COUNT, SHOUT


@pytest.fixture(autouse=True)
def two_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "new_tool", sys.modules[__name__])
    monkeypatch.setattr(catalogue, "BUILT_IN", (*catalogue.BUILT_IN, COUNT, SHOUT))


@pytest.fixture
def file(talk: Talk) -> Path:
    file = talk.project / "a.txt"
    file.write_text("hello")
    return file


def offered(model: FakeModelServer, index: int) -> set[str]:
    return {tool["function"]["name"] for tool in model.requests[index].body["tools"]}


def shown(events: list[AgentEvent]) -> list[str]:
    lines = ToolLines(shows_output=True)
    return [line for event in events for line in lines.lines(event)]


def ends(events: list[Any]) -> list[ToolFinished]:
    return [event for event in events if isinstance(event, ToolFinished)]


def test_it_is_offered_to_its_audience(talk: Talk, model: FakeModelServer) -> None:
    model.script = [call("task", prompt="look"), [{"content": "found"}]]
    ask(talk.open(), "go")
    assert {"count", "shout"} <= offered(model, 0)
    assert {"count", "shout"} & offered(model, 1) == {"count"}


def test_one_that_only_reads_is_called_unasked(
    talk: Talk, model: FakeModelServer, file: Path
) -> None:
    model.script = [call("count", path="a.txt")]
    conversation = talk.open(mode="plan")
    events = ask(conversation, "go")
    assert shown(events) == ["• Count a.txt · 5 bytes"]
    assert not talk.front.asked
    assert conversation._opened()[1].agent.progress.files == {"a.txt": "read"}


def test_one_that_changes_files_is_asked_about_kept_and_undone(
    talk: Talk, model: FakeModelServer, file: Path
) -> None:
    def always(question: Question) -> Always:
        assert question.always == "all edits in this session"
        assert question.rules == ("edit", "shout", "write_file")
        return Always("session")

    talk.front.permit = always
    model.script = [call("shout", path="a.txt")]
    conversation = talk.open()
    assert shown(ask(conversation, "go")) == ["• Shout a.txt", "  done"]
    assert len(talk.front.asked) == 1
    assert file.read_text() == "HELLO"
    assert conversation._opened()[1].agent.progress.files == {"a.txt": "changed"}
    assert conversation.undo().restored == ("a.txt",)
    assert file.read_text() == "hello"


def test_a_mode_and_a_rule_decide_about_it(talk: Talk, model: FakeModelServer, file: Path) -> None:
    model.script = [call("shout", path="a.txt")]
    (denied,) = ends(ask(talk.open(mode="plan"), "go"))
    assert denied.is_denied and "plan mode" in denied.text
    model.script = [call("shout", path="a.txt")]
    (allowed,) = ends(ask(talk.open(rules=("shout(*.txt)",)), "go"))
    assert not allowed.is_error
    assert file.read_text() == "HELLO"
    assert not talk.front.asked
