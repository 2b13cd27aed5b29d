"""The hooks of a session: what the agent calls at each of its fixed points.

A hook that cannot run forbids the call that it was to judge; anywhere else it costs a notice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from qwen_code.agent.calls import Added
from qwen_code.agent.hooks.answers import Answer
from qwen_code.agent.hooks.dispatch import Dispatch
from qwen_code.agent.hooks.entries import Call, Hook
from qwen_code.agent.hooks.inputs import arguments_of, input_of
from qwen_code.agent.hooks.matchers import id_of
from qwen_code.agent.rules.types import Decision
from qwen_code.agent.toolbox import Prepared
from qwen_code.base.errors import CredentialRejected, QwenError, TransportError
from qwen_code.base.stop import Stop
from qwen_code.models.errors import (
    AccessDenied,
    BadRequest,
    ContextLengthExceeded,
    ModelError,
    QuotaExhausted,
    RateLimited,
    ServerFailed,
    UnknownModel,
)

Source = Literal["startup", "resume", "clear", "compact"]
EndReason = Literal["clear", "logout", "prompt_input_exit", "other"]

_LABEL = "\n\n[output of a hook of the user:]\n"
_CONTEXT_TAG = "qwen:user-prompt-submit-context"
_MAX_BLOCKS = 8
_END_S = 5.0
"""How long the hooks of a session's end may take in total."""

_FAILURES: tuple[tuple[type[QwenError], str], ...] = (
    (RateLimited, "rate_limit"),
    (CredentialRejected, "authentication_failed"),
    (QuotaExhausted, "billing_error"),
    (AccessDenied, "billing_error"),
    (BadRequest, "invalid_request"),
    (ContextLengthExceeded, "invalid_request"),
    (UnknownModel, "invalid_request"),
    (ServerFailed, "server_error"),
    (ModelError, "unknown"),
    (TransportError, "unknown"),
)
"""Node Qwen Code's names for errors."""

_DECISIONS: Mapping[str, tuple[Decision, str]] = {
    "allow": (Decision.ALLOW, "a hook allows it"),
    "ask": (Decision.ASK, "a hook asks for it"),
}
_NO_REASON = "No reason provided"


class Judged(msgspec.Struct, frozen=True):
    """What hooks say about a call. ``arguments`` (JSON) replace those that it has. ``note`` is for
    the model. ``interrupts``: the turn ends."""

    decision: Decision | None = None
    reason: str = ""
    arguments: str | None = None
    note: str = ""
    interrupts: bool = False


