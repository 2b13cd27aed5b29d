"""What every renderer is told, and the text renderer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, TextIO

import msgspec

from qwen_code.base.errors import QwenError
from qwen_code.base.moment import duration_in_words
from qwen_code.headless.markdown import MarkdownStyler
from qwen_code.headless.terminal import safe_text
from qwen_code.models.events import (
    Cut,
    Event,
    FellBack,
    Finished,
    Notice,
    Paced,
    RefusalDelta,
    Retrying,
    TextDelta,
    Usage,
)

if TYPE_CHECKING:
    from qwen_code.models.quota import Snapshot
    from qwen_code.models.rate_limits import RateLimits

__all__ = ["Outcome", "Renderer", "RunInfo", "TextRenderer", "remark"]


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


class Renderer(Protocol):
    """Shows one run. Called in this order: start, events as they come, finish."""

    def start(self, info: RunInfo) -> None: ...

    def events(self, events: Sequence[Event]) -> None: ...

    def finish(self, outcome: Outcome) -> None: ...


class TextRenderer:
    """The answer on ``out`` as it comes; remarks on ``err``. Styled where ``is_terminal``."""

    def __init__(self, out: TextIO, err: TextIO, *, is_terminal: bool, is_styled: bool) -> None:
        self._out = out
        self._err = err
        self._is_terminal = is_terminal
        self._styler = MarkdownStyler() if is_styled else None
        self._ends_in_newline = True
        self._wrote = False

    def start(self, info: RunInfo) -> None:
        """Text has no preamble."""

    def events(self, events: Sequence[Event]) -> None:
        text = ""
        for event in events:
            if isinstance(event, TextDelta | RefusalDelta):
                text += event.text
            elif line := remark(event):
                self._write(text)
                text = ""
                self._remark(line)
            elif isinstance(event, Finished) and not (self._wrote or text):
                self._remark("the model ended its answer without a word")
        self._write(text)

    def finish(self, outcome: Outcome) -> None:
        if self._styler:
            self._put(self._styler.close())
        if self._wrote and not self._ends_in_newline:
            self._put("\n")
        self._out.flush()

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


def remark(event: Event) -> str | None:
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
    return None
