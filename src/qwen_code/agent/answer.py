"""One answer of the model while it is streamed: its text, its calls, and what goes back with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qwen_code.agent.calls import ToolCall
from qwen_code.models.attachments import SENDER, merged
from qwen_code.models.events import (
    Attached,
    Cut,
    Event,
    Finished,
    FinishReason,
    Paced,
    RefusalDelta,
    Retrying,
    TextDelta,
    TextWasReasoning,
    ToolCallDelta,
)


class ModelAnswer:
    """Collects the events of one answer."""

    def __init__(self) -> None:
        self.wait_s = 0.0
        """Announced waits that the turn has not counted yet."""
        self.was_cut = False
        self.is_whole = False
        self.reason: FinishReason = "unknown"
        self._text: list[str] = []
        self._calls: dict[int, ToolCall] = {}
        self._attached: Attached | None = None

    def take(self, events: Sequence[Event]) -> None:
        """Add events."""
        for event in events:
            kind = type(event)
            if kind is TextDelta or kind is RefusalDelta:
                self._text.append(event.text)  # type: ignore[union-attr]
            elif isinstance(event, ToolCallDelta):
                call = self._calls.get(event.index) or self._begin(event)
                call.name += event.name or ""
                call.arguments += event.arguments
            elif isinstance(event, Paced | Retrying):
                self.wait_s += event.wait_s
            elif isinstance(event, Finished):
                self.reason = event.reason
            elif isinstance(event, Attached):
                self._attached = event
            elif kind is TextWasReasoning:
                self._text.clear()
            elif kind is Cut:
                self.was_cut = True

    def _begin(self, event: ToolCallDelta) -> ToolCall:
        assert event.id is not None, "the first chunk of a call has its id"
        call = self._calls[event.index] = ToolCall(event.id)
        return call

    @property
    def calls(self) -> list[ToolCall]:
        """The calls to execute; none of an incomplete answer, whose last call may be truncated."""
        if self.was_cut or not self.is_whole:
            return []
        return [call for _, call in sorted(self._calls.items())]

    @property
    def text(self) -> str:
        """The text of the answer."""
        return "".join(self._text)

    def add_to(self, messages: list[dict[str, Any]]) -> None:
        """Append the answer, unless it is empty."""
        text, calls = self.text, self.calls
        if not text and not calls:
            return
        message: dict[str, Any] = {"role": "assistant", "content": text or None}
        if calls:
            message["tool_calls"] = [call.as_message() for call in calls]
        if self._attached is not None and self.is_whole:
            self._attach(message, self._attached)
        messages.append(message)

    def _attach(self, message: dict[str, Any], attached: Attached) -> None:
        message |= attached.fields
        message[SENDER] = attached.sender
        for call, (index, _) in zip(
            message.get("tool_calls", ()), sorted(self._calls.items()), strict=False
        ):
            for name, value in attached.calls.get(index, {}).items():
                call[name] = merged([call[name], value]) if name in call else value