class SessionHooks:
    """Calls the hooks of a session. ``max_blocks``: how often hooks of ``Stop`` can let the model
    go on for one prompt."""

    def __init__(self, dispatch: Dispatch, *, max_blocks: int = _MAX_BLOCKS) -> None:
        self.context = ""
        """What the hooks of the session's beginning add to the instructions."""
        self._dispatch = dispatch
        self._max_blocks = max_blocks
        self._blocks: dict[str, int] = {}
        self._model = ""
        self._is_begun = False

    def add(self, event: str, call: Call, *, matcher: str = "", timeout_s: float = 60.0) -> None:
        """Call a Python function with the input of ``event``. It returns an object with Node Qwen
        Code's fields, or ``None``.

        Raises:
            QwenError: there is no such event.
        """
        self._dispatch.add(event, call, matcher=matcher, timeout_s=timeout_s)
        self._is_begun = True  # with the session, which may have had no hooks

    def extend(self, hooks: Sequence[Hook]) -> None:
        """Call these, too, for the rest of the session."""
        self._dispatch.extend(hooks)
        self._is_begun = True

    def below(self, hooks: Sequence[Hook]) -> SessionHooks:
        """The hooks of a helper: those of the session, and ``hooks``."""
        return SessionHooks(self._dispatch.below(hooks), max_blocks=self._max_blocks)

    # -- the session ------------------------------------------------------------------------------

    def begin(self, source: Source, model: str, stop: Stop) -> None:
        """The session begins, goes on, or has been shortened; sets ``context``.

        Raises:
            Stopped: ``stop`` was set.
        """
        self._is_begun, self._model = True, model
        answer = self._dispatch.fire("SessionStart", {"source": source, "model": model}, stop)
        if answer.context or source != "compact":
            self.context = answer.context

    def end(self, reason: EndReason) -> None:
        """The session ends. Called once; what is still running has been ended afterwards."""
        if self._is_begun:
            self._is_begun = False
            self._dispatch.leave("SessionEnd", {"reason": reason})
        self._dispatch.close(_END_S)

    def prompted(self, prompt: str, written: str, stop: Stop) -> str | None:
        """The prompt with what hooks add to it; ``None`` if they block it. ``written`` is what the
        user wrote, where ``prompt`` is what a command of theirs stands for.

        Raises:
            Stopped: ``stop`` was set.
        """
        self._blocks.clear()
        self._dispatch.begin_prompt()
        added = ""
        if prompt != written and written.startswith("/"):
            name, _, arguments = written[1:].partition(" ")
            told = {"command_name": name, "command_args": arguments.strip(), "prompt": prompt}
            answer = self._dispatch.fire("UserPromptExpansion", told, stop)
            if answer.denies:
                self._dispatch.notice(f"a hook blocks this command: {answer.reason or _NO_REASON}")
                return None
            added += f"\n\n{answer.context}" if answer.context else ""
        told = {"prompt": prompt + added, "submitted_prompt": written}
        answer = self._dispatch.fire("UserPromptSubmit", told, stop)
        if answer.denies:
            self._dispatch.notice(f"a hook blocks this prompt: {answer.reason or _NO_REASON}")
            return None
        if answer.context:
            plain = answer.context.replace("<", "&lt;").replace(">", "&gt;")
            added += f"\n\n<{_CONTEXT_TAG}>\n{plain}\n</{_CONTEXT_TAG}>"
        return prompt + added

    def stopping(self, text: str, stop: Stop) -> str | None:
        """What the model is told to go on with, after an answer without calls; ``None``: the turn
        ends.

        Raises:
            Stopped: ``stop`` was set.
        """
        return self._may_go_on("Stop", {"last_assistant_message": text}, "", stop)

    def failed_turn(self, error: QwenError) -> None:
        """A turn has ended with an error of the model's server. Nothing waits for these hooks."""
        kind = next((name for type_, name in _FAILURES if isinstance(error, type_)), None)
        if kind is not None:
            self._dispatch.leave("StopFailure", {"error": kind, "error_details": error.message})

    def looped(self) -> None:
        """A turn has ended because the model kept repeating calls."""
        self._dispatch.leave("StopFailure", {"error": "loop_detected"})

    def compacting(self, trigger: str, instructions: str, stop: Stop) -> str:
        """What the summary of a conversation must also contain.

        Raises:
            QwenError: a hook blocks it, which only counts if the user has asked for it.
            Stopped: ``stop`` was set.
        """
        told = {"trigger": trigger, "custom_instructions": instructions}
        answer = self._dispatch.fire("PreCompact", told, stop)
        if answer.denies and trigger == "manual":
            raise QwenError(
                f"a hook does not let the conversation be shortened: {answer.reason or _NO_REASON}",
                hint="List all hooks: qwen hooks list",
            )
        return "\n\n".join(each for each in (instructions, answer.context) if each)

    def compacted(self, trigger: str, summary: str, stop: Stop) -> None:
        """The conversation was shortened.

        Raises:
            Stopped: ``stop`` was set.
        """
        self._dispatch.fire("PostCompact", {"trigger": trigger, "compact_summary": summary}, stop)
        self.begin("compact", self._model, stop)

    def notify(self, kind: str, message: str, title: str) -> None:
        """Something waits for the user. Nothing waits for these hooks."""
        told = {"message": message, "notification_type": kind, "title": title}
        self._dispatch.leave("Notification", told)

    # -- calls ------------------------------------------------------------------------------------

    def before(self, call_id: str, prepared: Prepared, stop: Stop) -> Judged:
        """What hooks say about a call before it is made.

        Raises:
            Stopped: ``stop`` was set.
        """
        told = self._call(call_id, prepared)
        answer = self._dispatch.fire("PreToolUse", told, stop)
        if answer.problem or answer.denies:
            reason = answer.reason or _NO_REASON
            said = answer.problem or f"a hook denies it: {reason}"
            return Judged(Decision.DENY, said)
        decision, usual = _DECISIONS.get(answer.verdict, (None, ""))
        note = f"[a hook of the user says:]\n{answer.context}\n\n" if answer.context else ""
        changed = self._changed(prepared, told, answer)
        return Judged(decision, answer.reason or usual, changed, note)

    def permission(self, prepared: Prepared, stop: Stop) -> Judged:
        """What hooks answer in place of the person who would be asked.

        Raises:
            Stopped: ``stop`` was set.
        """
        told = self._subject(prepared)
        answer = self._dispatch.fire("PermissionRequest", told, stop)
        if answer.has_permissions:
            self._dispatch.notice(
                "updatedPermissions of a hook has no effect here: write the rule yourself"
            )
        if answer.problem or answer.denies:
            reason = answer.problem or f"a hook denies it: {answer.reason or _NO_REASON}"
            return Judged(Decision.DENY, reason, interrupts=answer.interrupts)
        if answer.verdict != "allow":
            return Judged()
        changed = self._changed(prepared, told, answer)
        return Judged(Decision.ALLOW, answer.reason or "a hook allows it", changed)

    def after(
        self, call_id: str, prepared: Prepared, text: str, summary: str, ran_s: float, stop: Stop
    ) -> Added:
        """What hooks add to the result of a call.

        Raises:
            Stopped: ``stop`` was set.
        """
        told = {
            **self._call(call_id, prepared),
            "tool_response": {"llmContent": text, "returnDisplay": summary},
            "duration_ms": round(ran_s * 1000),
        }
        answer = self._dispatch.fire("PostToolUse", told, stop)
        if answer.stops:
            return Added(instead=answer.reason or "Execution stopped by hook")
        said = (answer.reason if answer.verdict == "deny" else "", answer.context)
        texts = [each for each in said if each]
        return Added(_LABEL + "\n".join(texts) if texts else "")

    def failed(
        self, call_id: str, prepared: Prepared, error: str, ran_s: float, stop: Stop
    ) -> Added:
        """What hooks add to the error of a call.

        Raises:
            Stopped: ``stop`` was set.
        """
        told = {
            **self._call(call_id, prepared),
            "error": error,
            "is_interrupt": False,
            "duration_ms": round(ran_s * 1000),
        }
        answer = self._dispatch.fire("PostToolUseFailure", told, stop)
        return Added(_LABEL + answer.context if answer.context else "")

    # -- helpers ----------------------------------------------------------------------------------

    def subagent_started(self, agent_id: str, agent_type: str, stop: Stop) -> str:
        """A helper begins; what hooks tell it.

        Raises:
            Stopped: ``stop`` was set.
        """
        told = {"agent_id": agent_id, "agent_type": agent_type}
        return self._dispatch.fire("SubagentStart", told, stop).context

    def subagent_ended(self, agent_id: str, agent_type: str, text: str, stop: Stop) -> str | None:
        """What a helper is told to go on with, after its answer; ``None``: it is done.

        Raises:
            Stopped: ``stop`` was set.
        """
        told = {
            "agent_id": agent_id,
            "agent_type": agent_type,
            "agent_transcript_path": self._dispatch.facts().transcript,
            "last_assistant_message": text,
        }
        return self._may_go_on("SubagentStop", told, agent_id, stop)

    # -- inside -----------------------------------------------------------------------------------

    def _may_go_on(self, event: str, told: dict[str, Any], key: str, stop: Stop) -> str | None:
        blocks = self._blocks.get(key, 0)
        more = {"stop_hook_active": blocks > 0, **told, "background_tasks": [], "crons": []}
        answer = self._dispatch.fire(event, more, stop)
        if not answer.denies:
            self._blocks.pop(key, None)
            return None
        self._blocks[key] = blocks + 1
        if blocks + 1 >= self._max_blocks:
            times = "once" if self._max_blocks == 1 else f"{self._max_blocks} times in a row"
            self._dispatch.notice(
                f"hooks of {event} did not let the model end {times}: it ends now"
            )
            return None
        return answer.reason or _NO_REASON

    def _call(self, call_id: str, prepared: Prepared) -> dict[str, Any]:
        ids = {"tool_use_id": f"toolu_{call_id}", "tool_call_id": call_id}
        return {**self._subject(prepared), **ids}

    def _subject(self, prepared: Prepared) -> dict[str, Any]:
        return {
            "tool_name": id_of(prepared.definition.name),
            "tool_input": input_of(prepared, self._dispatch.cwd),
        }

    def _changed(self, prepared: Prepared, told: Mapping[str, Any], answer: Answer) -> str | None:
        if answer.updated is None or answer.updated == told["tool_input"]:
            return None
        return arguments_of(prepared.definition.name, answer.updated)
