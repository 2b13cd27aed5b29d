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
from typing import TYPE_CHECKING, Literal

import msgspec

from qwen_code.agent.calls import CallBudget, CallHooks
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

if TYPE_CHECKING:
    from qwen_code.agent.hooks.session import Judged, SessionHooks
    from qwen_code.agent.session_skills import SessionSkills

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

    ``remember`` saves rules for a scope beyond the session. ``hooks`` are asked before a call, and
    before the person is. ``skills`` are those that the model may read.
    """

    def __init__(
        self,
        judge: Judge,
        ask: Callable[[Question], Answer],
        is_attended: Callable[[], bool] = lambda: True,
        remember: Callable[[Sequence[str], Scope], None] = lambda *_: None,
    ) -> None:
        self.judge = judge
        self.ask = ask
        self.is_attended = is_attended
        self.remember = remember
        self.hooks: SessionHooks | None = None
        self.skills: SessionSkills | None = None
        self.budget = CallBudget()

    @property
    def call_hooks(self) -> CallHooks | None:
        """What is told of calls that have ended, and may add to their results."""
        return self.hooks if self.skills is None else self.skills.beside(self.hooks)

    def for_helper(self, judge: Judge, ask: Callable[[Question], Answer]) -> Permission:
        """The same permissions for a helper, which has another ``judge`` and asks by ``ask``."""
        permission = Permission(judge, ask, self.is_attended, self.remember)
        permission.hooks, permission.skills = self.hooks, self.skills
        permission.budget = self.budget
        return permission

    def settle(
        self, call_id: str, prepared: Prepared, toolbox: Toolbox, stop: Stop
    ) -> Generator[list[AgentEvent], None, Prepared | Refusal]:
        """The call to execute, or why it is refused; yields the events of the question.

        Raises:
            Stopped: the turn was stopped while the question was open.
        """
        try:
            prepared, ruling = yield from self._judged(call_id, prepared, toolbox, stop)
            if ruling.decision is not Decision.ASK:
                return prepared
            if not self.is_attended():
                reason = f"{ruling.reason}, and there is no one to ask in this run"
                return Refusal(f"Not allowed: {reason}.")
            if self.hooks is not None:
                prepared, ruling = yield from self._answered(
                    self.hooks, call_id, prepared, ruling, toolbox, stop
                )
                if ruling.decision is not Decision.ASK:
                    return prepared
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

    def _ruling(self, prepared: Prepared) -> Ruling:
        ruling = self.judge(prepared.call)
        if ruling.decision is Decision.DENY:
            raise _Refused(f"Not allowed: {ruling.reason}.")
        if prepared.definition is EXIT_PLAN_MODE:
            return Ruling(Decision.ASK, "the plan is ready")
        return ruling

    def _judged(
        self, call_id: str, prepared: Prepared, toolbox: Toolbox, stop: Stop
    ) -> Generator[list[AgentEvent], None, tuple[Prepared, Ruling]]:
        """What rules and hooks say about a call, which hooks can change."""
        ruling = self._ruling(prepared)
        if self.hooks is None:
            return prepared, ruling
        judged = self.hooks.before(call_id, prepared, stop)
        return (yield from self._heeded(judged, call_id, prepared, ruling, toolbox))

    def _answered(
        self,
        hooks: SessionHooks,
        call_id: str,
        prepared: Prepared,
        ruling: Ruling,
        toolbox: Toolbox,
        stop: Stop,
    ) -> Generator[list[AgentEvent], None, tuple[Prepared, Ruling]]:
        """What hooks answer in place of the person, who has to be asked unless they do."""
        judged = hooks.permission(prepared, stop)
        if judged.interrupts:
            stop.set()
            stop.check()
        found = yield from self._heeded(judged, call_id, prepared, ruling, toolbox)
        if found[1].decision is Decision.ASK:
            text = f"Qwen Code needs your permission to use {prepared.definition.name}"
            hooks.notify("permission_prompt", text, "Permission needed")
        return found

    def _heeded(
        self,
        judged: Judged,
        call_id: str,
        prepared: Prepared,
        ruling: Ruling,
        toolbox: Toolbox,
    ) -> Generator[list[AgentEvent], None, tuple[Prepared, Ruling]]:
        """A call and its ruling after what hooks say of it. They can answer a question in place of
        the person, if only the mode asks: not a rule, and not about a delicate file or a plan."""
        if judged.decision is Decision.DENY:
            raise _Refused(f"Not allowed: {judged.reason.rstrip('.')}.")
        if judged.arguments is not None:
            changed = toolbox.prepare(prepared.definition.name, judged.arguments)
            ruling = self._ruling(changed)
            note = f"(A hook changed the call before it was made: {judged.arguments})\n\n"
            prepared = msgspec.structs.replace(changed, note=note)
            yield [ToolChanged(call_id, prepared.title, judged.arguments)]
        if judged.note:
            prepared = msgspec.structs.replace(prepared, note=prepared.note + judged.note)
        is_plan = prepared.definition is EXIT_PLAN_MODE
        if judged.decision is Decision.ASK and not is_plan:
            return prepared, Ruling(Decision.ASK, judged.reason)
        is_open = ruling.rule is None and not is_plan and not is_delicate(prepared.call)
        if judged.decision is Decision.ALLOW and is_open and self.is_attended():
            return prepared, Ruling(Decision.ALLOW, judged.reason)
        return prepared, ruling

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
            changed = self._changed(question, answer.arguments, toolbox)
            yield [ToolChanged(question.call_id, changed.title, answer.arguments)]
            prepared = changed
            if self.hooks is not None and not question.is_plan:
                judged = self.hooks.before(question.call_id, changed, question.stop)
                allowed = Ruling(Decision.ALLOW, "the user has changed it")
                prepared, _ = yield from self._heeded(
                    judged, question.call_id, changed, allowed, toolbox
                )
        if question.is_plan:  # only now, because a changed plan may be invalid
            mode = Mode.AUTO_EDIT if isinstance(answer, Always) else answer.mode
            self.judge.mode = mode or Mode.DEFAULT
        elif isinstance(answer, Always):
            yield from self._allow_from_now_on(question, answer.scope)
        return prepared

    def _changed(self, question: Question, arguments: str, toolbox: Toolbox) -> Prepared:
        changed = toolbox.prepare(question.prepared.definition.name, arguments)
        if changed.definition is not EXIT_PLAN_MODE:
            self._ruling(changed)  # rules that deny apply to the changed call, too
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
