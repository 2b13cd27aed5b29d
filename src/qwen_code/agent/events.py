"""What happens in a turn beside the model's own events: its tool calls, and how it ends."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Literal

import msgspec

from qwen_code.models.events import Event
from qwen_code.tools.base import Image, Reach

__all__ = [
    "AgentEvent",
    "AgentEventStream",
    "Compacted",
    "HelperEvent",
    "ToolAsked",
    "ToolFinished",
    "ToolOutput",
    "TurnEnded",
]


class ToolAsked(msgspec.Struct, frozen=True, tag="tool_asked"):
    """The model wants to call a tool. ``title`` is the call on one line."""

    call_id: str
    name: str
    title: str
    arguments: str
    reach: Reach = Reach.RUN


class ToolOutput(msgspec.Struct, frozen=True, tag="tool_output"):
    """A running tool has printed something."""

    call_id: str
    text: str


class ToolFinished(msgspec.Struct, frozen=True, tag="tool_finished"):
    """What came of a call: ``text`` for the model, ``summary`` in a few words for the user.

    ``is_error`` also for what was denied or cancelled; ``is_denied`` for what was not allowed.
    """

    call_id: str
    name: str
    text: str
    summary: str
    is_error: bool = False
    is_denied: bool = False
    image: Image | None = None


class Compacted(msgspec.Struct, frozen=True, tag="compacted"):
    """The conversation was made shorter: about so many tokens before and after."""

    tokens_before: int
    tokens_after: int


class HelperEvent(msgspec.Struct, frozen=True, tag="helper"):
    """Something that happens in the conversation of a helper, while its call runs."""

    event: Any


class TurnEnded(msgspec.Struct, frozen=True, tag="turn_ended"):
    """Nothing more comes. ``loop``: the model would not stop making the same call."""

    reason: Literal["done", "cut", "loop"]
    rounds: int


AgentEvent = Event | ToolAsked | ToolOutput | ToolFinished | Compacted | HelperEvent | TurnEnded

AgentEventStream = Generator[list[AgentEvent], None, None]
"""Lists of the events that happened together. Closing it ends the turn."""
