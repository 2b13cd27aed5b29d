from __future__ import annotations

from typing import Any

import pytest

from qwen_code.agent.permission import Always, Answer, No, Once, Question, Scope
from qwen_code.agent.rules.types import Mode
from qwen_code.agent.toolbox import Prepared
from qwen_code.base.stop import Stop, Stopped
from qwen_code.fronts.text.questions import Questions
from qwen_code.tools import catalogue
from qwen_code.tools.base import Definition, FileChange, Preview
from qwen_code.tools.shell import ShellArguments
from qwen_code.wiring.front import Form


class FakeTool:
    def subject(self, arguments: Any) -> str:
        return "x"

    def directory(self, arguments: Any) -> str:
        return ""


class Terminal:
    """Answers in order; what is written is kept."""

    def __init__(self, *answers: str | BaseException) -> None:
        self._answers = list(answers)
        self.shown = ""
        self.opened: list[str] = []
        self.questions = Questions(self._read, self._write, lambda text, _: text, self._open)

    def _open(self, url: str) -> str | None:
        self.opened.append(url)
        return "there is no display"

    def _read(self, prompt: str, stop: Stop) -> str:
        self.shown += prompt
        answer = self._answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def _write(self, text: str) -> None:
        self.shown += text

    def asked(
        self,
        definition: Definition = catalogue.RUN_SHELL_COMMAND,
        preview: Preview | None = None,
        rules: tuple[str, ...] = (),
    ) -> Answer:
        tool: Any = FakeTool()
        prepared = Prepared(definition, tool, ShellArguments("make"))
        shown, reason = preview or Preview(), "no rule allows it"
        question = Question("c", prepared, shown, reason, "this much", rules, Stop())
        return self.questions.permission(question)


@pytest.mark.parametrize(
    ("answers", "answer"),
    [
        (["y"], Once()),
        (["", " YES "], Once()),
        (["ok"], Once()),
        (["Sure"], Once()),
        (["a"], Always()),
        (["n"], No()),
        (["use make"], No("use make")),
        ([EOFError()], No("the user is gone", is_unanswered=True)),
        (
            ["e", "make test"],
            Once('{"command":"make test","directory":".","timeout_s":120,"background":false}'),
        ),
        (["e", "", "n"], No()),
    ],
)
def test_answers(answers: list[Any], answer: Answer) -> None:
    assert Terminal(*answers).asked() == answer


@pytest.mark.parametrize(("word", "scope"), [("ap", "project"), ("au", "user")])
def test_always_for_longer_is_offered_where_a_rule_can_say_it(word: str, scope: Scope) -> None:
    terminal = Terminal(word)
    assert terminal.asked(rules=("Bash(make)",)) == Always(scope)
    assert "always in this project" in terminal.shown
    without = Terminal(word)
    assert without.asked() == No(word), "it is not a choice there, so it is what the user says"
    assert "always in this project" not in without.shown


def test_a_stop_is_no_answer() -> None:
    with pytest.raises(Stopped):
        Terminal(Stopped()).asked()


def test_a_change_is_shown_whole_with_names_for_what_cannot_be_seen() -> None:
    terminal = Terminal("y")
    new = "b\x1b]0;x\x07\n" + "c\n" * 999
    terminal.asked(catalogue.EDIT, Preview(change=FileChange("f", "a\n", new)))
    assert "  -a\n  +b<U+001B>]0;x<U+0007>\n" in terminal.shown
    assert terminal.shown.count("  +c\n") == 999
    assert "\x1b" not in terminal.shown


def test_a_command_is_shown_whole_and_verbatim() -> None:
    terminal = Terminal("n")
    command = "echo " + "x" * 5000 + "; \n\trm -rf ~ \u202e#\u200b\x00\r\u3164 end"
    terminal.asked(preview=Preview(command, facts=("in /work/project", "in the sandbox")))
    shown = terminal.shown
    assert "x" * 5000 + "; \n  \trm -rf ~ <U+202E>#<U+200B><U+0000><U+000D><U+3164> end\n" in shown
    assert "  (in /work/project)\n  (in the sandbox)\n" in shown


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("y", Once(mode=Mode.DEFAULT)),
        ("a", Once(mode=Mode.AUTO_EDIT)),
        ("n", No()),
        ("leave the tests alone", No("leave the tests alone")),
    ],
)
def test_a_plan_is_shown_whole_and_accepted_or_not(answer: str, outcome: Answer) -> None:
    terminal = Terminal(answer)
    plan = "\n".join(f"step {n}" for n in range(100))
    assert terminal.asked(catalogue.EXIT_PLAN_MODE, Preview(plan)) == outcome
    assert "step 99" in terminal.shown


@pytest.mark.parametrize(
    ("answer", "told"), [("2", "blue"), ("green", "green"), ("", None), ("7", "7")]
)
def test_the_models_question(answer: str, told: str | None) -> None:
    terminal = Terminal(answer)
    answers = terminal.questions.question(Form("Which?", Stop(), ("red", "blue")))
    assert answers == (None if told is None else {"answer": told})
    assert "Which?" in terminal.shown and "2. blue" in terminal.shown


SCHEMA = {
    "properties": {
        "name": {"type": "string", "title": "Your name", "minLength": 2},
        "age": {"type": "integer", "minimum": 18, "default": 30},
        "email": {"type": "string", "format": "email"},
        "color": {"type": "string", "enum": ["r", "g"], "enumNames": ["Red", "Green"]},
        "size": {"type": "string", "oneOf": [{"const": "l", "title": "Large"}], "default": "l"},
    },
    "required": ["name", "color"],
}


def test_a_form_is_asked_for_field_by_field() -> None:
    terminal = Terminal("", "A", "Ada", "12", "", "no address", "", "3", "2", "", "")
    form = Form("Who?", Stop(), schema=SCHEMA)
    answers = terminal.questions.question(form)
    assert answers == {"name": "Ada", "age": 30, "color": "g", "size": "l"}
    assert "[Large]> " in terminal.shown
    for said in ("This is required", "at least 2 characters", "at least 18", "valid email"):
        assert said in terminal.shown
    assert "2. Green" in terminal.shown and '"Ada"' in terminal.shown


def test_a_form_is_sent_only_after_a_yes() -> None:
    form = Form("Who?", Stop(), schema={"properties": {"name": {}}})
    assert Terminal("Ada", "n").questions.question(form) is None
    assert Terminal("Ada", "e", "Eve", "y").questions.question(form) == {"name": "Eve"}
    assert Terminal(EOFError()).questions.question(form) is None


def test_an_address_is_opened_only_after_a_yes() -> None:
    form = Form("Sign in", Stop(), url="https://pay.example/\x1b[2Jhere")
    refused, opened = Terminal("n"), Terminal("y")
    assert refused.questions.question(form) is None and refused.opened == []
    assert opened.questions.question(form) == {} and opened.opened == [form.url]
    assert "\x1b" not in opened.shown and "there is no display" in opened.shown


def test_with_nobody_there() -> None:
    assert Terminal(EOFError()).questions.question(Form("?", Stop())) is None
