"""What a model's answer is made of, as it arrives. Frozen values; fronts only render them."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Literal

import msgspec

FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "unknown"]


class TextDelta(msgspec.Struct, frozen=True, tag="text"):
    """A piece of the answer."""

    text: str


class ReasoningDelta(msgspec.Struct, frozen=True, tag="reasoning"):
    """A piece of the model's thinking (``reasoning_content`` or ``reasoning``)."""

    text: str


class RefusalDelta(msgspec.Struct, frozen=True, tag="refusal"):
    """A piece of the model's refusal."""

    text: str


class ToolCallDelta(msgspec.Struct, frozen=True, tag="tool_call"):
    """A piece of a tool call; ``index`` says which call, ``arguments`` is a piece of JSON text.

    ``id`` and ``name`` come with the first piece of a call and are ``None`` after it. No other call
    of the answer has that id, and it is there also where the server gave none.
    """

    index: int
    id: str | None
    name: str | None
    arguments: str


class Usage(msgspec.Struct, frozen=True, tag="usage"):
    """Tokens as the server counted them. ``cached_tokens`` are part of ``prompt_tokens``."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0


class Retrying(msgspec.Struct, frozen=True, tag="retrying"):
    """The request failed and goes out again after ``wait_s`` seconds."""

    attempt: int
    wait_s: float
    reason: str


class Paced(msgspec.Struct, frozen=True, tag="paced"):
    """The request goes out after ``wait_s`` seconds, because ``reason``."""

    wait_s: float
    reason: str


class FellBack(msgspec.Struct, frozen=True, tag="fell_back"):
    """``instead_of`` cannot answer, because ``reason``; ``model`` is asked the same."""

    model: str
    instead_of: str
    reason: str


class Notice(msgspec.Struct, frozen=True, tag="notice"):
    """Something the user should know, in one sentence: another model answered, say."""

    text: str


class Cut(msgspec.Struct, frozen=True, tag="cut"):
    """The connection ended before the answer did; what came before stands."""

    reason: str


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    """The answer is complete. ``model`` is the one that says it answered, if it says so."""

    reason: FinishReason
    model: str | None = None
    response_id: str | None = None


Event = (
    TextDelta
    | ReasoningDelta
    | RefusalDelta
    | ToolCallDelta
    | Usage
    | Retrying
    | Paced
    | FellBack
    | Notice
    | Cut
    | Finished
)

EventStream = Generator[list[Event], None, None]
"""Lists of the events that arrived together. Closing it ends the request."""

_ASIDE = (Retrying, Paced, FellBack, Notice)


def holds_answer(events: Iterable[Event]) -> bool:
    """Whether any of ``events`` is a part of an answer, and not a word beside it."""
    return any(not isinstance(event, _ASIDE) for event in events)
