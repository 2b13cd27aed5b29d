"""What every front that runs one prompt is told, and how the events of a turn are shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Protocol

import msgspec

from qwen_code.agent.events import AgentEvent, AgentEventStream, ToolAsked
from qwen_code.agent.tally import Tally
from qwen_code.base.errors import QwenError
from qwen_code.models.events import Usage

if TYPE_CHECKING:
    from qwen_code.models.quota import Snapshot
    from qwen_code.models.rate_limits import RateLimits
    from qwen_code.wiring.conversation import State

__all__ = ["Outcome", "Renderer", "show"]


class Outcome(msgspec.Struct, frozen=True):
    """How it ended. ``error`` is ``None`` for a good end; times are in milliseconds."""

    text: str
    duration_ms: int
    api_duration_ms: int
    usage: Usage | None = None
    error: QwenError | None = None
    was_stopped: bool = False
    quota: Snapshot | None = None
    """What is used of the account's allowance, where it is counted."""
    rate_limits: RateLimits | None = None
    """What the server said of the key's limits, where it did."""
    rounds: int = 1
    """Answers of the model, with those that only called tools."""
    denied: Sequence[ToolAsked] = ()
    """Calls that were not allowed."""
    structured: str | None = None
    """The answer as JSON text, where one of a given shape was wanted."""


class Renderer(Protocol):
    """Shows one run. Called in this order: start, events as they come, finish."""

    def start(self, describe: Callable[[], State] | None) -> None:
        """``describe`` gives the conversation's state, which not every front wants to know.
        ``None``: there is no conversation, because it could not be opened."""

    def events(self, events: Sequence[AgentEvent]) -> None: ...

    def finish(self, outcome: Outcome) -> None: ...


def show(events: AgentEventStream, renderer: Renderer, tally: Tally) -> None:
    """Render what happens, and count it."""
    with closing(events):
        for batch in events:
            tally.take(batch)
            renderer.events(batch)
