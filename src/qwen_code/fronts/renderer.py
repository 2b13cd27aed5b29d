"""What fronts that run prompts share: the outcome of a run, and rendering its events."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Protocol

import msgspec

from qwen_code.agent.events import AgentEvent, AgentEventStream, EndReason, ToolAsked
from qwen_code.agent.tally import Tally
from qwen_code.base.errors import ExitCode, QwenError
from qwen_code.base.stop import Stop
from qwen_code.fronts.console import explain_unexpected
from qwen_code.fronts.signals import exit_code_of
from qwen_code.models.events import Usage

if TYPE_CHECKING:
    from qwen_code.models.quota import Snapshot
    from qwen_code.models.rate_limits import RateLimits
    from qwen_code.wiring.conversation import Conversation
    from qwen_code.wiring.state import State


class Outcome(msgspec.Struct, frozen=True):
    """How a run ended. ``error`` is ``None`` after a success; times are in milliseconds."""

    text: str
    duration_ms: int
    api_duration_ms: int
    usage: Usage | None = None
    error: QwenError | None = None
    was_stopped: bool = False
    quota: Snapshot | None = None
    """The use of the account's quota, if it is counted."""
    rate_limits: RateLimits | None = None
    """The limits of the key, if the server reported them."""
    rounds: int = 1
    """Answers of the model, including those that only called tools."""
    denied: Sequence[ToolAsked] = ()
    """Calls that were not allowed."""
    structured: str | None = None
    """The answer as JSON, if a schema was given."""
    ended: EndReason | None = None
    """What ended the turn; ``None`` if an error did, or if it never began."""

    def exit_code(self, signal_number: int | None) -> int:
        """The exit code of the run; after a stop, that of the signal."""
        if self.was_stopped:
            return exit_code_of(signal_number)
        if self.error is not None:
            return self.error.exit_code
        return ExitCode.OK if self.ended == "done" else ExitCode.FAILURE


class Renderer(Protocol):
    """Shows one run. Calls come in this order: start, events, finish."""

    def start(self, describe: Callable[[], State] | None) -> None:
        """``describe`` returns the conversation's state, for fronts that show it. ``None``: the
        conversation could not be opened."""

    def events(self, events: Sequence[AgentEvent]) -> None: ...

    def finish(self, outcome: Outcome) -> None: ...


def as_error(caught: Exception) -> QwenError:
    """The error to report for an exception: every run ends with a result."""
    return caught if isinstance(caught, QwenError) else explain_unexpected(caught)


def conclude(
    conversation: Conversation | None,
    tally: Tally,
    *,
    began: float,
    error: QwenError | None,
    was_stopped: bool,
    stop: Stop,
    wants_limits: bool,
) -> Outcome:
    """The outcome of a prompt. ``began`` is its start by the monotonic clock. ``was_stopped``: its
    ``stop`` raised. ``wants_limits``: include the quota and the rate limits."""
    quota = rate_limits = None
    if conversation is not None and wants_limits:
        try:
            quota, rate_limits = conversation.quota(), conversation.rate_limits()
        except Exception as caught:  # noqa: BLE001 every run ends with a result
            error = error or as_error(caught)
    was_stopped = was_stopped or tally.ended in ("stopped", "budget")
    if was_stopped and stop.reason is not None:
        error, was_stopped = stop.reason, False
    return Outcome(
        text=tally.text,
        duration_ms=round((time.monotonic() - began) * 1000),
        api_duration_ms=conversation.api_duration_ms if conversation else 0,
        usage=tally.usage,
        error=error,
        was_stopped=was_stopped,
        quota=quota,
        rate_limits=rate_limits,
        rounds=tally.rounds,
        denied=tally.denied,
        structured=tally.structured,
        ended=tally.ended,
    )


def show(events: AgentEventStream, renderer: Renderer, tally: Tally) -> None:
    """Render the events, and count them."""
    with closing(events):
        for batch in events:
            tally.take(batch)
            renderer.events(batch)
