"""The outcome of a turn, collected from its events."""

from __future__ import annotations

from collections.abc import Sequence

from qwen_code.agent.events import (
    AgentEvent,
    EndReason,
    HelperEvent,
    StructuredAnswer,
    ToolAsked,
    ToolFinished,
    TurnEnded,
)
from qwen_code.models.events import Finished, RefusalDelta, TextDelta, TextWasReasoning, Usage


class Tally:
    """``text`` is the last answer; ``usage`` is the sum of all requests, including helpers'.

    ``denied`` are the calls that were denied.
    """

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.rounds = 0
        self.ended: EndReason | None = None
        self.denied: list[ToolAsked] = []
        self.structured: str | None = None
        self._pieces: list[str] = []
        self._asked: dict[str, ToolAsked] = {}
        self._has_new_round = False

    def take(self, events: Sequence[AgentEvent]) -> None:
        """Add events."""
        for event in events:
            kind = type(event)
            if kind is TextDelta or kind is RefusalDelta:
                self._add_text(event.text)  # type: ignore[union-attr]
            elif kind is TextWasReasoning:
                self._pieces.clear()
            elif kind is Finished:
                self._has_new_round = True
            elif isinstance(usage := _own(event), Usage):
                self._add(usage)
            elif isinstance(event, ToolAsked):
                self._asked[event.call_id] = event
                self._has_new_round = True
            elif isinstance(event, ToolFinished):
                asked = self._asked.pop(event.call_id, None)
                if event.is_denied and asked:
                    self.denied.append(asked)
            elif isinstance(event, StructuredAnswer):
                self.structured = event.value
            elif isinstance(event, TurnEnded):
                self.rounds, self.ended = event.rounds, event.reason

    @property
    def text(self) -> str:
        """The last answer."""
        return "".join(self._pieces)

    def _add_text(self, text: str) -> None:
        if self._has_new_round:
            self._pieces.clear()
            self._has_new_round = False
        self._pieces.append(text)

    def _add(self, usage: Usage) -> None:
        before = self.usage
        if before is None:
            self.usage = usage
            return
        self.usage = Usage(
            before.prompt_tokens + usage.prompt_tokens,
            before.completion_tokens + usage.completion_tokens,
            before.total_tokens + usage.total_tokens,
            before.cached_tokens + usage.cached_tokens,
            before.reasoning_tokens + usage.reasoning_tokens,
            None if before.cost is usage.cost is None else (before.cost or 0) + (usage.cost or 0),
        )


def _own(event: AgentEvent) -> AgentEvent:
    """The event itself, also if it is a helper's."""
    return event.event if isinstance(event, HelperEvent) else event
