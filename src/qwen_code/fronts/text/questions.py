"""Asks the user in plain text: for permission to call a tool, and questions of the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from qwen_code.agent.permission import Always, Answer, No, Once, Question, Scope
from qwen_code.agent.rules.types import Mode
from qwen_code.base.stop import Stop
from qwen_code.base.text import safe_text, visible_text
from qwen_code.fronts.text.loop import picked
from qwen_code.tools.base import Subject
from qwen_code.wiring.forms import Field, fields_of
from qwen_code.wiring.front import Answers, Form

_GONE = No("the user is gone", is_unanswered=True)
_YES = ("y", "yes", "ok", "okay", "yep", "yeah", "sure")
_SCOPES: dict[str, Scope] = {
    "a": "session",
    "always": "session",
    "ap": "project",
    "au": "user",
}


class Questions:
    """``open_url`` opens the browser, or returns why it does not. ``read_line`` raises ``EOFError``
    at the end of input, and `Stopped` when the turn ends."""

    def __init__(
        self,
        read_line: Callable[[str, Stop], str],
        write: Callable[[str], None],
        paint: Callable[[str, str], str],
        open_url: Callable[[str], str | None],
    ) -> None:
        self._read_line = read_line
        self._write = write
        self._paint = paint
        self._open_url = open_url

    def permission(self, question: Question) -> Answer:
        """The user's answer. Any text that is not a choice is a no, with the text as the reason."""
        self._show(question)
        try:
            return self._accept_plan(question) if question.is_plan else self._allow(question)
        except EOFError:
            return _GONE

    def question(self, form: Form) -> Answers | None:
        """A line or a choice; for a schema, one line for each field."""
        self._write(f"{self._paint(safe_text(form.text), '1')}\n")
        try:
            if form.schema is not None:
                return self._filled_in(fields_of(form.schema), form.stop)
            if form.url:
                return self._visited(form)
            answer = self._choice(form.options, form.stop)
        except EOFError:
            return None
        return {"answer": answer} if answer else None

    def _filled_in(self, fields: Sequence[Field], stop: Stop) -> Answers | None:
        """What the person writes in each field, after they have agreed to send it."""
        self._write("  (Enter takes what is in brackets; Ctrl-D answers nothing.)\n")
        while True:
            answers = {
                field.name: value
                for field in fields
                if (value := self._field(field, stop)) is not None
            }
            for name, value in answers.items():
                shown = msgspec.json.encode(value).decode()
                self._write(f"  {visible_text(name)}: {visible_text(shown)}\n")
            word = self._line("Send this?  [Y]es, [n]o, [e]dit: ", stop).lower()
            if word not in ("e", "edit"):
                return answers if not word or word in _YES else None

    def _field(self, field: Field, stop: Stop) -> Any:
        about = f": {safe_text(field.description)}" if field.description else ""
        self._write(f"  {safe_text(field.label)}{about}\n")
        for number, (_, label) in enumerate(field.choices, 1):
            self._write(f"    {number}. {safe_text(label)}\n")
        several = " (several: 1, 2)" if field.kind == "choices" else ""
        optional = "" if field.is_required or field.default is not None else " (optional)"
        default = "" if field.default is None else f" [{_shown(field)}]"
        while True:
            try:
                return field.read(self._line(f"  {several}{optional}{default}> ", stop))
            except ValueError as error:
                self._write(f"  {str(error).capitalize()}.\n")

    def _visited(self, form: Form) -> Answers | None:
        """Open the address, if the person wants to."""
        self._write(f"  {visible_text(form.url)}\n")
        if self._line("Open it in the browser?  [y]es, [n]o: ", form.stop).lower() not in _YES:
            return None
        if problem := self._open_url(form.url):
            self._write(f"  Open it yourself: {problem}.\n")
        return {}

    def _allow(self, question: Question) -> Answer:
        is_command = question.prepared.definition.subject is Subject.COMMAND
        edit = "[e]dit, " if is_command else ""
        longer = "; ap: always in this project, au: always everywhere" if question.rules else ""
        always, reason = visible_text(question.always), visible_text(question.reason)
        text = (
            f"Do it? ({reason})  [y]es, [a]lways ({always}{longer}), "
            f"[n]o, {edit}or say what instead: "
        )
        while True:
            answer = self._line(text, question.stop)
            word = answer.lower()
            if word in _YES:
                return Once()
            if word in _SCOPES and (question.rules or _SCOPES[word] == "session"):
                return Always(_SCOPES[word])
            if word in ("n", "no"):
                return No()
            if word in ("e", "edit") and is_command:
                if changed := self._line("Run this instead: ", question.stop):
                    arguments = msgspec.to_builtins(question.prepared.arguments)
                    changed_arguments = {**arguments, "command": changed}
                    return Once(msgspec.json.encode(changed_arguments).decode())
            elif answer:
                return No(answer)

    def _accept_plan(self, question: Question) -> Answer:
        text = (
            "Accept this plan?  [y]es, ask before each change, [a]ll edits without asking, "
            "[n]o, or say what to change: "
        )
        while True:
            answer = self._line(text, question.stop)
            if answer.lower() in _YES:
                return Once(mode=Mode.DEFAULT)
            if answer.lower() in ("a", "all"):
                return Once(mode=Mode.AUTO_EDIT)
            if answer:
                return No("" if answer.lower() in ("n", "no") else answer)

    def _choice(self, options: Sequence[str], stop: Stop) -> str:
        for number, option in enumerate(options, 1):
            self._write(f"  {number}. {safe_text(option)}\n")
        answer = self._line("Your answer: ", stop)
        index = picked(answer, len(options))
        return answer if index is None else options[index]

    def _line(self, prompt: str, stop: Stop) -> str:
        return self._read_line(prompt, stop).strip()

    def _show(self, question: Question) -> None:
        """All of it: what is not shown is not approved."""
        preview = question.preview
        if question.helper:
            said = f"The helper {question.helper} asks: {question.prepared.title}"
            self._write(f"  {self._paint(visible_text(said), '1')}\n")
        if preview.change:
            lines = question.stop.run_beside(preview.change.diff)  # slow for a large file
        else:
            lines = preview.text.split("\n") if preview.text else []
        for line in lines:
            code = {"+": "32", "-": "31", "@": "36"}.get(line[:1], "2") if preview.change else "2"
            self._write(f"  {self._paint(visible_text(line), code)}\n")
        for fact in preview.facts:
            self._write(f"  ({visible_text(fact)})\n")


def _shown(field: Field) -> str:
    """What Enter stands for, in the words of the choices."""
    default, labels = field.default, dict(field.choices)
    if isinstance(default, bool):
        return "yes" if default else "no"
    values = default if isinstance(default, list) else [default]
    return ", ".join(safe_text(labels.get(str(each), str(each))) for each in values)
