"""One turn: the model answers and its tool calls are executed, until it makes no more calls.

However a turn ends, the API accepts its messages: every tool call has a result.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, Protocol, TypeVar, runtime_checkable

from qwen_code.agent.answer import ModelAnswer
from qwen_code.agent.calls import (
    CallHooks,
    Ready,
    ToolCall,
    announced,
    ended,
    finished,
    run_in_parallel,
    told_of_stop,
)
from qwen_code.agent.errors import TurnLimitReached
from qwen_code.agent.events import (
    AgentEvent,
    AgentEventStream,
    Compacted,
    EndReason,
    QuestionAnswered,
    QuestionAsked,
    ToolFinished,
    TurnEnded,
)
from qwen_code.agent.news import News
from qwen_code.agent.permission import Permission, Refusal
from qwen_code.agent.repeats import Repeats
from qwen_code.agent.toolbox import Prepared, Toolbox
from qwen_code.base.secret import redact
from qwen_code.base.stop import Stop, Stopped
from qwen_code.models.events import EventStream, Notice
from qwen_code.tools.base import Result
from qwen_code.tools.errors import ToolFailed

_REPEATED = "You made exactly this call before, with the same result. Do something else."

_NOT_DONE = "This was not done: the turn ended with an error before it."
_ASKED_AGAIN = "the model gave an empty answer; it is asked once more"
_CUT_OFF = """
The answer reached the longest that is allowed, in the middle of this call. Write less at once: a \
long file in several parts, for example."""
_UNSEEN = " You cannot see it: this model takes text only, unless the user sets model.vision."

T = TypeVar("T")

Messages = list[dict[str, Any]]


class ChatModel(Protocol):
    """What a turn needs of a model client."""

    def complete(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None = None,
        *,
        stop: Stop,
    ) -> EventStream: ...


class Aim(Protocol):
    """A goal that a turn must reach, so that an answer in words does not end it."""

    @property
    def is_over(self) -> bool:
        """Whether it is reached or given up. Checked after each round of calls."""

    def remind(self, text: str) -> str | None:
        """What to tell the model after an answer without calls; ``None`` ends the turn."""


@runtime_checkable
class Delegate(Protocol):
    """A tool that runs in the turn's thread: it yields events, and returns the result."""

    def delegate(
        self, call_id: str, arguments: Any, stop: Stop
    ) -> Generator[list[AgentEvent], None, Result]: ...


class AskPerson(Protocol):
    """Runs something on the thread of the turn, which is the one that a person is asked on."""

    def __call__(self, work: Callable[[], T]) -> T: ...


@runtime_checkable
class Helping(Protocol):
    """A tool whose calls run side by side, each with a conversation of a helper."""

    def help(
        self, call_id: str, arguments: Any, stop: Stop, ask: AskPerson
    ) -> Generator[list[AgentEvent], None, Result]: ...


