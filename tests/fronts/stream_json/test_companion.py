from __future__ import annotations

import json
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conversations import FakeFront
from waiting import until

from qwen_code.agent.permission import Always, Answer, No, Once, Question
from qwen_code.agent.toolbox import Prepared
from qwen_code.base.stop import Stop, Stopped
from qwen_code.fronts.stream_json.command_file import Confirmation, Submit
from qwen_code.fronts.stream_json.companion import StreamCompanion
from qwen_code.fronts.stream_json.event_file import open_path
from qwen_code.tools import catalogue
from qwen_code.tools.base import Preview
from qwen_code.tools.shell import ShellArguments
from qwen_code.wiring.front import Form


class Both:
    """A person and a program, who are asked the same."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "events"
        self.companion = StreamCompanion()
        self.companion.write_to(open_path(self._file), "events", self._file)
        self.companion.source = "the file"
        self.person = FakeFront()
        self.front = self.companion.beside(self.person)

    def written(self, kind: str) -> list[dict[str, Any]]:
        lines = self._file.read_bytes().splitlines(keepends=True)
        messages = [json.loads(line) for line in lines if line.endswith(b"\n")]
        return [each for each in messages if each["type"] == kind]

    def confirm(self, *, allowed: bool) -> None:
        request = until(lambda: self.written("control_request"))[-1]
        self.companion._take(Confirmation(request["request_id"], allowed))

    def responses(self, count: int) -> list[Any]:
        found = until(lambda: w if len(w := self.written("control_response")) >= count else [])
        return [each["response"].get("response") for each in found]


@pytest.fixture
def both(tmp_path: Path) -> Both:
    return Both(tmp_path)


@pytest.fixture
def a_question() -> Question:
    def make(_: Any) -> str:
        return "make"

    tool: Any = SimpleNamespace(subject=make, directory=make, title=make)
    prepared = Prepared(catalogue.RUN_SHELL_COMMAND, tool, ShellArguments("make"))
    return Question("c1", prepared, Preview(), "no rule allows it", "this", (), Stop())


def waits(question: Question) -> Answer:
    """The person thinks about it until the question is over."""
    until(lambda: question.stop.is_set)
    raise Stopped


@pytest.mark.parametrize("allowed", [True, False])
def test_the_program_answers_first(both: Both, a_question: Question, allowed: bool) -> None:
    both.person.permit = waits
    threading.Thread(target=lambda: both.confirm(allowed=allowed)).start()
    answer = both.front.permission(a_question)
    assert answer == (Once() if allowed else No())
    assert both.responses(1) == [{"allowed": allowed}]
    assert both.person.notices == [f"{'allowed' if allowed else 'denied'} by the file"]
    assert not a_question.stop.is_set


@pytest.mark.parametrize(
    ("answer", "allowed"), [(Once(), True), (Always("project"), True), (No("why?"), False)]
)
def test_the_person_answers_first(
    both: Both, a_question: Question, answer: Answer, allowed: bool
) -> None:
    both.person.permit = lambda _: answer
    assert both.front.permission(a_question) == answer
    assert both.responses(1) == [{"allowed": allowed}]
    both.confirm(allowed=not allowed)  # too late
    assert both.responses(2)[1] is None and not both.person.notices


def test_an_answer_while_the_person_answers_counts_if_it_came_before(
    both: Both, a_question: Question
) -> None:
    def answers_late(_: Question) -> Answer:
        both.confirm(allowed=False)
        return Once()

    both.person.permit = answers_late
    assert both.front.permission(a_question) == No()
    assert both.responses(1) == [{"allowed": False}]


def test_a_stopped_turn_ends_the_question(both: Both, a_question: Question) -> None:
    both.person.permit = waits

    def stop() -> None:
        until(lambda: both.person.asked)
        a_question.stop.set()

    threading.Thread(target=stop).start()
    with pytest.raises(Stopped):
        both.front.permission(a_question)
    assert both.responses(1) == [{"allowed": False}]


def test_a_stop_counts_more_than_a_yes(both: Both, a_question: Question) -> None:
    def stopped(_: Question) -> Answer:
        a_question.stop.set()
        both.confirm(allowed=True)
        raise Stopped

    both.person.permit = stopped
    with pytest.raises(Stopped):
        both.front.permission(a_question)
    assert both.responses(1) == [{"allowed": False}]


def test_an_answer_needs_the_id_of_its_request(both: Both, a_question: Question) -> None:
    def guessed(question: Question) -> Answer:
        for name in ("", "c1", question.call_id):
            both.companion._take(Confirmation(name, allowed=True))
        assert not question.stop.is_set
        return No()

    both.person.permit = guessed
    assert both.front.permission(a_question) == No()
    assert both.responses(4) == [None, None, None, {"allowed": False}]


def test_other_questions_are_only_for_the_person(both: Both) -> None:
    both.person.fill_in = lambda _: {"answer": "yes"}
    assert both.front.question(Form("Which?", Stop())) == {"answer": "yes"}
    both.front.notice("a line")
    assert both.person.notices == ["a line"] and both.front.is_attended
    assert not both.written("control_request")


def test_without_events_there_is_no_other_front() -> None:
    person = FakeFront()
    assert StreamCompanion().beside(person) is person


def test_prompts_are_taken_in_their_order(both: Both) -> None:
    for text in ("a", "b"):
        both.companion._take(Submit(text))
    assert both.companion.has_prompt()
    assert [both.companion.next_prompt() for _ in range(3)] == ["a", "b", None]
    assert not both.companion.has_prompt()


def test_the_person_is_told_of_bad_lines_once(both: Both) -> None:
    for _ in range(3):
        both.companion._tell_of_command("a line is not a command")
    assert both.companion.news() == ["a line is not a command"] and both.companion.news() == []
    assert until(lambda: len(both.written("system")) == 3)
