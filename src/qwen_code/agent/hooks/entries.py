"""Reads hooks from settings: ``{"PreToolUse": [{"matcher": "edit", "hooks": [{"type": "command",
"command": "…", "timeout": 60}]}]}``.

In place of a hook that cannot be read there is one with a ``problem``. Where its event may forbid
something, it forbids everything that it is for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import msgspec

from qwen_code.agent.hooks.events import EVENTS, NO_EVENTS, WITHOUT_EFFECT
from qwen_code.agent.hooks.matchers import fits, fits_word, problem_of
from qwen_code.base.stop import Stop
from qwen_code.tools import catalogue

Kind = Literal["command", "http", "prompt", "call"]
Call = Callable[[Mapping[str, Any], Stop], Any]

_TOOLS = tuple(tool.name for tool in catalogue.BUILT_IN)
_USUAL_S: Mapping[str, float] = {"command": 60.0, "http": 600.0, "prompt": 30.0}
_LEAST_TIMEOUT_MS = 1000
"""From this number on, the timeout of a command is one of milliseconds, as it was in earlier
versions of Node Qwen Code."""

_KNOWN = frozenset(
    (
        *("type", "command", "url", "prompt", "headers", "allowedEnvVars", "timeout", "env"),
        *("shell", "name", "description", "statusMessage", "async", "once", "source"),
    )
)


class Hook(msgspec.Struct, frozen=True):
    """``matcher`` says what it is for, see `matchers`; empty means everything."""

    event: str
    matcher: str = ""
    command: str = ""
    timeout_s: float = 60.0
    env: Mapping[str, str] = {}
    kind: Kind = "command"
    url: str = ""
    prompt: str = ""
    headers: Mapping[str, str] = {}
    variables: tuple[str, ...] = ()
    """The variables of the environment that ``url`` and ``headers`` may name as ``$NAME``."""
    name: str = ""
    status: str = ""
    """What the user sees while a slow hook runs."""
    in_background: bool = False
    once: bool = False
    sequential: bool = False
    call: Call | None = None
    files: Mapping[str, str] = {}
    """The files of a project that it runs, by path, with the digests that the user trusts."""
    of_project: bool = False
    problem: str = ""
    """Why it cannot run."""

    @property
    def text(self) -> str:
        """What it runs, asks or sends to."""
        return self.command or self.url or self.prompt or self.name

    @property
    def label(self) -> str:
        """How messages name it."""
        return f"the hook {self.text!r}" if self.text else f"a hook of {self.event}"

    def is_for(self, told: Mapping[str, Any]) -> bool:
        """Whether it is called with this input."""
        event = EVENTS[self.event]
        subject = str(told.get(event.field) or "")
        if event.target == "tool":
            return fits(self.matcher, subject)
        return not event.target or fits_word(self.matcher, subject)


def parse_hooks(
    table: Any, where: str, notice: Callable[[str], None] = lambda _: None
) -> list[Hook]:
    """The hooks of a setting. ``notice`` gets a line for what is not used as it is written."""
    if not isinstance(table, dict):
        notice(f"{where}: hooks must be an object, so there are none")
        return []
    found: list[Hook] = []
    for event, groups in table.items():
        if event in NO_EVENTS:
            continue
        if event not in EVENTS:
            instead = f": {WITHOUT_EFFECT[event]}" if event in WITHOUT_EFFECT else ""
            notice(f"{where}: hooks of {event} have no effect here{instead}")
        elif groups is not None:
            found += _hooks(event, groups, lambda text: notice(f"{where}: {text}"))
    for hook in found:
        _check(hook, lambda text: notice(f"{where}: {text}"))
    return found


def _check(hook: Hook, say: Callable[[str], None]) -> None:
    if hook.problem:
        what = hook.matcher or ("every tool" if EVENTS[hook.event].target == "tool" else "anything")
        forbids = EVENTS[hook.event].forbids
        say(f"{hook.problem}, so it {'forbids' if forbids else 'is not called for'} {what}")
    target = EVENTS[hook.event].target
    if not target:
        return
    if problem := problem_of(hook.matcher):
        effect = "so the hook is for every tool" if target == "tool" else "so it is always called"
        say(f"the matcher {hook.matcher!r} is not used: {problem}, {effect}")
        return
    if target == "word" or "mcp" in hook.matcher:
        return
    if not any(fits(hook.matcher, name) for name in _TOOLS):
        say(f"the matcher {hook.matcher!r} fits no tool, so its hook never runs")


def _hooks(event: str, groups: Any, say: Callable[[str], None]) -> Iterator[Hook]:
    if not isinstance(groups, list):
        yield Hook(event, problem=f"hooks of {event} must be a list")
        return
    for group in groups:
        matcher = group.get("matcher", "") if isinstance(group, dict) else ""
        matcher = "" if matcher is None else matcher
        entries = group.get("hooks") if isinstance(group, dict) else None
        if not isinstance(matcher, str) or not isinstance(entries, list):
            words = "a hook cannot be read: it needs a list of hooks, and its matcher must be text"
            yield Hook(event, matcher if isinstance(matcher, str) else "", problem=words)
            continue
        for entry in entries:
            hook = _hook(event, matcher, entry, say)
            yield msgspec.structs.replace(hook, sequential=group.get("sequential") is True)


class _Entry(msgspec.Struct, rename="camel"):
    type: str = "command"
    command: str = ""
    url: str = ""
    prompt: str = ""
    headers: dict[str, str] = {}
    allowed_env_vars: list[str] = []
    timeout: Any = None
    env: dict[str, str] = {}
    shell: str = "bash"
    name: str = ""
    status_message: str = ""
    async_: bool = msgspec.field(default=False, name="async")
    once: bool = False

    @property
    def problem(self) -> str:
        if self.type not in _USUAL_S:
            return f"hooks of the type {self.type!r} are not supported here"
        if self.type == "command" and self.shell != "bash":
            return f"the shell {self.shell!r} is not supported here"
        field = {"http": "url"}.get(self.type, self.type)
        if not getattr(self, field).strip():
            return f"it has no {field}"
        return ""


def _hook(event: str, matcher: str, entry: Any, say: Callable[[str], None]) -> Hook:
    try:
        read = msgspec.convert(entry, _Entry)
    except msgspec.ValidationError as error:
        return Hook(event, matcher, problem=f"a hook cannot be read: {error}")
    if read.problem:
        return Hook(event, matcher, read.command or read.url, problem=read.problem)
    hook = Hook(
        event,
        matcher,
        read.command if read.type == "command" else "",
        _timeout_s(read, say),
        read.env,
        "http" if read.type == "http" else "prompt" if read.type == "prompt" else "command",
        read.url if read.type == "http" else "",
        read.prompt if read.type == "prompt" else "",
        read.headers,
        tuple(read.allowed_env_vars),
        read.name,
        read.status_message,
        in_background=read.async_ and read.type == "command",
        once=read.once and read.type == "http",
    )
    if others := [key for key in entry if key not in _KNOWN]:
        say(f"{', '.join(others)} of the hook {hook.text!r} has no effect here")
    if hook.in_background and EVENTS[event].forbids:
        say(f"the hook {hook.text!r} is async, so it cannot forbid anything")
    return hook


def _timeout_s(read: _Entry, say: Callable[[str], None]) -> float:
    usual = _USUAL_S[read.type]
    given = read.timeout
    if given is None:
        return usual
    try:
        seconds = float(given) if not isinstance(given, bool) else math.nan
    except (TypeError, ValueError):
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds > 0):
        text = read.command or read.url or read.prompt
        say(
            f"the timeout {given!r} of the hook {text!r} is not a number above 0: it is {usual:g} s"
        )
        return usual
    is_ms = read.type == "command" and seconds >= _LEAST_TIMEOUT_MS
    return seconds / 1000 if is_ms else seconds