class Turn:
    """Answers one prompt, in at most ``max_rounds`` answers of the model.

    ``prepare`` can shorten the messages before each request. Without an ``aim`` an answer without
    calls ends the turn. ``sees`` and ``reads_pdf``: the model gets the images and the PDF documents
    that tools read. ``hides_pictures``: what another model has seen of them is left out.
    ``room_tokens`` returns how long the results of one answer may be. The last of them also has the
    ``news``. ``before_end`` gets the last answer, and can return what the model is to go on with.
    Setting ``stop`` ends the turn at any point, with a conversation that the API accepts.
    """

    def __init__(
        self,
        model: ChatModel,
        toolbox: Toolbox,
        permission: Permission,
        stop: Stop,
        *,
        max_rounds: int | None = None,
        prepare: Callable[[Messages], AgentEventStream] | None = None,
        aim: Aim | None = None,
        news: News = News(),  # noqa: B008 it is frozen
        sees: bool = False,
        reads_pdf: bool = False,
        hides_pictures: bool = False,
        room_tokens: Callable[[Messages], int] | None = None,
        before_end: Callable[[str], str | None] = lambda _: None,
    ) -> None:
        self._model = model
        self._toolbox = toolbox
        self._permission = permission
        self._stop = stop
        self._max_rounds = max_rounds
        self._prepare = prepare
        self._aim = aim
        self._news = news
        self._takes = frozenset(["image_url"] * sees + ["file"] * reads_pdf)
        self._hides_pictures = hides_pictures
        self._room_tokens = room_tokens
        self._before_end = before_end
        self._repeats = Repeats()
        self._rounds = 0
        self._has_spoken = False
        self._has_asked_again = False
        self._waited_s = 0.0
        self._announced_s = 0.0
        self._announced_at = 0.0

    def hide_pictures(self) -> bool:
        """Leave images out from now on; ``False`` if they were left out before."""
        was = self._hides_pictures and not self._takes
        self._hides_pictures, self._takes = True, frozenset()
        return not was

    def run(self, messages: Messages, system: Callable[[], Messages]) -> AgentEventStream:
        """Continue from ``messages``, which end with the user's, and append to them. ``system``
        returns the messages before them in each request. A stop is reported by `TurnEnded`.

        Raises:
            QwenError: the request failed.
            TurnLimitReached: the model was not done after ``max_rounds``.
        """
        try:
            reason = yield from self._answer(messages, system)
        except Stopped:
            reason = "stopped" if self._stop.reason is None else "budget"
        yield [TurnEnded(reason, self._rounds, self._waited_s)]

    def _answer(
        self, messages: Messages, system: Callable[[], Messages]
    ) -> Generator[list[AgentEvent], None, EndReason]:
        while True:
            self._stop.check()
            if self._max_rounds is not None and self._rounds >= self._max_rounds:
                raise TurnLimitReached(self._max_rounds)
            self._rounds += 1
            if self._prepare is not None:
                yield from self._prepared(messages)
            answer = ModelAnswer()
            try:
                yield from self._ask(answer, [*system(), *self._shown(messages)])
            finally:
                answer.add_to(messages)
            self._has_spoken = self._has_spoken or bool(answer.text)
            if answer.was_cut:
                return "cut"
            if answer.calls:
                yield from self._make(answer.calls, messages, is_cut_off=answer.reason == "length")
                if news := self._news.events():
                    yield news
                self._stop.check()
                if self._repeats.is_stuck:
                    return "loop"
                if self._aim is not None and self._aim.is_over:
                    self._before_end(answer.text)
                    return "done"
            elif (reason := (yield from self._after_words(answer, messages))) is not None:
                return reason

    def _after_words(
        self, answer: ModelAnswer, messages: Messages
    ) -> Generator[list[AgentEvent], None, EndReason | None]:
        """Why the turn ends after an answer without calls; ``None``: the model is asked again."""
        if answer.reason == "content_filter":
            return "filtered"
        if self._aim is not None:
            reminder = self._aim.remind(answer.text)
            if reminder is None:
                return "done"
            from qwen_code.agent.transcript import close_open_end  # needed only with an aim

            close_open_end(messages)
            messages.append({"role": "user", "content": reminder})
            return None
        if self._has_spoken:
            more = self._before_end(answer.text)
            if more is None:
                return "done"
            messages.append({"role": "user", "content": more})
            return None
        if self._has_asked_again or answer.reason == "length":
            return "empty"
        self._has_asked_again = True
        yield [Notice(_ASKED_AGAIN)]
        return None

    def _prepared(self, messages: Messages) -> AgentEventStream:
        assert self._prepare is not None
        for events in self._prepare(messages):
            if any(isinstance(event, Compacted) for event in events):
                self._repeats.forget()
            yield events

    def _shown(self, messages: Messages) -> Messages:
        """The messages as this model accepts them."""
        if not self._hides_pictures:
            return messages
        from qwen_code.agent.pictures import without_pictures  # needed only after images

        return without_pictures(messages, self._takes)

    def _ask(self, answer: ModelAnswer, messages: Messages) -> AgentEventStream:
        """Send one request; ``answer`` is complete unless this ends early."""
        tools = self._toolbox.definitions or None
        with closing(self._model.complete(messages, tools, stop=self._stop)) as events:
            try:
                for arrived in events:
                    if self._announced_s:
                        self._end_wait()
                    answer.take(arrived)
                    if answer.wait_s:
                        self._announced_s, answer.wait_s = answer.wait_s, 0.0
                        self._announced_at = time.monotonic()
                    yield [*arrived]
            finally:
                self._end_wait()
        answer.is_whole = True

    def _end_wait(self) -> None:
        """Count the part of the announced wait that has passed."""
        self._waited_s += min(self._announced_s, time.monotonic() - self._announced_at)
        self._announced_s = 0.0

    # -- calls ------------------------------------------------------------------------------------

    def _make(
        self, calls: Sequence[ToolCall], messages: Messages, *, is_cut_off: bool
    ) -> AgentEventStream:
        """Execute the calls. ``is_cut_off``: the last one may not be complete."""
        ends: dict[str, ToolFinished] = {}
        begun: dict[str, ToolCall] = {}
        try:
            for group in self._groups(calls, is_cut_off=is_cut_off):
                self._stop.check()
                begun |= {ready.call.id: ready.call for ready in group}
                with closing(self._make_group(group)) as made:
                    for events in made:
                        ends |= {e.call_id: e for e in events if isinstance(e, ToolFinished)}
                        self._waited_s += sum(
                            e.waited_s for e in events if isinstance(e, QuestionAnswered)
                        )
                        yield events
        except Stopped:
            for call in begun.values():
                if call.id not in ends:
                    stopped = Result(told_of_stop(self._stop), "stopped")
                    yield [finished(call, stopped, is_error=True)]
            raise
        finally:
            self._answer_calls(calls, ends, messages)

    def _answer_calls(
        self, calls: Sequence[ToolCall], ends: Mapping[str, ToolFinished], messages: Messages
    ) -> None:
        """Append a result for every call, whatever happened to it."""
        room_tokens = None if self._room_tokens is None else self._room_tokens(messages)
        for call in calls:
            end = ends.get(call.id)
            if end and end.text == _REPEATED:
                self._repeats.refused()
            elif end:
                has_failed = end.is_error and not end.is_denied
                self._repeats.note(call.name, call.arguments, end.text, is_error=has_failed)
            text = end.text if end else told_of_stop(self._stop) if self._stop.is_set else _NOT_DONE
            if room_tokens is not None:
                from qwen_code.agent.fitting import fitted  # only with a window, and results

                text = fitted(text, room_tokens // len(calls), call.name, call.arguments)
            if end and end.image:
                if end.image.part_type in self._takes:
                    text = end.image.caption or text
                elif not end.image.is_document:
                    text += _UNSEEN
            if call is calls[-1]:
                text += redact(self._news.told())
            messages.append({"role": "tool", "tool_call_id": call.id, "content": text})
        self._repeats.end_round()
        images = [e.image for e in ends.values() if e.image and e.image.part_type in self._takes]
        if images:
            from qwen_code.agent.pictures import as_message

            messages.append(as_message(images))

    def _groups(self, calls: Sequence[ToolCall], *, is_cut_off: bool) -> Iterator[list[Ready]]:
        """The calls in order, in groups: consecutive read-only calls can run in parallel, and so
        can consecutive helpers."""
        group: list[Ready] = []
        kind: type | None = None
        for call in calls:
            ready = self._ready(call)
            if is_cut_off and ready.problem and call is calls[-1]:
                ready.problem += _CUT_OFF
            before, kind = kind, _kind_of(ready.prepared)
            if group and (kind is None or kind is not before):
                yield group
                group = []
            group.append(ready)
        if group:
            yield group

    def _ready(self, call: ToolCall) -> Ready:
        self._permission.budget.count(call.name, self._stop)
        problem = _REPEATED if self._repeats.is_again(call.name, call.arguments) else None
        try:
            return Ready(call, self._toolbox.prepare(call.name, call.arguments), problem)
        except ToolFailed as error:
            return Ready(call, None, problem or error.message)

    def _make_group(self, group: Sequence[Ready]) -> AgentEventStream:
        yield [
            announced(each.call, self._toolbox.definition(each.call.name), each.prepared)
            for each in group
        ]
        allowed = []
        for ready in group:
            if ready.problem or ready.prepared is None:
                summary = "the same call again" if ready.problem == _REPEATED else ""
                problem = Result(ready.problem or "", summary)
                yield [finished(ready.call, problem, is_error=True)]
            else:
                settled = yield from self._permission.settle(
                    ready.call.id, ready.prepared, self._toolbox, self._stop
                )
                if isinstance(settled, Refusal):
                    refused = Result(settled.text, settled.summary)
                    is_denied = settled.is_denied
                    yield [finished(ready.call, refused, is_error=True, is_denied=is_denied)]
                else:
                    allowed.append(Ready(ready.call, settled))
        if len(allowed) == 1 and isinstance(allowed[0].prepared.tool, Delegate):  # type: ignore[union-attr]
            yield from _delegated(allowed[0], self._stop, self._permission.call_hooks)
            return
        if allowed and isinstance(allowed[0].prepared.tool, Helping):  # type: ignore[union-attr]
            from qwen_code.agent.side_by_side import run_helpers  # few turns have helpers

            yield from run_helpers(allowed, self._stop, self._permission.call_hooks)
            return
        yield from run_in_parallel(allowed, self._stop, self._permission.call_hooks)


def _kind_of(prepared: Prepared | None) -> type | None:
    """What a call can run side by side with: calls of the same kind; ``None``: with nothing."""
    if prepared is None or isinstance(prepared.tool, Delegate):
        return None
    if isinstance(prepared.tool, Helping):
        return Helping
    return Prepared if prepared.definition.effect.is_read_only else None


def _delegated(ready: Ready, stop: Stop, hooks: CallHooks | None) -> AgentEventStream:
    call, prepared = ready.call, ready.prepared
    assert prepared is not None
    assert isinstance(prepared.tool, Delegate)
    is_question = "interactive" in prepared.definition.audience
    if is_question:
        yield [QuestionAsked(call.id, prepared.title, "the model asks")]
    began = time.monotonic()
    result: Result | ToolFailed | Stopped
    try:
        result = yield from prepared.tool.delegate(call.id, prepared.arguments, stop)
    except (ToolFailed, Stopped) as caught:
        result = caught
    ran_s = time.monotonic() - began
    if is_question:
        yield [QuestionAnswered(call.id, ran_s)]
    if isinstance(result, Stopped):
        raise result
    if isinstance(result, ToolFailed):
        failed = Result(result.message, "")
        yield [ended(ready, failed, hooks, stop, ran_s=ran_s, is_error=True)]
    else:
        yield [ended(ready, result, hooks, stop, ran_s=ran_s)]
