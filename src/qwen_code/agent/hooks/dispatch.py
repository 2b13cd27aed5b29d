"""Calls the hooks of an event: with what every hook is told, and one answer for all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from qwen_code.agent.hooks.answers import Answer, merged
from qwen_code.agent.hooks.entries import Call, Hook
from qwen_code.agent.hooks.events import EVENTS
from qwen_code.agent.hooks.runner import Runner
from qwen_code.agent.rules.types import Mode
from qwen_code.base.errors import QwenError
from qwen_code.base.stop import Stop


class Facts(msgspec.Struct, frozen=True):
    """What every hook is told, as of now."""

    session_id: str
    transcript: str
    mode: Mode
    prompt: int = 0
    """The number of the next prompt, from 0."""


class Dispatch:
    """``facts`` is asked each time. ``notice`` is called for hooks that fail, and for what they
    show. The hooks of ``above`` are called, too."""

    def __init__(
        self,
        hooks: Sequence[Hook],
        runner: Runner,
        *,
        cwd: Path,
        facts: Callable[[], Facts],
        notice: Callable[[str], None],
        above: Dispatch | None = None,
    ) -> None:
        self.cwd = cwd
        self.facts = facts
        self.notice = notice
        self._own = list(hooks)
        self._runner = runner
        self._above = above
        self._prompt_id = ""

    def below(self, hooks: Sequence[Hook]) -> Dispatch:
        """What calls ``hooks`` beside all that this one calls, now and later."""
        found = Dispatch(
            hooks, self._runner, cwd=self.cwd, facts=self.facts, notice=self.notice, above=self
        )
        found._prompt_id = self._prompt_id
        return found

    def extend(self, hooks: Sequence[Hook]) -> None:
        """Call these, too, from now on."""
        self._own += hooks

    @property
    def _hooks(self) -> list[Hook]:
        return [*self._above._hooks, *self._own] if self._above else self._own

    def add(self, event: str, call: Call, *, matcher: str, timeout_s: float) -> None:
        """Call a function at ``event``, too.

        Raises:
            QwenError: there is no such event.
        """
        if event not in EVENTS:
            raise QwenError(f"there are no hooks of {event!r}", hint=f"Use: {', '.join(EVENTS)}.")
        name = getattr(call, "__name__", "a function")
        hook = Hook(event, matcher, kind="call", call=call, name=name, timeout_s=timeout_s)
        self._own.append(hook)

    def begin_prompt(self) -> None:
        """What is told from now on belongs to the next prompt."""
        facts = self.facts()
        self._prompt_id = f"{facts.session_id}########{facts.prompt}"

    def fire(self, event: str, fields: Mapping[str, Any], stop: Stop) -> Answer:
        """Call the hooks of ``event`` and wait for their answer.

        Raises:
            Stopped: ``stop`` was set.
        """
        hooks, told = self._called(event, fields)
        if not hooks:
            return Answer()
        answers = []
        for hook, answer in self._runner.run(hooks, told, stop):
            problem = f"{hook.label} {answer.problem}" if answer.problem else ""
            if answer.failure:
                self.notice(f"{hook.label} {answer.failure}")
            elif problem and not EVENTS[event].forbids:
                self.notice(problem)
            answers.append(msgspec.structs.replace(answer, problem=problem))
        answer = merged(answers)
        if answer.shown:
            self.notice(f"hook: {answer.shown}")
        return answer

    def leave(self, event: str, fields: Mapping[str, Any]) -> None:
        """Call the hooks of ``event`` beside everything else; :meth:`close` waits for them."""
        hooks, told = self._called(event, fields)
        foreground = [msgspec.structs.replace(hook, in_background=False) for hook in hooks]
        self._runner.leave_running(foreground, told, to_the_end=True)

    def close(self, within_s: float) -> None:
        """Wait for what was left running, at most this long, and end what still is."""
        self._runner.close(within_s)

    def _called(self, event: str, fields: Mapping[str, Any]) -> tuple[list[Hook], dict[str, Any]]:
        """The hooks of an event, and what they are told."""
        hooks = [hook for hook in self._hooks if hook.event == event]
        if not hooks:
            return [], {}
        facts = self.facts()
        now = datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds")
        told = {
            "session_id": facts.session_id,
            "transcript_path": facts.transcript,
            "cwd": str(self.cwd),
            "hook_event_name": event,
            "timestamp": now.replace("+00:00", "Z"),
            "permission_mode": facts.mode.replace("-", "_"),
            **({"prompt_id": self._prompt_id} if self._prompt_id else {}),
            **fields,
        }
        return [hook for hook in hooks if hook.is_for(told)], told
