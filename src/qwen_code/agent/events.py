"""The events of a turn beside those of the model: prompts, tool calls, questions, the end."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Literal

import msgspec

from qwen_code.models.events import Event
from qwen_code.tools.base import Effect, FileChange, Image, Todo


class PromptSent(msgspec.Struct, frozen=True, tag="prompt_sent"):
    """A prompt in a replayed history."""

    text: str


class ToolAsked(msgspec.Struct, frozen=True, tag="tool_asked"):
    """The model wants to call a tool. ``title`` is the call on one line.

    ``verb``, ``effect`` and ``takes_long`` come from its `Definition`. A call that cannot be
    executed has the effect ``NONE``; a tool that does not exist has no verb.
    """

    call_id: str
    name: str
    title: str
    arguments: str
    verb: str = ""
    effect: Effect = Effect.NONE
    takes_long: bool = False


class QuestionAsked(msgspec.Struct, frozen=True, tag="question_asked"):
    """A person is asked to approve the call, or to answer the question that it asks. The turn
    waits for them."""

    call_id: str
    title: str
    reason: str


class QuestionAnswered(msgspec.Struct, frozen=True, tag="question_answered"):
    """The question was answered, or the turn stopped, after ``waited_s`` seconds."""

    call_id: str
    waited_s: float


class ToolChanged(msgspec.Struct, frozen=True, tag="tool_changed"):
    """The person, or a hook of theirs, changed the call before it is executed."""

    call_id: str
    title: str
    arguments: str


class ToolOutput(msgspec.Struct, frozen=True, tag="tool_output"):
    """Output of a running tool."""

    call_id: str
    text: str


class ToolFinished(msgspec.Struct, frozen=True, tag="tool_finished"):
    """The result of a call: ``text`` for the model, ``summary`` in a few words for the user.

    ``is_error`` is also set for denied and stopped calls, ``is_denied`` for denied ones alone.
    ``change`` is the file that was changed, ``todos`` the complete list of steps as it is now.
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
    """The conversation was shortened; the token counts are estimates."""

    tokens_before: int
    tokens_after: int


class BackgroundEnded(msgspec.Struct, frozen=True, tag="background_ended"):
    """A background command has ended by itself. ``ending`` says how: ``exit code 1``."""

    task_id: str
    command: str
    pid: int
    ending: str


class MentionRead(msgspec.Struct, frozen=True, tag="mention_read"):
    """What a prompt names with ``@`` was read. ``summary`` says how much of it, or why it was not
    (``is_error``)."""

    path: str
    summary: str
    is_error: bool = False


class HelperEvent(msgspec.Struct, frozen=True, tag="helper"):
    """An event in the conversation of a helper, while its call ``call_id`` runs. ``helper`` tells
    it from others that run at the same time."""

    call_id: str
    event: Any
    helper: str = ""


class StructuredAnswer(msgspec.Struct, frozen=True, tag="structured_answer"):
    """The final answer as JSON text, if a schema was given."""

    value: str


EndReason = Literal["done", "cut", "empty", "filtered", "loop", "stopped", "budget"]


class TurnEnded(msgspec.Struct, frozen=True, tag="turn_ended"):
    """The last event of a turn.

    ``cut``: the answer was incomplete. ``empty``: the model said nothing, twice. ``filtered``: the
    provider's content filter ended the answer. ``loop``: the model kept repeating calls.
    ``stopped``: a person stopped the turn. ``budget``: a limit of the run did; the `Stop` has the
    reason.
    ``waited_s`` are the seconds that the turn waited for a person, for the rate limit, or to retry.
    """

    reason: EndReason
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
    | BackgroundEnded
    | MentionRead
    | HelperEvent
    | StructuredAnswer
    | TurnEnded
)

AgentEventStream = Generator[list[AgentEvent], None, None]
"""Lists of events that happened together. Closing the generator ends the turn."""
