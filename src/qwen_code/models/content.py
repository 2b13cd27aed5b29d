"""The text of an answer, as it is streamed: reasoning in tags, and tool calls in the text.

Servers without a parser for their model pass its own notation on. Reasoning stands at the beginning
between tags like ``<think>``; if the opening tag is a part of the prompt, only the closing one is
there. Calls are those of `text_calls`. What only looks like that, in a code block for example, is
text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from qwen_code.models.chunks import CallChunk
from qwen_code.models.events import Event, ReasoningDelta, TextDelta, TextWasReasoning

_REASONING_TAGS = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<thought>": "</thought>",
    "<reasoning>": "</reasoning>",
    "<seed:think>": "</seed:think>",
    "[THINK]": "[/THINK]",
    "◁think▷": "◁/think▷",
    "<|START_THINKING|>": "<|END_THINKING|>",
    "<|begin_of_thought|>": "<|end_of_thought|>",
}
_ORPHANS = ("</think>", "</thinking>", "</seed:think>", "◁/think▷")
_CALL_TAGS = {
    "<tool_call>": "</tool_call>",
    "<function=": "</function>",
    "<function_calls>": "</function_calls>",
    "<tool_calls>": "</tool_calls>",
    "<minimax:tool_call>": "</minimax:tool_call>",
    "<|tool_calls_section_begin|>": "<|tool_calls_section_end|>",
    "<｜tool▁calls▁begin｜>": "<｜tool▁calls▁end｜>",
    "[TOOL_CALLS]": "",
}
"""An empty end is the end of the answer."""

_END_OF_WRAPPER = "</tool_call>"
"""Qwen3-Coder writes it even if it left out the beginning."""

_FIRST = frozenset(tag[0] for tag in (*_REASONING_TAGS, *_ORPHANS, *_CALL_TAGS))
_MAX_HELD = 1 << 20
_MAX_BLANKS = 1000


def has_marks(text: str) -> bool:
    """Whether ``text`` may have a part of a tag, or of a code block."""
    return "<" in text or "[" in text or "`" in text or "◁" in text


def always_reasons(model: str) -> bool:
    """Whether a model of this name begins every answer with reasoning."""
    name = model.lower()
    parts = name.replace("/", "-").replace("_", "-").replace(":", "-").split("-")
    return "qwq" in name or "thinking" in name or "r1" in parts


class ContentReader:
    """Sorts the text of one answer. ``tools`` are the definitions that the model was offered.

    ``begins_in_reasoning``: the opening tag is probably in the prompt. If no closing tag comes, it
    was text all the same.
    """

    def __init__(
        self, tools: Sequence[Mapping[str, Any]] = (), *, begins_in_reasoning: bool = False
    ) -> None:
        self._tools = tools
        self._held = ""
        self._state: Literal["start", "text", "reasoning", "call"] = "start"
        self._end = ""
        """What ends the reasoning or the call that is being read; a call is held back whole."""
        self._strips = False
        """Whether blanks at the beginning separate the text from what was before it."""
        self._unsure: list[str] | None = None
        """The reasoning so far, which had no opening tag."""
        self._has_calls = False
        self._parts: list[str] = []
        self._length = 0
        """Parts of a call after ``_held``; ``_last`` are the latest characters before them."""
        self._last = ""
        self._fences = 0
        self._backticks = ""
        """Those at the end of the text so far."""
        self.calls: list[CallChunk] = []
        """The calls that were read and not yet taken."""
        self.is_plain = False
        """Whether nothing is held back, and no mark was at the end of the text so far."""
        self.lacks_opening_tag = False
        """Whether the reasoning of this model is known to begin in the prompt."""
        self._presumes_reasoning = begins_in_reasoning

    def has_reasoning_elsewhere(self) -> None:
        """The server sends the reasoning in a field, so the text has none."""
        self._presumes_reasoning = False

    def feed(self, text: str, events: list[Event]) -> None:
        """Add what ``text`` brings to ``events``, and calls to ``calls``.

        A text without marks can be taken as it is while ``is_plain``.
        """
        if self._state == "call" and self._held:
            self._parts.append(text)
            self._length += len(text)
            if self._length < _MAX_HELD and not self._ends_in(text):
                return
            self._held += "".join(self._parts)
            self._parts, self._length = [], 0
        else:
            self._held += text
        while self._held and self._step(events):
            pass
        self.is_plain = self._state == "text" and not self._held and not self._backticks

    def _ends_in(self, text: str) -> bool:
        """Whether the end of the call is in ``text``, or begins before it."""
        if not self._end:
            return False
        recent = self._last + text
        self._last = recent[-len(self._end) :]
        return self._end in recent

    def close(self, events: list[Event]) -> None:
        """The end of the answer: nothing is held back any longer."""
        held, self._held = self._held + "".join(self._parts), ""
        if self._state == "call":
            self._end_call(held, events)
        elif self._state == "reasoning":
            self._reasoning(held, events)
            if self._unsure and not self._has_calls:
                text, self._unsure, self._state = "".join(self._unsure), None, "start"
                self.feed(text, events)
                self.close(events)
        elif held.strip() or not self._strips:
            self._text(held, events)

    # -- one step: whether to try another one with what is left -----------------------------------

    def _step(self, events: list[Event]) -> bool:
        if self._state == "call":
            return self._step_in_call(events)
        if self._state == "reasoning":
            return self._step_in_reasoning(events)
        return self._step_at_start() if self._state == "start" else self._step_in_text(events)

    def _step_at_start(self) -> bool:
        bare = self._held.lstrip()
        if not bare and len(self._held) < _MAX_BLANKS:
            return False
        found = next((tag for tag in _REASONING_TAGS if bare.startswith(tag)), None)
        if found:
            self._held = bare[len(found) :]
            self._presumes_reasoning = False
            self._state, self._end = "reasoning", _REASONING_TAGS[found]
            return True
        if bare and any(tag.startswith(bare) for tag in _REASONING_TAGS):
            return False
        self._state = "text"
        if self._presumes_reasoning:
            self._presumes_reasoning = False
            self._state, self._end, self._unsure = "reasoning", "</think>", []
        elif self._strips:
            self._held = bare
        return True

    def _step_in_reasoning(self, events: list[Event]) -> bool:
        before, end, after = self._held.partition(self._end)
        if end:
            self._reasoning(before, events)
            self._held = after
            self.lacks_opening_tag = self.lacks_opening_tag or self._unsure is not None
            self._state, self._strips, self._unsure = "start", True, None
            return True
        kept = _possible_beginning(self._held, (self._end,))
        self._reasoning(self._held[: len(self._held) - kept], events)
        self._held = self._held[len(self._held) - kept :]
        return False

    def _step_in_call(self, events: list[Event]) -> bool:
        at = self._held.find(self._end) if self._end else -1
        if at < 0 and len(self._held) <= _MAX_HELD:
            self._last = self._held[-len(self._end) :] if self._end else ""
            return False
        end = at + len(self._end) if at >= 0 else len(self._held)
        body, self._held = self._held[:end], self._held[end:]
        self._end_call(body, events)
        return True

    def _step_in_text(self, events: list[Event]) -> bool:
        tags = [*_ORPHANS, *(_CALL_TAGS if self._tools else ())]
        if self._has_calls:
            tags.append(_END_OF_WRAPPER)
        found = [(at, tag) for tag in tags if (at := self._held.find(tag)) >= 0]
        if not found:
            kept = _possible_beginning(self._held, tags)
            self._text(self._held[: len(self._held) - kept], events)
            self._held = self._held[len(self._held) - kept :]
            return False
        at, tag = min(found)
        self._text(self._held[:at], events)
        self._held = self._held[at:]
        if self._is_quoted():
            self._text(tag, events)
            self._held = self._held[len(tag) :]
        elif tag in _CALL_TAGS:
            self._state, self._end = "call", _CALL_TAGS[tag]
        else:
            self._held = self._held[len(tag) :]
            self._state, self._strips = "start", True
            if tag != _END_OF_WRAPPER:
                self.lacks_opening_tag = True
                events.append(TextWasReasoning())
        return True

    # -- what is found ----------------------------------------------------------------------------

    def _text(self, text: str, events: list[Event]) -> None:
        if not text:
            return
        if "`" in text:
            self._fences += (self._backticks + text).count("```")
            self._backticks = text[len(text.rstrip("`")) :]
            if self._backticks.endswith("```"):
                self._backticks = ""
        elif self._backticks:
            self._backticks = ""
        events.append(TextDelta(text))

    def _is_quoted(self) -> bool:
        """Whether what follows is an example: in a code block, or right after a backtick."""
        return self._fences % 2 == 1 or bool(self._backticks)

    def _reasoning(self, text: str, events: list[Event]) -> None:
        if text:
            events.append(ReasoningDelta(text))
            if self._unsure is not None:
                self._unsure.append(text)

    def _end_call(self, text: str, events: list[Event]) -> None:
        from qwen_code.models.text_calls import calls_in  # few servers leave this to their clients

        found = calls_in(text, self._tools)
        if found:
            self.calls += found
            self._has_calls = True
            self._state, self._strips = "start", True
        else:
            self._state = "text"
            self._text(text, events)


def _possible_beginning(text: str, tags: Sequence[str]) -> int:
    """How many characters at the end of ``text`` may be the beginning of one of ``tags``."""
    longest = max(map(len, tags)) - 1
    for length in range(min(longest, len(text)), 0, -1):
        end = text[-length:]
        if end[0] in _FIRST and any(tag.startswith(end) for tag in tags):
            return length
    return 0
