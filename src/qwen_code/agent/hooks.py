"""Hooks: commands of the user that run before and after tool calls.

They get the call as JSON on standard input. Before a call, exit code 2 or ``{"decision": "block"}``
on standard output denies it, and standard error or ``reason`` says why; after a call, their output
is added to the result for the model. The names are those of Node Qwen Code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from qwen_code.agent.toolbox import Prepared
from qwen_code.base.errors import ConfigError
from qwen_code.base.json_text import decode_json
from qwen_code.base.secret import redact
from qwen_code.base.stop import Stop

_EVENTS = ("PreToolUse", "PostToolUse")
_TIMEOUT_S = 60.0
_BLOCK = 2
_MAX_OUTPUT_LENGTH = 10_000


class Hook(msgspec.Struct, frozen=True):
    """``matcher`` is a regular expression for the full name of a tool; empty matches every tool."""

    event: Literal["PreToolUse", "PostToolUse"]
    matcher: str
    command: str
    timeout_s: float = _TIMEOUT_S
    files: Mapping[str, str] = {}
    """The files of a project that it runs, by path, with the digests that the user trusts."""


class _HookCommand(msgspec.Struct):
    command: str
    type: Literal["command"] = "command"
    timeout: float = _TIMEOUT_S


class _Group(msgspec.Struct):
    hooks: list[_HookCommand]
    matcher: str = ""


class _HookOutput(msgspec.Struct, rename="camel"):
    decision: str = ""
    reason: str = ""
    additional_context: str = ""
    hook_specific_output: dict[str, Any] = {}

    @property
    def blocks(self) -> bool:
        said = self.hook_specific_output.get("permissionDecision")
        return "block" in self.decision or "deny" in (self.decision, said)

    @property
    def why(self) -> str:
        return self.reason or str(self.hook_specific_output.get("permissionDecisionReason", ""))

    @property
    def context(self) -> str:
        said = self.hook_specific_output.get("additionalContext", "")
        return self.additional_context or str(said)


def parse_hooks(table: Any, where: str) -> list[Hook]:
    """The hooks of a setting: ``{"PreToolUse": [{"matcher": "edit", "hooks": [{"type": "command",
    "command": "…", "timeout": 60}]}]}``. Other events are ignored.

    Raises:
        ConfigError: the format is wrong, or a matcher is not a regular expression.
    """
    try:
        groups = {
            event: msgspec.convert(table.get(event, []), list[_Group])
            for event in _EVENTS
            if isinstance(table, dict)
        }
        for each in (group for found in groups.values() for group in found):
            re.compile(_pattern(each))
    except (msgspec.ValidationError, re.error) as error:
        raise ConfigError(
            f"{where}: hooks: {error}",
            hint='Write {"PreToolUse": [{"matcher": "edit", "hooks": [{"type": "command",'
            ' "command": "…"}]}]}',
        ) from error
    return [
        Hook(event, _pattern(group), each.command, each.timeout)  # type: ignore[arg-type]
        for event, found in groups.items()
        for group in found
        for each in group.hooks
    ]


def _pattern(group: _Group) -> str:
    return "" if group.matcher == "*" else group.matcher


class Hooks:
    """Runs the hooks of a session. ``notice`` is called for hooks that fail."""

    def __init__(
        self,
        hooks: Sequence[Hook],
        *,
        cwd: Path,
        environ: Mapping[str, str],
        session_id: Callable[[], str],
        notice: Callable[[str], None],
    ) -> None:
        self._hooks = hooks
        self._cwd = cwd
        self._environ = environ
        self._session_id = session_id
        self._notice = notice

    def before(self, prepared: Prepared, stop: Stop) -> str | None:
        """Why a hook denies the call, or ``None``. A hook that does not answer denies it."""
        for hook in self._fitting("PreToolUse", prepared):
            code, out, err = self._run(hook, prepared, {}, stop)
            answer = _parsed(out)
            if code is None:
                return f"Not allowed: the hook {hook.command!r} {err}."
            if code == _BLOCK or answer.blocks:
                return f"Not allowed by a hook: {answer.why or err or hook.command}"
            if code:
                self._notice(f"the hook {hook.command!r} failed with exit code {code}: {err}")
        return None

    def after(self, prepared: Prepared, text: str, stop: Stop) -> str:
        """The text that hooks add to the result of a call."""
        added = ""
        for hook in self._fitting("PostToolUse", prepared):
            code, out, err = self._run(hook, prepared, {"tool_response": {"output": text}}, stop)
            answer = _parsed(out)
            said = answer.context or (answer.why if answer.blocks else "")
            if code == _BLOCK:
                said = said or err
            elif code is None or code:
                self._notice(f"the hook {hook.command!r} failed: {err or f'exit code {code}'}")
            added += f"\n\n[output of a hook of the user:]\n{said}" if said else ""
        return added

    def _fitting(self, event: str, prepared: Prepared) -> list[Hook]:
        name = prepared.definition.name
        return [
            hook
            for hook in self._hooks
            if hook.event == event and (not hook.matcher or re.fullmatch(hook.matcher, name))
        ]

    def _run(
        self, hook: Hook, prepared: Prepared, more: Mapping[str, Any], stop: Stop
    ) -> tuple[int | None, str, str]:
        """Exit code, standard output and standard error; on failure ``None`` and the reason."""
        from subprocess import TimeoutExpired  # slow to import; needed only with hooks

        from qwen_code.base import process

        if changed := _changed_file(hook):
            return None, "", f"runs {changed}, which has changed since you trusted it"

        told = {
            "session_id": self._session_id(),
            "cwd": str(self._cwd),
            "hook_event_name": hook.event,
            "tool_name": prepared.definition.name,
            "tool_input": msgspec.to_builtins(prepared.arguments),
            **more,
        }
        try:
            done = process.run(
                ["bash", "-c", hook.command],
                env={**self._environ, "QWEN_PROJECT_DIR": str(self._cwd)},
                cwd=self._cwd,
                stdin=msgspec.json.encode(told),
                timeout_s=hook.timeout_s,
                stop=stop,
                with_children=True,
            )
        except TimeoutExpired:
            return None, "", f"did not answer within {hook.timeout_s:g} s"
        except OSError as error:
            return None, "", f"could not be started: {error.strerror}"
        out, err = (
            redact(data.decode("utf-8", "replace")).strip()[:_MAX_OUTPUT_LENGTH]
            for data in (done.stdout, done.stderr)
        )
        return done.returncode, out, err


def _changed_file(hook: Hook) -> str:
    from qwen_code.config.run_files import content_digest

    changed = (f for f, known in hook.files.items() if content_digest(Path(f)) != known)
    return next(changed, "")


def _parsed(out: str) -> _HookOutput:
    try:
        return decode_json(out, _HookOutput) if out.startswith("{") else _HookOutput()
    except msgspec.DecodeError:
        return _HookOutput()
