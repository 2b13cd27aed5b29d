"""Renders the answer as text, and everything else as separate lines."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TextIO

from qwen_code.agent.events import AgentEvent, HelperEvent, MentionRead, QuestionAsked
from qwen_code.base.text import safe_text
from qwen_code.fronts.console import is_plain, paint
from qwen_code.fronts.remarks import remark
from qwen_code.models.events import RefusalDelta, TextDelta, TextWasReasoning, ToolCallDelta

if TYPE_CHECKING:
    from qwen_code.fronts.renderer import Outcome
    from qwen_code.fronts.text.markdown import MarkdownStyler
    from qwen_code.fronts.text.tool_lines import ToolLines
    from qwen_code.wiring.state import State

_TOOL_EVENTS = {
    *("ToolAsked", "QuestionAsked", "ToolChanged", "ToolOutput", "ToolFinished", "HelperEvent"),
}


class TextRenderer:
    """Writes the answer to ``out`` as it arrives; remarks and tool calls to ``err``.

    ``is_styled``: render Markdown. ``shows_output``: show the output of tools. An answer for a
    schema is written to ``result`` at the end.
    """

    def __init__(
        self,
        out: TextIO,
        err: TextIO,
        *,
        is_terminal: bool,
        is_styled: bool,
        shows_output: bool = False,
        dim: Callable[[str], str] = lambda text: text,
        result: TextIO | None = None,
    ) -> None:
        self._out = out
        self._err = err
        self._is_terminal = is_terminal
        self._is_shared = is_terminal or _is_same_file(out, err)
        """Whether remarks are seen between the parts of the answer."""
        self._styler = _styler() if is_styled else None
        self._ends_in_newline = True
        self._wrote = False
        self._shows_output = shows_output
        self._dim = dim
        self._result = result
        self._tool_lines: ToolLines | None = None
        self._has_calls = False

    def start(self, describe: Callable[[], State] | None) -> None:
        """Text has no preamble."""

    def events(self, events: Sequence[AgentEvent]) -> None:
        text = ""
        for event in events:
            kind = type(event)
            if kind is TextDelta or kind is RefusalDelta:
                text += event.text  # type: ignore[union-attr]
            elif kind is ToolCallDelta:
                self._has_calls = True
            elif kind is TextWasReasoning:
                self._write(f"{text}\n")  # what is printed stays; the answer begins a new line
                text = ""
            elif line := remark(event):
                self._write(text)
                text = ""
                self._remark(line)
            elif kind is MentionRead or (self._has_calls and kind.__name__ in _TOOL_EVENTS):
                self._write(text)
                text = ""
                self._tool_event(event)
        self._write(text)

    def finish(self, outcome: Outcome) -> None:
        self._end_paragraph()
        self._out.flush()
        if self._result is not None and outcome.structured is not None:
            self._result.write(f"{outcome.structured}\n")
            self._result.flush()

    def _end_paragraph(self) -> None:
        if self._styler:
            self._put(self._styler.close())
            self._styler = _styler()
        if self._wrote and not self._ends_in_newline:
            self._put("\n")
            self._ends_in_newline = True

    def _tool_event(self, event: AgentEvent) -> None:
        if self._tool_lines is None:
            from qwen_code.fronts.text.tool_lines import ToolLines  # only if a tool is called

            self._tool_lines = ToolLines(shows_output=self._shows_output)
        lines = [safe_text(line) for line in self._tool_lines.lines(event)]
        inner = event.event if isinstance(event, HelperEvent) else event
        if isinstance(inner, QuestionAsked):
            self._end_paragraph()  # the front prints the question next
        if not lines:
            return
        self._end_paragraph()
        self._out.flush()
        self._err.write("".join(f"{self._dim(line)}\n" for line in lines))
        self._err.flush()

    def _write(self, text: str) -> None:
        if self._is_terminal:
            text = safe_text(text)
        if not text:
            return
        self._wrote = True
        self._ends_in_newline = text.endswith("\n")
        self._put(self._styler.feed(text) if self._styler else text)
        self._out.flush()

    def _put(self, text: str) -> None:
        try:
            self._out.write(text)
        except UnicodeEncodeError:
            encoding = self._out.encoding or "ascii"
            self._out.write(text.encode(encoding, "replace").decode(encoding))

    def _remark(self, line: str) -> None:
        if self._wrote and not self._ends_in_newline and self._is_shared:
            self._put("\n")
            self._ends_in_newline = True
        self._out.flush()
        self._err.write(f"qwen: {safe_text(line)}\n")
        self._err.flush()


def _is_same_file(out: TextIO, err: TextIO) -> bool:
    """Whether both go to one place, as after ``2>&1``."""
    try:
        return os.path.sameopenfile(out.fileno(), err.fileno())
    except (OSError, ValueError):
        return False


def text_renderer(out: TextIO, result: TextIO | None = None) -> TextRenderer:
    """A renderer for ``out``, styled if that is a terminal with colours."""
    is_terminal = out.isatty()
    return TextRenderer(
        out,
        sys.stderr,
        is_terminal=is_terminal,
        is_styled=is_terminal and not is_plain(),
        shows_output=sys.stderr.isatty(),
        dim=lambda text: paint(text, "2"),
        result=result,
    )


def _styler() -> MarkdownStyler:
    from qwen_code.fronts.text.markdown import MarkdownStyler  # only for terminals

    return MarkdownStyler()
