"""What happens in a turn beside the model's own events: prompts, tool calls, questions, the end."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Literal

import msgspec

from qwen_code.models.events import Event
from qwen_code.tools.base import Effect, FileChange, Image, Todo


class PromptSent(msgspec.Struct, frozen=True, tag="prompt_sent"):
    """What a person asked, in a replayed history."""

    text: str


class ToolAsked(msgspec.Struct, frozen=True, tag="tool_asked"):
    """The model wants to call a tool. ``title`` is the call on one line.

    ``verb``, ``effect`` and ``takes_long`` are what its `Definition` says. Of a call that cannot be
    made the effect is ``NONE``; a tool that does not exist has no verb.
    """

    call_id: str
    name: str
    title: str
    arguments: str
    verb: str = ""
    effect: Effect = Effect.NONE
    takes_long: bool = False


class QuestionAsked(msgspec.Struct, frozen=True, tag="question_asked"):
    """A person is being asked whether the call may be made, or what the call wants to know. The
    turn waits for them."""

    call_id: str
    title: str
    reason: str


class QuestionAnswered(msgspec.Struct, frozen=True, tag="question_answered"):
    """The question is closed after ``waited_s`` seconds: they have answered, or were stopped."""

    call_id: str
    waited_s: float


class ToolChanged(msgspec.Struct, frozen=True, tag="tool_changed"):
    """The person changed the call before it is made."""

    call_id: str
    title: str
    arguments: str


class ToolOutput(msgspec.Struct, frozen=True, tag="tool_output"):
    """A running tool has printed something."""

    call_id: str
    text: str


class ToolFinished(msgspec.Struct, frozen=True, tag="tool_finished"):
    """What came of a call: ``text`` for the model, ``summary`` in a few words for the user.

    ``is_error`` also for what was denied or stopped; ``is_denied`` for what was not allowed.
    ``change`` is the file that was changed, ``todos`` the whole list of steps as it is now.
    ``ran_s`` is how long the tool ran, in seconds.
    """

    call_id: str
    name: str
    text: str
    summary: str
    is_error: bool = False
    is_denied: bool = False
    image: Image | None = None
    change: FileChange | None = None
    todos: tuple[Todo, ...] | None = None
    ran_s: float = 0.0


class Compacted(msgspec.Struct, frozen=True, tag="compacted"):
    """The conversation was made shorter: about so many tokens before and after."""

    tokens_before: int
    tokens_after: int


class HelperEvent(msgspec.Struct, frozen=True, tag="helper"):
    """Something that happens in the conversation of a helper, while its call ``call_id`` runs."""

    call_id: str
    event: Any


class StructuredAnswer(msgspec.Struct, frozen=True, tag="structured_answer"):
    """The final answer, where one of a given shape was wanted: JSON text."""

    value: str


class TurnEnded(msgspec.Struct, frozen=True, tag="turn_ended"):
    """Nothing more comes.

    ``cut``: the answer was broken off. ``loop``: the model would not stop making the same call.
    ``stopped``: the turn was stopped from outside. ``waited_s`` are the seconds in which the turn
    waited for a person, for its turn to ask, or to try again.
    """

    reason: Literal["done", "cut", "loop", "stopped"]
    rounds: int
    waited_s: float = 0.0


AgentEvent = (
    Event
    | PromptSent
    | ToolAsked
    | QuestionAsked
    | QuestionAnswered
    | ToolChanged
    | ToolOutput
    | ToolFinished
    | Compacted
    | HelperEvent
    | StructuredAnswer
    | TurnEnded
)

AgentEventStream = Generator[list[AgentEvent], None, None]
"""Lists of the events that happened together. Closing it ends the turn."""
