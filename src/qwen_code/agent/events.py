"""What happens in a turn beside the model's own events: its tool calls, and how it ends."""

from __future__ import annotations

from typing import Literal

import msgspec

from qwen_code.models.events import Event

__all__ = ["AgentEvent", "ToolAsked", "ToolFinished", "ToolOutput", "TurnEnded"]


class ToolAsked(msgspec.Struct, frozen=True):
    """The model wants to call a tool. ``title`` is the call on one line."""

    call_id: str
    name: str
    title: str
    arguments: str


class ToolOutput(msgspec.Struct, frozen=True):
    """A running tool has printed something."""

    call_id: str
    text: str


class ToolFinished(msgspec.Struct, frozen=True):
    """What came of a call: ``text`` for the model, ``summary`` in a few words for the user.

    ``is_error`` also for what was denied or cancelled.
    """

    call_id: str
    name: str
    text: str
    summary: str
    is_error: bool = False


class TurnEnded(msgspec.Struct, frozen=True):
    """Nothing more comes. ``loop``: the model would not stop making the same call."""

    reason: Literal["done", "cut", "loop"]
    rounds: int


AgentEvent = Event | ToolAsked | ToolOutput | ToolFinished | TurnEnded
