"""Renders tool calls as lines: the call, its output and its result."""

from __future__ import annotations

from collections.abc import Iterator

from qwen_code.agent.events import (
    AgentEvent,
    HelperEvent,
    MentionRead,
    QuestionAsked,
    ToolAsked,
    ToolChanged,
    ToolFinished,
    ToolOutput,
)
from qwen_code.tools.catalogue import READ_FILE

_MAX_OUTPUT_LINES = 12
_MAX_CHANGE_LINES = 20
_MAX_LINE_LENGTH = 200


class ToolLines:
    """Turns events into lines. A call that only reads gets one line when it has ended; others get
    one when they begin and one when they end."""

    def __init__(self, *, shows_output: bool) -> None:
        self._shows_output = shows_output
        self._asked: dict[str, ToolAsked] = {}
        self._printed: dict[str, int] = {}
        self._partial: dict[str, str] = {}
        self._seen: set[str] = set()
        """Calls whose change the user has already seen."""
        self._helpers: dict[str, ToolLines] = {}
        """Those that run, by their calls."""
        self._long: set[str] = set()
        """Calls that take long, and have not ended."""
        self._are_several = False
        """Whether such calls run side by side, so that lines must say whose they are."""

    def lines(self, event: AgentEvent) -> Iterator[str]:
        """The lines for ``event``, without newlines."""
        if isinstance(event, ToolAsked):
            self._asked[event.call_id] = event
            if event.takes_long:
                self._long.add(event.call_id)
                self._are_several = len(self._long) > 1
            if _is_shown_at_once(event):
                yield _cut(_header(event))
        elif isinstance(event, QuestionAsked):
            self._seen.add(event.call_id)
        elif isinstance(event, ToolChanged):
            self._seen.discard(event.call_id)
            yield _cut(f"  changed to: {event.title}")
        elif isinstance(event, ToolOutput):
            yield from self._output(event)
        elif isinstance(event, ToolFinished):
            yield from self._finished(event)
        elif isinstance(event, MentionRead):
            mark = "✗ " if event.is_error else ""
            yield _cut(f"• {READ_FILE.verb} {event.path} · {mark}{event.summary}")
        elif isinstance(event, HelperEvent):
            lines = self._helpers.setdefault(event.call_id, ToolLines(shows_output=False))
            whose = f"{event.helper}: " if self._are_several and event.helper else ""
            for line in lines.lines(event.event):
                yield _cut(f"  {whose}{line.removeprefix('  ') if whose else line}")

    def _output(self, event: ToolOutput) -> Iterator[str]:
        if not self._shows_output:
            return
        *whole, rest = (self._partial.pop(event.call_id, "") + event.text).split("\n")
        self._partial[event.call_id] = rest
        count = self._printed.get(event.call_id, 0)
        for line in whole:
            count += 1
            if count <= _MAX_OUTPUT_LINES:
                yield _cut(f"  {line.rstrip()}")
            elif count == _MAX_OUTPUT_LINES + 1:
                yield "  …"
        self._printed[event.call_id] = count

    def _finished(self, event: ToolFinished) -> Iterator[str]:
        asked = self._asked.pop(event.call_id, None)
        self._helpers.pop(event.call_id, None)
        is_one_of_several = self._are_several and event.call_id in self._long
        self._long.discard(event.call_id)
        self._are_several = self._are_several and bool(self._long)
        rest = self._partial.pop(event.call_id, "")
        if rest.strip() and self._printed.get(event.call_id, 0) < _MAX_OUTPUT_LINES:
            yield _cut(f"  {rest.rstrip()}")
        self._printed.pop(event.call_id, None)
        mark = "✗ " if event.is_error else ""
        header = _header(asked) if asked else f"• {event.name}"
        if asked and event.todos is not None:
            yield f"• {asked.verb} · {event.summary}"
            yield from (f"  {line}" for line in event.text.split("\n"))
        elif asked and _is_shown_at_once(asked) and not is_one_of_several:
            yield _cut(f"  {mark}{event.summary}")
            yield from self._change(event)
        else:
            yield _cut(f"{header} · {mark}{event.summary}")

    def _change(self, event: ToolFinished) -> Iterator[str]:
        """The change of a file, unless a question showed it."""
        if event.change is None or event.call_id in self._seen:
            return
        lines = [line for line in event.change.diff() if not line.startswith(("---", "+++"))]
        yield from (_cut(f"  {line}") for line in lines[:_MAX_CHANGE_LINES])
        if len(lines) > _MAX_CHANGE_LINES:
            yield f"  … {len(lines) - _MAX_CHANGE_LINES} more lines"


def _is_shown_at_once(asked: ToolAsked) -> bool:
    return asked.takes_long or not asked.effect.is_read_only


def _header(asked: ToolAsked) -> str:
    return f"• {asked.verb or asked.name} {asked.title}".rstrip()


def _cut(line: str) -> str:
    return line if len(line) <= _MAX_LINE_LENGTH else f"{line[: _MAX_LINE_LENGTH - 1]}…"
