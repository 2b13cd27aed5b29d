"""One turn: the model answers, its tool calls are made, and so on until it has nothing to call.

However a turn ends, its messages stay a conversation that the API accepts: every tool call in it
has its answer.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from queue import SimpleQueue
from typing import Any, Protocol

import msgspec

from qwen_code.agent.approvals import Decision, Ruling
from qwen_code.agent.errors import TurnLimitReached
from qwen_code.agent.events import AgentEvent, ToolAsked, ToolFinished, ToolOutput, TurnEnded
from qwen_code.agent.toolbox import Prepared, Toolbox
from qwen_code.base.errors import QwenError
from qwen_code.models.events import Cut, Event, RefusalDelta, TextDelta, ToolCallDelta
from qwen_code.tools.base import Reach
from qwen_code.tools.errors import ToolFailed

__all__ = ["Model", "Turn"]

_MOST_SAME_CALLS = 3
_CANCELLED = "The user cancelled this."


class Model(Protocol):
    """As much of a model client as a turn needs."""

    def complete(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None = None,
    ) -> AsyncGenerator[list[Event], None]: ...


class _Asked(msgspec.Struct):
    """A tool call as it comes in pieces."""

    id: str
    name: str = ""
    arguments: str = ""

    def as_message(self) -> dict[str, Any]:
        function = {"name": self.name, "arguments": self.arguments}
        return {"id": self.id, "type": "function", "function": function}


class _Cancelled(Exception):
    """Told to a running tool through its output."""


class Turn:
    """Answers one prompt. ``judge`` rules on a call; ``ask`` asks the user where it says so.

    Each round is one answer of the model; more than ``most_rounds`` end the turn.
    """

    def __init__(
        self,
        model: Model,
        toolbox: Toolbox,
        *,
        judge: Callable[[Prepared], Ruling],
        ask: Callable[[Prepared, Ruling], bool],
        most_rounds: int | None = None,
    ) -> None:
        self._model = model
        self._toolbox = toolbox
        self._judge = judge
        self._ask = ask
        self._most_rounds = most_rounds
        self._made: list[tuple[str, str]] = []

    async def run(self, messages: list[dict[str, Any]]) -> AsyncGenerator[list[AgentEvent], None]:
        """Go on from ``messages``, which end in the user's; what happens is added to them.

        Raises:
            QwenError: the model cannot be asked.
            TurnLimitReached: it was not done after the most rounds.
        """
        rounds = 0
        while True:
            if self._most_rounds is not None and rounds >= self._most_rounds:
                raise TurnLimitReached(self._most_rounds)
            rounds += 1
            answer = _Answer(rounds)
            try:
                async with aclosing(
                    self._model.complete(messages, self._toolbox.definitions)
                ) as events:
                    async for arrived in events:
                        answer.take(arrived)
                        yield [*arrived]
            finally:
                answer.add_to(messages)
            if not answer.calls:
                yield [TurnEnded("cut" if answer.was_cut else "done", rounds)]
                return
            async with aclosing(self._make(answer.calls, messages)) as made:
                async for batch in made:
                    yield batch
            if self._is_stuck():
                yield [TurnEnded("loop", rounds)]
                return

    # -- calls ------------------------------------------------------------------------------------

    async def _make(
        self, calls: Sequence[_Asked], messages: list[dict[str, Any]]
    ) -> AsyncGenerator[list[AgentEvent], None]:
        answers: dict[str, str] = {}
        try:
            for group in self._groups(calls):
                for events in self._make_group(group):
                    answers |= {e.call_id: e.text for e in events if isinstance(e, ToolFinished)}
                    yield events
        finally:
            for call in calls:
                text = answers.get(call.id, _CANCELLED)
                messages.append({"role": "tool", "tool_call_id": call.id, "content": text})

    def _groups(self, calls: Sequence[_Asked]) -> Iterator[list[_Ready]]:
        """The calls in their order; those that only read, side by side."""
        reading: list[_Ready] = []
        for call in calls:
            ready = self._ready(call)
            if ready.prepared is not None and ready.prepared.tool.reach is Reach.READ:
                reading.append(ready)
                continue
            if reading:
                yield reading
                reading = []
            yield [ready]
        if reading:
            yield reading

    def _ready(self, call: _Asked) -> _Ready:
        self._made.append((call.name, call.arguments))
        try:
            prepared = self._toolbox.prepare(call.name, call.arguments)
        except ToolFailed as error:
            return _Ready(call, None, error.message)
        if self._made[-_MOST_SAME_CALLS:] == [self._made[-1]] * _MOST_SAME_CALLS:
            problem = "You made exactly this call before, with the same result. Do something else."
            return _Ready(call, prepared, problem)
        return _Ready(call, prepared)

    def _is_stuck(self) -> bool:
        more = _MOST_SAME_CALLS + 1
        return len(self._made) >= more and len(set(self._made[-more:])) == 1

    def _make_group(self, group: Sequence[_Ready]) -> Iterator[list[AgentEvent]]:
        yield [
            ToolAsked(
                ready.call.id,
                ready.call.name,
                ready.prepared.title if ready.prepared else "",
                ready.call.arguments,
            )
            for ready in group
        ]
        allowed = []
        for ready in group:
            if problem := ready.problem or self._denied(ready.prepared):
                yield [
                    ToolFinished(ready.call.id, ready.call.name, problem, problem, is_error=True)
                ]
            else:
                allowed.append(ready)
        yield from _run_side_by_side(allowed)

    def _denied(self, prepared: Prepared | None) -> str | None:
        assert prepared is not None
        ruling = self._judge(prepared)
        if ruling.decision is Decision.ALLOW:
            return None
        if ruling.decision is Decision.ASK and self._ask(prepared, ruling):
            return None
        return f"Not allowed: {ruling.reason}."


class _Ready(msgspec.Struct):
    call: _Asked
    prepared: Prepared | None
    problem: str | None = None


class _Answer:
    """One answer of the model as it comes: its text and its tool calls."""

    def __init__(self, number: int) -> None:
        self.was_cut = False
        self._number = number
        self._text: list[str] = []
        self._calls: dict[int, _Asked] = {}

    def take(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, TextDelta | RefusalDelta):
                self._text.append(event.text)
            elif isinstance(event, ToolCallDelta):
                call = self._calls.setdefault(
                    event.index, _Asked(event.id or f"call-{self._number}-{event.index}")
                )
                call.name += event.name or ""
                call.arguments += event.arguments
            elif isinstance(event, Cut):
                self.was_cut = True

    @property
    def calls(self) -> list[_Asked]:
        """The calls to make: none of an answer that was cut, the last may lack its end."""
        return [] if self.was_cut else [call for _, call in sorted(self._calls.items())]

    def add_to(self, messages: list[dict[str, Any]]) -> None:
        text, calls = "".join(self._text), self.calls
        if not text and not calls:
            return
        message: dict[str, Any] = {"role": "assistant", "content": text or None}
        if calls:
            message["tool_calls"] = [call.as_message() for call in calls]
        messages.append(message)


def _run_side_by_side(group: Sequence[_Ready]) -> Iterator[list[AgentEvent]]:
    """Each call on a thread of its own; what they print and how they end, as it happens."""
    inbox: SimpleQueue[AgentEvent] = SimpleQueue()
    cancelled = threading.Event()
    threads = [
        threading.Thread(target=_run, args=(ready, inbox, cancelled), daemon=True)
        for ready in group
    ]
    for thread in threads:
        thread.start()
    left = len(threads)
    try:
        while left:
            event = inbox.get()
            left -= isinstance(event, ToolFinished)
            yield [event]
    finally:
        cancelled.set()
        for thread in threads:
            thread.join()


def _run(ready: _Ready, inbox: SimpleQueue[AgentEvent], cancelled: threading.Event) -> None:
    call, prepared = ready.call, ready.prepared
    assert prepared is not None

    def show(text: str) -> None:
        if cancelled.is_set():
            raise _Cancelled
        if text:
            inbox.put(ToolOutput(call.id, text))

    try:
        result = prepared.run(show)
        finished = ToolFinished(call.id, call.name, result.text, result.summary)
    except _Cancelled:
        finished = ToolFinished(call.id, call.name, _CANCELLED, "cancelled", is_error=True)
    except QwenError as error:
        text = error.message
        finished = ToolFinished(call.id, call.name, text, text.split("\n")[0], is_error=True)
    except Exception as error:  # noqa: BLE001 a tool's mistake must not end the session
        text = f"the tool failed: {type(error).__name__}: {error}"
        finished = ToolFinished(call.id, call.name, text, text, is_error=True)
    inbox.put(finished)
