"""What every renderer is told, and the text renderer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, TextIO

import msgspec

from qwen_code.agent.events import AgentEvent, Compacted, ToolAsked, TurnEnded
from qwen_code.base.errors import QwenError
from qwen_code.base.moment import duration_in_words
from qwen_code.headless.terminal import safe_text
from qwen_code.models.events import (
    Cut,
    FellBack,
    Finished,
    Notice,
    Paced,
    RefusalDelta,
    Retrying,
    TextDelta,
    ToolCallDelta,
    Usage,
)

if TYPE_CHECKING:
    from qwen_code.headless.markdown import MarkdownStyler
    from qwen_code.headless.tool_lines import ToolLines
    from qwen_code.models.quota import Snapshot
    from qwen_code.models.rate_limits import RateLimits

__all__ = ["Outcome", "Renderer", "RunInfo", "TextRenderer", "remark"]


_TOOL_EVENTS = {"ToolAsked", "ToolOutput", "ToolFinished", "HelperEvent"}

_ENDINGS = {
    "length": "the answer ends here because it reached the longest that is allowed",
    "content_filter": "the provider's content filter ended the answer",
}


class RunInfo(msgspec.Struct, frozen=True):
    """What is known before the first answer."""

    session_id: str
    model: str
    cwd: str
    version: str
    method: str
    mode: str = "default"
    tools: Sequence[str] = ()
    commands: Sequence[str] = ()
    mcp_servers: Sequence[Mapping[str, str]] = ()


class Outcome(msgspec.Struct, frozen=True):
    """How it ended. ``error`` is ``None`` for a good end; times in milliseconds."""

    text: str
    duration_ms: int
    api_duration_ms: int
    usage: Usage | None = None
    error: QwenError | None = None
    interrupted: bool = False
    quota: Snapshot | None = None
    """What is used of the account's allowance, where it is counted."""
    rate_limits: RateLimits | None = None
    """What the server said of the key's limits, where it did."""
    rounds: int = 1
    """Answers of the model, with those that only called tools."""
    denied: Sequence[ToolAsked] = ()
    """Calls that were not allowed."""


class Renderer(Protocol):
    """Shows one run. Called in this order: start, events as they come, finish. Text needs no
    start: what it would say is not worth gathering."""

    def start(self, info: RunInfo) -> None: ...

    def events(self, events: Sequence[AgentEvent]) -> None: ...

    def finish(self, outcome: Outcome) -> None: ...


class TextRenderer:
    """The answer on ``out`` as it comes; remarks and tool calls on ``err``.

    Styled where ``is_styled``; what tools print is shown where ``shows_output``.
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
    ) -> None:
        self._out = out
        self._err = err
        self._is_terminal = is_terminal
        self._styler = _styler() if is_styled else None
        self._ends_in_newline = True
        self._wrote = False
        self._shows_output = shows_output
        self._dim = dim
        self._tool_lines: ToolLines | None = None
        self._has_calls = False

    def start(self, info: RunInfo) -> None:
        """Text has no preamble."""

    def events(self, events: Sequence[AgentEvent]) -> None:
        text = ""
        for event in events:
            kind = type(event)
            if kind is TextDelta or kind is RefusalDelta:
                text += event.text  # type: ignore[union-attr]
            elif kind is ToolCallDelta:
                self._has_calls = True
            elif isinstance(event, Finished) and not self._has_calls and not (self._wrote or text):
                self._remark("the model ended its answer without a word")
            elif line := remark(event):
                self._write(text)
                text = ""
                self._remark(line)
            elif self._has_calls and kind.__name__ in _TOOL_EVENTS:
                self._write(text)
                text = ""
                self._tool_event(event)
        self._write(text)

    def finish(self, outcome: Outcome) -> None:
        self._end_paragraph()
        self._out.flush()

    def _end_paragraph(self) -> None:
        if self._styler:
            self._put(self._styler.close())
            self._styler = _styler()
        if self._wrote and not self._ends_in_newline:
            self._put("\n")
            self._ends_in_newline = True

    def _tool_event(self, event: AgentEvent) -> None:
        if self._tool_lines is None:
            from qwen_code.headless.tool_lines import ToolLines  # only where a tool is called

            self._tool_lines = ToolLines(shows_output=self._shows_output)
        lines = [safe_text(line) for line in self._tool_lines.lines(event)]
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
        if self._wrote and not self._ends_in_newline and self._is_terminal:
            self._put("\n")
            self._ends_in_newline = True
        self._out.flush()
        self._err.write(f"qwen: {safe_text(line)}\n")
        self._err.flush()


def _styler() -> MarkdownStyler:
    from qwen_code.headless.markdown import MarkdownStyler  # only for people

    return MarkdownStyler()


def remark(event: AgentEvent) -> str | None:
    """What is worth a line beside the answer, in one sentence."""
    if isinstance(event, Retrying):
        return f"{event.reason}; trying again in {event.wait_s:.1f} s"
    if isinstance(event, Paced):
        return f"waiting {duration_in_words(event.wait_s)}: {event.reason}"
    if isinstance(event, FellBack):
        return f"{event.instead_of} cannot answer: {event.reason}; {event.model} is asked instead"
    if isinstance(event, Notice):
        return event.text
    if isinstance(event, Cut):
        return f"the answer was cut off: {event.reason}"
    if isinstance(event, Finished):
        return _ENDINGS.get(event.reason)
    if isinstance(event, Compacted):
        return (
            "the conversation was made shorter: from about "
            f"{event.tokens_before:,} to {event.tokens_after:,} tokens"
        )
    if isinstance(event, TurnEnded) and event.reason == "loop":
        return "stopped: the model made the same call again and again"
    return None
