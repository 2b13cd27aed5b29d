"""Permission for a call: the decision of the rules, and the answer of a person if they are asked.

The answers mean the same in every front, because they are carried out here::

    Once     allow this call, unchanged or as the person changed it; a changed call is judged again
    Always   allow calls like this one: for the session, or as a rule in the user's settings
    No       deny this call; the model is told the person's reason
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from typing import Literal

import msgspec

from qwen_code.agent.calls import After
from qwen_code.agent.events import (
    AgentEvent,
    AgentEventStream,
    QuestionAnswered,
    QuestionAsked,
    ToolChanged,
)
from qwen_code.agent.rules.judge import Judge, rules_for
from qwen_code.agent.rules.paths import is_delicate
from qwen_code.agent.rules.types import Decision, Mode, Ruling
from qwen_code.agent.toolbox import Prepared, Toolbox
from qwen_code.base.errors import QwenError
from qwen_code.base.stop import Stop, Stopped
from qwen_code.models.events import Notice
from qwen_code.tools.base import Effect, Preview, Subject
from qwen_code.tools.catalogue import EXIT_PLAN_MODE
from qwen_code.tools.errors import ToolFailed

Scope = Literal["session", "project", "user"]
"""How long "always" lasts: this session, this project (its real path), or everywhere."""


Before = Callable[[Prepared, Stop], Ruling | None]
"""Called with each call before it is made; what it says about it, if anything."""


class Question(msgspec.Struct, frozen=True):
    """A request for approval, with everything that a front needs to show it.

    ``always`` describes what `Always` would allow. ``rules`` are what it would add to the user's
    settings; if empty, the session is the only scope. A front that waits for the answer raises
    `Stopped` as soon as ``stop`` is set.
    """

    call_id: str
    prepared: Prepared
    preview: Preview
    reason: str
    always: str
    rules: tuple[str, ...]
    stop: Stop
    helper: str = ""
    """Which helper wants to make the call; empty for the agent itself."""

    @property
    def is_plan(self) -> bool:
        """Whether it is about a plan, which is accepted, changed or rejected."""
        return self.prepared.definition is EXIT_PLAN_MODE


class Once(msgspec.Struct, frozen=True):
    """Yes. ``arguments`` (JSON) replace those of the call; ``mode`` is set after a plan."""

    arguments: str | None = None
    mode: Mode | None = None


class Always(msgspec.Struct, frozen=True):
    """Yes, and do not ask again about calls like this one."""

    scope: Scope = "session"


class No(msgspec.Struct, frozen=True):
    """Deny this call. ``reason`` is what the person wants instead, if they said so.

    ``is_unanswered``: the person could not be asked, and ``reason`` says why.
    """

    reason: str = ""
    is_unanswered: bool = False


Answer = Once | Always | No


class Refusal(msgspec.Struct, frozen=True):
    """Why a call is not executed: ``text`` for the model, and ``summary`` for the person if they
    need another one. Without ``is_denied`` the call would have failed anyway."""

    text: str
    summary: str = ""
    is_denied: bool = True


class _Refused(Exception):
    """A call is denied."""

    def __init__(self, text: str, summary: str = "") -> None:
        super().__init__(text)
        self.refusal = Refusal(text, summary)


class Permission:
    """Decides about calls. ``ask`` asks the person, if ``is_attended``.

    ``before`` is a hook that can deny calls, or have them asked for. ``after`` can add text to a
    result. ``remember`` saves rules for a scope beyond the session.
    """

    def __init__(
        self,
        judge: Judge,
        ask: Callable[[Question], Answer],
        is_attended: Callable[[], bool] = lambda: True,
        before: Before = lambda *_: None,
        after: After = lambda *_: "",
        remember: Callable[[Sequence[str], Scope], None] = lambda *_: None,
    ) -> None:
        self.judge = judge
        self.ask = ask
        self.is_attended = is_attended
        self.before = before
        self.after = after
        self.remember = remember

    def for_helper(self, judge: Judge, ask: Callable[[Question], Answer]) -> Permission:
        """The same permissions for a helper, which has another ``judge`` and asks by ``ask``."""
        return Permission(
            judge,
            ask,
            self.is_attended,
            lambda prepared, stop: self.before(prepared, stop),  # noqa: PLW0108 it may be another
            lambda prepared, text, stop: self.after(prepared, text, stop),  # noqa: PLW0108 by then
            self.remember,
        )

    def join(self, before: Before, after: After) -> None:
        """Have further hooks called, after those that there are."""
        first, then = self.before, self.after

        def both(prepared: Prepared, stop: Stop) -> Ruling | None:
            ruling = first(prepared, stop)
            if ruling is not None and ruling.decision is Decision.DENY:
                return ruling
            return before(prepared, stop) or ruling

        self.before = both
        self.after = lambda *call: then(*call) + after(*call)

    def settle(
        self, call_id: str, prepared: Prepared, toolbox: Toolbox, stop: Stop
    ) -> Generator[list[AgentEvent], None, Prepared | Refusal]:
        """The call to execute, or why it is refused; yields the events of the question.

        Raises:
            Stopped: the turn was stopped while the question was open.
        """
        try:
            ruling = self._ruling(prepared, stop)
            if ruling.decision is not Decision.ASK:
                return prepared
            if not self.is_attended():
                reason = f"{ruling.reason}, and there is no one to ask in this run"
                return Refusal(f"Not allowed: {reason}.")
            # A call that would fail is refused without asking.
            preview = stop.run_beside(prepared.preview)
            question = self._question(call_id, prepared, preview, ruling, stop)
            yield [QuestionAsked(call_id, prepared.title, ruling.reason)]
            asked_at = time.monotonic()
            answer = None
            with suppress(Stopped):
                answer = self.ask(question)
            yield [QuestionAnswered(call_id, time.monotonic() - asked_at)]
            stop.check()
            if answer is None:
                raise Stopped
            return (yield from self._carry_out(question, answer, toolbox))
        except _Refused as refused:
            return refused.refusal
        except ToolFailed as error:
            return Refusal(error.message, is_denied=False)

    def _ruling(self, prepared: Prepared, stop: Stop) -> Ruling:
        ruling = self.judge(prepared.call)
        if ruling.decision is Decision.DENY:
            raise _Refused(f"Not allowed: {ruling.reason}.")
        by_hook = self.before(prepared, stop)
        if by_hook is not None and by_hook.decision is Decision.DENY:
            raise _Refused(f"Not allowed: {by_hook.reason.rstrip('.')}.")
        if prepared.definition is EXIT_PLAN_MODE:
            return Ruling(Decision.ASK, "the plan is ready")
        return by_hook or ruling

    def _question(
        self, call_id: str, prepared: Prepared, preview: Preview, ruling: Ruling, stop: Stop
    ) -> Question:
        rules = () if prepared.definition is EXIT_PLAN_MODE else rules_for(prepared.call)
        always = _in_words(prepared)
        return Question(call_id, prepared, preview, ruling.reason, always, rules, stop)

    def _carry_out(
        self, question: Question, answer: Answer, toolbox: Toolbox
    ) -> Generator[list[AgentEvent], None, Prepared]:
        prepared = question.prepared
        if isinstance(answer, No):
            raise _no(question, answer)
        if isinstance(answer, Once) and answer.arguments is not None:
            prepared = self._changed(question, answer.arguments, toolbox)
            yield [ToolChanged(question.call_id, prepared.title, answer.arguments)]
        if question.is_plan:  # only now, because a changed plan may be invalid
            mode = Mode.AUTO_EDIT if isinstance(answer, Always) else answer.mode
            self.judge.mode = mode or Mode.DEFAULT
        elif isinstance(answer, Always):
            yield from self._allow_from_now_on(question, answer.scope)
        return prepared

    def _changed(self, question: Question, arguments: str, toolbox: Toolbox) -> Prepared:
        changed = toolbox.prepare(question.prepared.definition.name, arguments)
        if changed.definition is not EXIT_PLAN_MODE:
            self._ruling(changed, question.stop)  # rules that deny apply to the changed call, too
        note = f"(The user changed the call before it was made: {arguments})\n\n"
        return msgspec.structs.replace(changed, note=note)

    def _allow_from_now_on(self, question: Question, scope: Scope) -> AgentEventStream:
        """If the rules cannot be saved, they apply to this session, and the person is told."""
        self.judge.allow_from_now_on(question.prepared.call)
        if scope == "session" or not question.rules:
            return
        try:
            self.remember(question.rules, scope)
        except (OSError, QwenError) as error:
            reason = error.message if isinstance(error, QwenError) else error.strerror
            yield [
                Notice(f"this is allowed for this session only; the rule cannot be saved: {reason}")
            ]
            return
        yield [Notice(f"allowed from now on by the rule {', '.join(question.rules)}")]


def _no(question: Question, answer: No) -> _Refused:
    reason = answer.reason
    if answer.is_unanswered:
        return _Refused(f"Not allowed: {reason}.")
    summary = f"no: {reason}" if reason else "no"
    if question.is_plan:
        wanted = f" They said: {reason}" if reason else ""
        text = f"The user did not accept the plan. You are still in plan mode.{wanted}"
    elif reason:
        text = f"The user did not allow it, and said: {reason}"
    else:
        text = "The user said no. Ask what they want instead."
    return _Refused(text, summary)


def _in_words(prepared: Prepared) -> str:
    """What "always" allows for calls like this one."""
    call = prepared.call
    if prepared.definition is EXIT_PLAN_MODE:
        return "accept, and allow all edits in this session"
    if is_delicate(call):
        return f"changes to {call.subject}"
    if call.effect is Effect.FILES:
        return "all edits in this session"
    if call.kind is Subject.COMMAND:
        return "exactly this command" + (f" in {call.directory}" if call.directory else "")
    if call.kind is Subject.HOST:
        return f"all pages of {call.subject}"
    if call.kind is Subject.NAME and call.subject:
        return f"{call.tool} {call.subject}"
    return f"every call of {call.tool}"
