from __future__ import annotations

from typing import Any

import pytest

from qwen_code.agent.approvals import Decision, Judge, Mode, Ruling
from qwen_code.agent.toolbox import Prepared
from qwen_code.cli.permission import Permission, refuse
from qwen_code.tools import catalogue
from qwen_code.tools.base import Definition
from qwen_code.tools.errors import ToolFailed

ASK = Ruling(Decision.ASK, "no rule allows it")


class FakeTool:
    def __init__(self, preview: str | ToolFailed = "") -> None:
        self._preview = preview

    def subject(self, arguments: Any) -> str:
        return str(arguments)

    def preview(self, arguments: Any) -> str:
        if isinstance(self._preview, ToolFailed):
            raise self._preview
        return self._preview


class Terminal:
    """Answers in order; what is written is kept."""

    def __init__(self, *answers: str | BaseException) -> None:
        self._answers = list(answers)
        self.shown = ""
        self.permission = Permission(self._read, self._write, lambda text, _: text)
        self.permission.judge = Judge()

    def _read(self, prompt: str) -> str:
        self.shown += prompt
        answer = self._answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def _write(self, text: str) -> None:
        self.shown += text


def call(definition: Definition, subject: str = "x", preview: str | ToolFailed = "") -> Prepared:
    tool: Any = FakeTool(preview)
    return Prepared(definition, tool, subject)


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        (["y"], None),
        (["", " YES "], None),
        (["n"], "The user said no. Ask what they want instead."),
        (["use make"], "The user did not allow it, and said: use make"),
        ([EOFError()], "The user is gone."),
    ],
)
def test_answers(answers: list[str], told: str | None) -> None:
    assert Terminal(*answers).permission.ask(call(catalogue.RUN_SHELL_COMMAND), ASK) == told


def test_ctrl_c_stops_everything() -> None:
    with pytest.raises(KeyboardInterrupt):
        Terminal(KeyboardInterrupt()).permission.ask(call(catalogue.EDIT), ASK)


def test_nobody_is_asked_about_what_cannot_be_done() -> None:
    terminal = Terminal()
    edit = call(catalogue.EDIT, preview=ToolFailed("Read it first."))
    assert terminal.permission.ask(edit, ASK) == "Read it first."
    assert terminal.shown == ""


def test_always_for_a_page_is_its_host() -> None:
    terminal = Terminal("a")
    assert terminal.permission.ask(call(catalogue.WEB_FETCH, "docs.example.org"), ASK) is None
    assert "all of docs.example.org" in terminal.shown


def test_always_for_an_edit_is_all_edits() -> None:
    terminal = Terminal("a")
    assert terminal.permission.ask(call(catalogue.EDIT), ASK) is None
    assert terminal.permission.judge is not None
    assert terminal.permission.judge.mode is Mode.AUTO_EDIT
    assert "all edits in this session" in terminal.shown


def test_always_for_a_command_is_this_command() -> None:
    terminal = Terminal("a")
    made = call(catalogue.RUN_SHELL_COMMAND, "make test")
    assert terminal.permission.ask(made, ASK) is None
    judge = terminal.permission.judge
    assert judge is not None
    assert judge(made.call).decision is Decision.ALLOW
    assert judge(call(catalogue.RUN_SHELL_COMMAND, "make").call).decision is Decision.ASK


def test_what_would_change_is_shown_without_escape_sequences() -> None:
    terminal = Terminal("y")
    terminal.permission.ask(call(catalogue.EDIT, preview="-a\n+b\x1b]0;x\x07\n" + "c\n" * 99), ASK)
    assert "  -a\n  +b\n" in terminal.shown and "… 41 more lines" in terminal.shown


@pytest.mark.parametrize(
    ("answer", "told"), [("2", "blue"), ("green", "green"), ("", None), ("7", "7")]
)
def test_the_models_question(answer: str, told: str | None) -> None:
    terminal = Terminal(answer)
    assert terminal.permission.ask_user("Which?", ["red", "blue"]) == told
    assert "Which?" in terminal.shown and "2. blue" in terminal.shown


def test_with_nobody_there() -> None:
    assert "nobody can be asked" in refuse(call(catalogue.EDIT), ASK)
    assert Terminal(EOFError()).permission.ask_user("?", []) is None
