"""Hooks: commands of the user that run before and after tool calls.

They get the call as JSON on standard input. Before a call, exit code 2 or ``{"decision": "block"}``
on standard output denies it, and standard error or ``reason`` says why; after a call, their output
is added to the result for the model. The names are those of Node Qwen Code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from qwen_code.agent.hook_matchers import fits, id_of, problem_of
from qwen_code.agent.rules.types import Decision, Ruling
from qwen_code.agent.toolbox import Prepared
from qwen_code.base.json_text import decode_json
from qwen_code.base.secret import redact
from qwen_code.base.stop import Stop
from qwen_code.tools import catalogue

_Event = Literal["PreToolUse", "PostToolUse"]
_EVENTS: tuple[_Event, ...] = ("PreToolUse", "PostToolUse")
_TOOLS = tuple(tool.name for tool in catalogue.BUILT_IN)
_TIMEOUT_S = 60.0
_LEAST_TIMEOUT_MS = 1000
"""From this number on, a timeout is one of milliseconds, as it was in earlier versions of Node Qwen
Code."""

_BLOCK = 2
_MAX_OUTPUT_LENGTH = 10_000
_DIRECTORIES = ("QWEN_PROJECT_DIR", "CLAUDE_PROJECT_DIR", "GEMINI_PROJECT_DIR")


class Hook(msgspec.Struct, frozen=True):
    """``matcher`` says which tools it is for, see `hook_matchers`; empty means every tool."""

    event: _Event
    matcher: str
    command: str
    timeout_s: float = _TIMEOUT_S
    env: Mapping[str, str] = {}
    files: Mapping[str, str] = {}
    """The files of a project that it runs, by path, with the digests that the user trusts."""
    problem: str = ""
    """Why it cannot run. Then it forbids what it is for: it may be there to forbid that."""


class _HookEntry(msgspec.Struct):
    command: str = ""
    type: str = "command"
    timeout: float = _TIMEOUT_S
    env: dict[str, str] = {}
    shell: str = "bash"

    @property
    def problem(self) -> str:
        if self.type != "command":
            return f"hooks of the type {self.type!r} are not supported here"
        if self.shell != "bash":
            return f"the shell {self.shell!r} is not supported here"
        return "" if self.command.strip() else "it has no command"

    @property
    def timeout_s(self) -> float:
        return self.timeout / 1000 if self.timeout >= _LEAST_TIMEOUT_MS else self.timeout


class _Group(msgspec.Struct):
    hooks: list[_HookEntry]
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
    def asks(self) -> bool:
        return "ask" in (self.decision, self.hook_specific_output.get("permissionDecision"))

    @property
    def changes(self) -> bool:
        return self.hook_specific_output.get("updatedInput") is not None

    @property
    def why(self) -> str:
        return self.reason or str(self.hook_specific_output.get("permissionDecisionReason", ""))

    @property
    def context(self) -> str:
        said = self.hook_specific_output.get("additionalContext", "")
        return self.additional_context or str(said)


def parse_hooks(
    table: Mapping[str, Any], where: str, notice: Callable[[str], None] = lambda _: None
) -> list[Hook]:
    """The hooks of a setting: ``{"PreToolUse": [{"matcher": "edit", "hooks": [{"type": "command",
    "command": "…", "timeout": 60}]}]}``. ``notice`` gets a line for what is not used as written."""
    if others := [name for name in table if name not in _EVENTS]:
        notice(f"{where}: hooks of {', '.join(others)} have no effect here")
    found = [hook for event in _EVENTS for hook in _hooks(event, table.get(event))]
    for hook in found:
        if problem := problem_of(hook.matcher):
            effect = "so the hook is for every tool"
            notice(f"{where}: the matcher {hook.matcher!r} is not used: {problem}, {effect}")
        elif not any(fits(hook.matcher, name) for name in _TOOLS) and "mcp" not in hook.matcher:
            notice(f"{where}: the matcher {hook.matcher!r} fits no tool, so its hook never runs")
        if hook.problem:
            effect = "so it forbids" if hook.event == "PreToolUse" else "so it is not called after"
            what = hook.matcher or "every tool"
            notice(f"{where}: {hook.problem}, {effect} {what}")
    return found


def _hooks(event: _Event, groups: Any) -> Iterator[Hook]:
    """The hooks of an event. In place of what cannot be read, there is one that cannot run."""
    if groups is None:
        return
    if not isinstance(groups, list):
        yield Hook(event, "", "", problem=f"hooks of {event} must be a list")
        return
    for group in groups:
        try:
            read = msgspec.convert(group, _Group)
        except msgspec.ValidationError as error:
            matcher = group.get("matcher") if isinstance(group, dict) else ""
            matcher = matcher if isinstance(matcher, str) else ""
            yield Hook(event, matcher, "", problem=f"a hook cannot be read: {error}")
            continue
        for e in read.hooks:
            yield Hook(event, read.matcher, e.command, e.timeout_s, e.env, problem=e.problem)


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

    def before(self, prepared: Prepared, stop: Stop) -> Ruling | None:
        """What hooks say about a call before it is made; ``None`` if they do not mind. A hook that
        does not answer, or asks for something that is not done here, denies it."""
        asks = None
        for hook in self._fitting("PreToolUse", prepared):
            code, out, err = self._run(hook, prepared, {}, stop)
            answer = _parsed(out)
            if code is None:
                return _denied(f"the hook {hook.command!r} {err}")
            if code == _BLOCK or answer.blocks:
                return _denied(f"a hook denies it: {answer.why or err or hook.command}")
            if code:
                self._notice(f"the hook {hook.command!r} failed with exit code {code}: {err}")
            elif answer.changes:
                return _denied(f"the hook {hook.command!r} changes calls, which is not supported")
            elif answer.asks:
                asks = Ruling(Decision.ASK, answer.why or f"the hook {hook.command} asks for it")
        return asks

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
        return [hook for hook in self._hooks if hook.event == event and fits(hook.matcher, name)]

    def _run(
        self, hook: Hook, prepared: Prepared, more: Mapping[str, Any], stop: Stop
    ) -> tuple[int | None, str, str]:
        """Exit code, standard output and standard error; on failure ``None`` and the reason."""
        from subprocess import TimeoutExpired  # slow to import; needed only with hooks

        from qwen_code.base import process

        if hook.problem:
            return None, "", f"cannot run: {hook.problem}"
        if changed := _changed_file(hook):
            return None, "", f"runs {changed}, which has changed since you trusted it"

        told = {
            "session_id": self._session_id(),
            "cwd": str(self._cwd),
            "hook_event_name": hook.event,
            "tool_name": id_of(prepared.definition.name),
            "tool_input": _as_known(msgspec.to_builtins(prepared.arguments), self._cwd),
            **more,
        }
        try:
            done = process.run(
                ["bash", "-c", hook.command],
                env={**self._environ, **dict.fromkeys(_DIRECTORIES, str(self._cwd)), **hook.env},
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


def _denied(reason: str) -> Ruling:
    return Ruling(Decision.DENY, reason)


def _as_known(arguments: Any, cwd: Path) -> Any:
    """The arguments of a call, also under the names that they have in Node Qwen Code, where hooks
    look for those."""
    if not isinstance(arguments, dict):
        return arguments
    known = dict(arguments)
    if isinstance(path := arguments.get("path"), str):
        known |= dict.fromkeys(("file_path", "absolute_path"), str(cwd / path))
    if "background" in arguments:
        known["is_background"] = arguments["background"]
    return known


def _changed_file(hook: Hook) -> str:
    from qwen_code.config.run_files import content_digest

    changed = (f for f, known in hook.files.items() if content_digest(Path(f)) != known)
    return next(changed, "")


def _parsed(out: str) -> _HookOutput:
    try:
        return decode_json(out, _HookOutput) if out.startswith("{") else _HookOutput()
    except msgspec.DecodeError:
        return _HookOutput()
