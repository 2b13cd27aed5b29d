"""The events of a model's answer, in the order in which they arrive."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Any, Literal

import msgspec

FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "failed", "unknown"]


class TextDelta(msgspec.Struct, frozen=True, tag="text"):
    """A part of the answer's text."""

    text: str


class ReasoningDelta(msgspec.Struct, frozen=True, tag="reasoning"):
    """A part of the model's reasoning (``reasoning_content`` or ``reasoning``)."""

    text: str


class TextWasReasoning(msgspec.Struct, frozen=True, tag="text_was_reasoning"):
    """All text of this answer so far was reasoning, whose opening tag was a part of the prompt."""


class RefusalDelta(msgspec.Struct, frozen=True, tag="refusal"):
    """A part of the model's refusal."""

    text: str


class ToolCallDelta(msgspec.Struct, frozen=True, tag="tool_call"):
    """A part of a tool call; ``index`` says of which, ``arguments`` is a part of JSON text.

    The first part of a call has ``id`` and ``name``, later ones have ``None``. The id is unique in
    the answer, and is generated if the server gives none.
    """

    index: int
    id: str | None
    name: str | None
    arguments: str


class Attached(msgspec.Struct, frozen=True, tag="attached"):
    """What the provider wants back with this answer: fields of its message, and of its calls by
    their index. ``sender`` is who wants it; others would reject it."""

    sender: str
    fields: dict[str, Any]
    calls: dict[int, dict[str, Any]] = {}


class Usage(msgspec.Struct, frozen=True, tag="usage"):
    """The server's count of tokens. ``cached_tokens`` are part of ``prompt_tokens``.

    ``cost`` is in US dollars, if the server says what the answer cost.
    """

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost: float | None = None


class Retrying(msgspec.Struct, frozen=True, tag="retrying"):
    """The request failed and is repeated after ``wait_s`` seconds."""

    attempt: int
    wait_s: float
    reason: str


class Paced(msgspec.Struct, frozen=True, tag="paced"):
    """The request is sent after ``wait_s`` seconds, because of ``reason``."""

    wait_s: float
    reason: str


class FellBack(msgspec.Struct, frozen=True, tag="fell_back"):
    """``instead_of`` cannot answer, because of ``reason``; ``model`` gets the same request."""

    model: str
    instead_of: str
    reason: str


class Notice(msgspec.Struct, frozen=True, tag="notice"):
    """A sentence for the user, for example that another model answered."""

    text: str


class Cut(msgspec.Struct, frozen=True, tag="cut"):
    """The connection ended before the answer was complete; the received part is kept."""

    reason: str


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    """The answer is complete. ``model`` is the model that the server names, if it does; ``said``
    is the reason in its words, if it is not one of the API's."""

    reason: FinishReason
    model: str | None = None
    response_id: str | None = None
    said: str = ""


Event = (
    TextDelta
    | ReasoningDelta
    | TextWasReasoning
    | RefusalDelta
    | ToolCallDelta
    | Attached
    | Usage
    | Retrying
    | Paced
    | FellBack
    | Notice
    | Cut
    | Finished
)

EventStream = Generator[list[Event], None, None]
"""Lists of events that arrived together. Closing the generator ends the request."""

_ASIDE = (Retrying, Paced, FellBack, Notice)


def holds_answer(events: Iterable[Event]) -> bool:
    """Whether any of ``events`` is part of an answer, and not a notice."""
    return any(not isinstance(event, _ASIDE) for event in events)
