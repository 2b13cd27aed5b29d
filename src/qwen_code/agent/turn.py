"""One turn: the model answers, its tool calls are made, and so on until it has nothing to call.

However a turn ends, its messages stay a conversation that the API accepts: every tool call in it
has its answer.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, Protocol, runtime_checkable

import msgspec

from qwen_code.agent.approvals import Decision, Ruling
from qwen_code.agent.calls import CANCELLED, After, Asked, Ready, finished, run_side_by_side
from qwen_code.agent.errors import TurnLimitReached
from qwen_code.agent.events import AgentEvent, AgentEventStream, ToolAsked, ToolFinished, TurnEnded
from qwen_code.agent.toolbox import Call, Prepared, Toolbox
from qwen_code.models.events import Cut, Event, EventStream, RefusalDelta, TextDelta, ToolCallDelta
from qwen_code.tools.base import Image, Reach, Result
from qwen_code.tools.errors import ToolFailed

__all__ = ["Delegate", "Model", "Policy", "Turn"]

_MOST_SAME_CALLS = 3
_MOST_STOPPED_CALLS = 2
_STOPPED = "You made exactly this call before, with the same result. Do something else."

_UNSEEN = " You cannot see it: this model takes text only, unless the user sets model.vision."

Messages = list[dict[str, Any]]


class Model(Protocol):
    """As much of a model client as a turn needs."""

    def complete(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None = None,
    ) -> EventStream: ...


@runtime_checkable
class Delegate(Protocol):
    """A tool whose call is a conversation of its own: it yields events, and returns the result."""

    def delegate(self, arguments: Any) -> Generator[list[AgentEvent], None, Result]: ...


class Policy:
    """What may be done: ``judge`` rules on a call, and ``ask`` asks the user where it says so.

    ``ask`` returns why not, for the model, or ``None`` for yes. ``before`` may forbid what was
    allowed, in the same way; ``after`` may add to a result.
    """

    def __init__(
        self,
        judge: Callable[[Call], Ruling],
        ask: Callable[[Prepared, Ruling], str | None],
        before: Callable[[Prepared], str | None] = lambda _: None,
        after: After = lambda *_: "",
    ) -> None:
        self.judge = judge
        self.ask = ask
        self.before = before
        self.after = after

    def refusal(self, prepared: Prepared) -> str | None:
        """Why the call may not be made; ``None``: it may."""
        ruling = self.judge(prepared.call)
        if ruling.decision is Decision.DENY:
            return f"Not allowed: {ruling.reason}."
        if (no := self.before(prepared)) is not None:  # or somebody would be asked for nothing
            return no
        return self.ask(prepared, ruling) if ruling.decision is Decision.ASK else None


class Turn:
    """Answers one prompt. Each round is one answer of the model; more than ``most_rounds`` end it.

    ``prepare`` may make the messages shorter before each request. ``is_done`` says after a round
    of calls whether the turn has reached its aim. Pictures go to the model where it ``sees``.
    """

    def __init__(
        self,
        model: Model,
        toolbox: Toolbox,
        policy: Policy,
        *,
        most_rounds: int | None = None,
        prepare: Callable[[Messages], AgentEventStream] | None = None,
        is_done: Callable[[], bool] = lambda: False,
        sees: bool = False,
    ) -> None:
        self._model = model
        self._toolbox = toolbox
        self._policy = policy
        self._most_rounds = most_rounds
        self._prepare = prepare
        self._is_done = is_done
        self._sees = sees
        self._made: list[_Made] = []
        self._stopped_in_a_row = 0

    def run(self, messages: Messages, system: Messages) -> AgentEventStream:
        """Go on from ``messages``, which end in the user's; what happens is added to them.
        ``system`` goes before them in every request.

        Raises:
            QwenError: the model cannot be asked.
            TurnLimitReached: it was not done after the most rounds.
        """
        rounds = 0
        tools = self._toolbox.definitions or None
        while True:
            if self._most_rounds is not None and rounds >= self._most_rounds:
                raise TurnLimitReached(self._most_rounds)
            rounds += 1
            if self._prepare is not None:
                yield from self._prepare(messages)
            answer = _Answer(rounds)
            try:
                with closing(self._model.complete([*system, *messages], tools)) as events:
                    for arrived in events:
                        answer.take(arrived)
                        yield [*arrived]
            finally:
                answer.add_to(messages)
            if not answer.calls:
                yield [TurnEnded("cut" if answer.was_cut else "done", rounds)]
                return
            yield from self._make(answer.calls, messages)
            is_stuck = self._stopped_in_a_row >= _MOST_STOPPED_CALLS
            if self._is_done() or is_stuck:
                yield [TurnEnded("loop" if is_stuck else "done", rounds)]
                return

    # -- calls ------------------------------------------------------------------------------------

    def _make(self, calls: Sequence[Asked], messages: Messages) -> AgentEventStream:
        ends: dict[str, ToolFinished] = {}
        try:
            for group in self._groups(calls):
                with closing(self._make_group(group)) as made:
                    for events in made:
                        ends |= {e.call_id: e for e in events if isinstance(e, ToolFinished)}
                        yield events
        finally:
            for each in self._made[-len(calls) :]:
                each.result = ends[each.id].text if each.id in ends else None
            for call in calls:
                end = ends.get(call.id)
                text = end.text if end else CANCELLED
                if end and end.image and not self._sees:
                    text += _UNSEEN
                messages.append({"role": "tool", "tool_call_id": call.id, "content": text})
            images = [end.image for end in ends.values() if end.image]
            if images and self._sees:
                messages.append(_as_message(images))

    def _groups(self, calls: Sequence[Asked]) -> Iterator[list[Ready]]:
        """The calls in their order; those that only read, side by side."""
        reading: list[Ready] = []
        for call in calls:
            ready = self._ready(call)
            if ready.prepared is not None and _can_go_side_by_side(ready.prepared):
                reading.append(ready)
                continue
            if reading:
                yield reading
                reading = []
            yield [ready]
        if reading:
            yield reading

    def _ready(self, call: Asked) -> Ready:
        before = self._made[-(_MOST_SAME_CALLS - 1) :]
        self._made.append(_Made(call.id, call.name, call.arguments))
        try:
            prepared = self._toolbox.prepare(call.name, call.arguments)
        except ToolFailed as error:
            return Ready(call, None, error.message)
        if not self._is_again(call, before):
            self._stopped_in_a_row = 0
            return Ready(call, prepared)
        self._stopped_in_a_row += 1
        return Ready(call, prepared, _STOPPED)

    def _is_again(self, call: Asked, before: Sequence[_Made]) -> bool:
        """The same call as the last ones, which all came to the same."""
        if len(before) < _MOST_SAME_CALLS - 1:
            return False
        results = {made.result for made in before if made.result != _STOPPED}
        return len(results) <= 1 and all(
            (made.name, made.arguments) == (call.name, call.arguments) for made in before
        )

    def _make_group(self, group: Sequence[Ready]) -> AgentEventStream:
        yield [
            ToolAsked(
                ready.call.id,
                ready.call.name,
                ready.prepared.title if ready.prepared else "",
                ready.call.arguments,
                ready.prepared.definition.reach if ready.prepared else Reach.READ,
            )
            for ready in group
        ]
        allowed = []
        for ready in group:
            if ready.problem or ready.prepared is None:
                yield [finished(ready.call, ready.problem or "", is_error=True)]
            elif (no := self._policy.refusal(ready.prepared)) is not None:
                yield [finished(ready.call, no, is_denied=True)]
            else:
                allowed.append(ready)
        if len(allowed) == 1 and isinstance(allowed[0].prepared.tool, Delegate):  # type: ignore[union-attr]
            yield from _delegated(allowed[0])
            return
        yield from run_side_by_side(allowed, self._policy.after)


def _can_go_side_by_side(prepared: Prepared) -> bool:
    return prepared.definition.reach is Reach.READ and not isinstance(prepared.tool, Delegate)


def _delegated(ready: Ready) -> AgentEventStream:
    call, prepared = ready.call, ready.prepared
    assert prepared is not None
    assert isinstance(prepared.tool, Delegate)
    try:
        result = yield from prepared.tool.delegate(prepared.arguments)
    except ToolFailed as error:
        yield [finished(call, error.message, is_error=True)]
        return
    yield [finished(call, result.text, result.summary)]


def _as_message(images: Sequence[Image]) -> dict[str, Any]:
    """Pictures for the model: answers of tools can only be text."""
    from base64 import b64encode

    parts: list[dict[str, Any]] = [{"type": "text", "text": "(the pictures that were read)"}]
    for image in images:
        url = f"data:{image.media_type};base64,{b64encode(image.data).decode()}"
        parts.append({"type": "image_url", "image_url": {"url": url}})
    return {"role": "user", "content": parts}


class _Made(msgspec.Struct):
    """A call that was made, and what came of it."""

    id: str
    name: str
    arguments: str
    result: str | None = None


class _Answer:
    """One answer of the model as it comes: its text and its tool calls."""

    def __init__(self, number: int) -> None:
        self.was_cut = False
        self._number = number
        self._text: list[str] = []
        self._calls: dict[int, Asked] = {}

    def take(self, events: Sequence[Event]) -> None:
        for event in events:
            kind = type(event)
            if kind is TextDelta or kind is RefusalDelta:
                self._text.append(event.text)  # type: ignore[union-attr]
            elif isinstance(event, ToolCallDelta):
                call = self._calls.get(event.index) or self._begin(event)
                call.name += event.name or ""
                call.arguments += event.arguments
            elif kind is Cut:
                self.was_cut = True

    def _begin(self, event: ToolCallDelta) -> Asked:
        """A new call, under an id that no other call of this answer has."""
        is_new = event.id and all(call.id != event.id for call in self._calls.values())
        call_id = event.id if event.id and is_new else f"call-{self._number}-{event.index}"
        call = self._calls[event.index] = Asked(call_id)
        return call

    @property
    def calls(self) -> list[Asked]:
        """The calls to make: none of an answer that was cut, the last may lack its end."""
        return [] if self.was_cut else [call for _, call in sorted(self._calls.items())]

    def add_to(self, messages: Messages) -> None:
        text, calls = "".join(self._text), self.calls
        if not text and not calls:
            return
        message: dict[str, Any] = {"role": "assistant", "content": text or None}
        if calls:
            message["tool_calls"] = [call.as_message() for call in calls]
        messages.append(message)
