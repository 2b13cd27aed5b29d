"""Asks a person at the terminal whether a tool may be called, and what a model wants to know."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qwen_code.agent.approvals import Judge, Mode, Ruling
from qwen_code.agent.toolbox import Prepared
from qwen_code.headless.terminal import safe_text
from qwen_code.tools.base import Reach, Subject
from qwen_code.tools.errors import ToolFailed

__all__ = ["Permission", "refuse"]

_MOST_PREVIEW_LINES = 60


def refuse(_: Prepared, ruling: Ruling) -> str:
    """The answer where there is nobody to ask."""
    return f"Not allowed: {ruling.reason}, and in this run nobody can be asked."


class Permission:
    """``read_line`` raises ``EOFError`` where the user is gone and ``KeyboardInterrupt`` where
    they want to stop everything."""

    def __init__(
        self,
        read_line: Callable[[str], str],
        write: Callable[[str], None],
        paint: Callable[[str, str], str],
    ) -> None:
        self._read_line = read_line
        self._write = write
        self._paint = paint
        self.judge: Judge | None = None

    def ask(self, prepared: Prepared, ruling: Ruling) -> str | None:
        """``None`` for yes; else what the model is told."""
        try:
            self._show(prepared)
        except ToolFailed as error:
            return error.message  # nobody needs to think about what cannot be done
        always = self._always(prepared)
        question = (
            f"Do it? ({ruling.reason})  [y]es, [a]lways ({always}), [n]o, or say what instead: "
        )
        while True:
            try:
                answer = self._read_line(question).strip()
            except EOFError:
                return "The user is gone."
            if answer.lower() in ("y", "yes"):
                return None
            if answer.lower() in ("a", "always"):
                self._allow_from_now_on(prepared)
                return None
            if answer.lower() in ("n", "no"):
                return "The user said no. Ask what they want instead."
            if answer:
                return f"The user did not allow it, and said: {answer}"

    def ask_user(self, question: str, options: Sequence[str]) -> str | None:
        """The model's question, answered by a person; ``None`` where they do not want to."""
        self._write(f"{self._paint(safe_text(question), '1')}\n")
        for number, option in enumerate(options, 1):
            self._write(f"  {number}. {safe_text(option)}\n")
        try:
            answer = self._read_line("Your answer: ").strip()
        except EOFError:
            return None
        if answer.isdecimal() and 1 <= int(answer) <= len(options):
            return options[int(answer) - 1]
        return answer or None

    def _show(self, prepared: Prepared) -> None:
        lines = safe_text(prepared.preview()).splitlines()
        for line in lines[:_MOST_PREVIEW_LINES]:
            code = {"+": "32", "-": "31", "@": "36"}.get(line[:1], "2")
            self._write(f"  {self._paint(line, code)}\n")
        if len(lines) > _MOST_PREVIEW_LINES:
            self._write(f"  … {len(lines) - _MOST_PREVIEW_LINES} more lines\n")

    def _always(self, prepared: Prepared) -> str:
        if prepared.definition.reach is Reach.EDIT:
            return "all edits in this session"
        if prepared.definition.subject is Subject.COMMAND:
            return "this very command"
        if prepared.definition.subject is Subject.HOST:
            return f"all of {safe_text(prepared.call.subject)}"
        return f"every {prepared.definition.name}"

    def _allow_from_now_on(self, prepared: Prepared) -> None:
        assert self.judge is not None
        if prepared.definition.reach is Reach.EDIT and self.judge.mode is Mode.DEFAULT:
            self.judge.mode = Mode.AUTO_EDIT
        else:
            self.judge.allow_from_now_on(prepared.call)
