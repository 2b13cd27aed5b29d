"""What every front that runs prompts is told, and how the events of a turn are shown."""

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
    from qwen_code.wiring.conversation import Conversation, State


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
    ended: EndReason | None = None
    """What ended the turn; ``None`` where an error did, or where it never began."""

    def exit_code(self, signal_number: int | None) -> int:
        """The exit code of a run that ended so; after a stop it is that of the signal."""
        if self.was_stopped:
            return exit_code_of(signal_number)
        if self.error is not None:
            return self.error.exit_code
        return ExitCode.OK if self.ended == "done" else ExitCode.FAILURE


class Renderer(Protocol):
    """Shows one run. Called in this order: start, events as they come, finish."""

    def start(self, describe: Callable[[], State] | None) -> None:
        """``describe`` gives the conversation's state, which not every front wants to know.
        ``None``: there is no conversation, because it could not be opened."""

    def events(self, events: Sequence[AgentEvent]) -> None: ...

    def finish(self, outcome: Outcome) -> None: ...


def as_error(caught: Exception) -> QwenError:
    """What is told of an exception: every run ends with a result, whatever it was."""
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
    """What a prompt came to. ``began`` is when, by the monotonic clock; ``was_stopped``: its
    ``stop`` raised; ``wants_limits``: quota and rate limits are told."""
    quota = rate_limits = None
    if conversation is not None and wants_limits:
        try:
            quota, rate_limits = conversation.quota(), conversation.rate_limits()
        except Exception as caught:  # noqa: BLE001 it ends with a result all the same
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
    """Render what happens, and count it."""
    with closing(events):
        for batch in events:
            tally.take(batch)
            renderer.events(batch)
