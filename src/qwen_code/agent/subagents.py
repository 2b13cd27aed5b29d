"""Sub-agents: helpers with their own instructions, tools and model, as Markdown files define them
(the format of Node Qwen Code and Claude Code).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from qwen_code.agent.definition_files import (
    DefinitionError,
    Directory,
    entries_of,
    name_of,
    read_definition,
    required_text,
    text_of,
    texts_of,
)
from qwen_code.agent.instructions import HELPER, WORKER
from qwen_code.agent.rules.types import Mode
from qwen_code.tools import catalogue
from qwen_code.tools.base import Definition

_NEVER = {
    *(catalogue.TASK.name, catalogue.ASK_USER.name, catalogue.EXIT_PLAN_MODE.name),
    *(catalogue.TODO_WRITE.name, "structured_output"),
}
"""What stays with the agent that the person talks to: questions, plans, the list of steps, the
final answer, and helpers themselves."""

_MODES = {
    **{mode.value: mode for mode in Mode},
    "acceptEdits": Mode.AUTO_EDIT,
    "bypassPermissions": Mode.YOLO,
    "dontAsk": Mode.DEFAULT,
    "auto_edit": Mode.AUTO_EDIT,
    "auto": Mode.DEFAULT,
    "bubble": Mode.DEFAULT,
}
_SAME_MODEL = ("", "inherit", "sonnet", "opus", "haiku")
"""The model of the session: also the names that another program has for its models."""

_WITHOUT_EFFECT = (
    *("mcpServers", "skills", "background", "memory", "effort", "isolation", "initialPrompt"),
)
_NOT_RUN = ("executor", "executionBackend")
"""With these, another program is to do the work, not this one."""


class SubAgent(msgspec.Struct, frozen=True):
    """One agent that can be given a task. ``path`` is ``None`` for a built-in one, and ``project``
    for all that are not a project's."""

    name: str
    description: str
    prompt: str
    path: Path | None = None
    text: str = ""
    """The whole file, which a user is shown who has to trust it."""
    project: Path | None = None
    tools: tuple[str, ...] | None = None
    """The only tools that it gets, of those that there are; ``None``: all of them."""
    withheld: tuple[str, ...] = ()
    only_reads: bool = False
    """It gets the tools that are meant for helpers that only read."""
    model: str = ""
    """Empty for the model of the session."""
    mode: Mode | None = None
    """If this is stricter than the session's."""
    max_rounds: int = 100
    hooks: Mapping[str, Any] = {}
    color: str = ""
    remarks: tuple[str, ...] = ()
    """What in it has no effect."""

    def fits(self, tool: Definition) -> bool:
        """Whether it gets this tool, where its parent has it."""
        if tool.name in _NEVER or _names(self.withheld, tool.name):
            return False
        if self.only_reads:
            return "helpers" in tool.audience
        return self.tools is None or _names(self.tools, tool.name)


EXPLORE = SubAgent(
    "Explore", "searches and reads, changes nothing", HELPER, only_reads=True, max_rounds=30
)
GENERAL = SubAgent("general-purpose", "any work, with the tools that you have", WORKER)
BUILT_IN = (EXPLORE, GENERAL)


def find_subagents(
    directories: Sequence[Directory], problem: Callable[[str], None]
) -> list[SubAgent]:
    """The agents in files, those of the first directories first, whatever their names; ``problem``
    gets a line for each that cannot be used."""
    found = []
    for directory in directories:
        try:
            for path in entries_of(directory):
                if path.suffix == ".md" and path.is_file():
                    try:
                        found.append(read_subagent(path, directory.project))
                    except DefinitionError as error:
                        problem(f"the agent {path} is left out: {error}")
        except DefinitionError as error:
            problem(f"agents: {error}")
    return found


def read_subagent(path: Path, project: Path | None) -> SubAgent:
    """
    Raises:
        DefinitionError: it cannot be used.
    """
    file = read_definition(path)
    found = subagent_of(file.fields, file.body, path.stem)
    return msgspec.structs.replace(found, path=path, text=file.text, project=project)


def subagent_of(fields: Mapping[str, Any], prompt: str, name: str) -> SubAgent:
    """The agent of these fields, also where a program and not a file gives them.

    Raises:
        DefinitionError: it cannot be used.
    """
    if others := [key for key in _NOT_RUN if key in fields]:
        raise DefinitionError(f"{others[0]} is not supported: another program should run it")
    if not prompt.strip():
        raise DefinitionError("it has no instructions after its front matter")
    remarks = [f"{key} has no effect here" for key in _WITHOUT_EFFECT if key in fields]
    tools = _tools(fields, "tools", remarks)
    hooks = fields.get("hooks")
    if hooks is not None and not isinstance(hooks, dict):
        raise DefinitionError("hooks must be a mapping from events to lists")
    model = text_of(fields, "model")
    if model in _SAME_MODEL[2:]:
        remarks.append(f"{model} is not a model here: it has that of the session")
    return SubAgent(
        name_of(fields, name),
        " ".join(required_text(fields, "description").split()),
        prompt.strip(),
        tools=None if tools is None or "*" in tools else tools,
        withheld=_tools(fields, "disallowedTools", remarks) or (),
        model="" if model in _SAME_MODEL else model,
        mode=_mode(fields, remarks),
        max_rounds=_max_rounds(fields, remarks),
        hooks=hooks or {},
        color=text_of(fields, "color"),
        remarks=tuple(remarks),
    )


def given_subagents(entries: object, problem: Callable[[str], None]) -> tuple[SubAgent, ...]:
    """The agents that a program gives, as the official SDKs write them; ``problem`` gets a line for
    each that cannot be used."""
    if not isinstance(entries, list):
        if entries is not None:
            problem("the agents of the program are left out: they must be a list")
        return ()
    found = []
    for entry in entries:
        try:
            if not isinstance(entry, dict):
                raise DefinitionError("it is not an object")
            fields = {key: value for key, value in entry.items() if value is not None}
            found.append(subagent_of(fields, text_of(fields, "systemPrompt"), ""))
        except DefinitionError as error:
            name = entry.get("name") if isinstance(entry, dict) else entry
            problem(f"the agent {name!r} of the program is left out: {error}")
    return tuple(found)


def _tools(fields: Mapping[str, Any], key: str, remarks: list[str]) -> tuple[str, ...] | None:
    """Names of tools, in ours. What names none costs a remark, and gives no tool."""
    written = texts_of(fields, key)
    if written is None:
        return None
    found: list[str] = []
    for text in written:
        name = text.partition("(")[0].strip() if key == "disallowedTools" else text
        own = [d.name for d in catalogue.BUILT_IN if name in catalogue.names_of(d.name)]
        if name.startswith("mcp__") or name == "*":
            own = [name]
        if not own:
            remarks.append(f"{key}: there is no tool {text!r}")
        found += own
    return tuple(dict.fromkeys(found))


def _mode(fields: Mapping[str, Any], remarks: list[str]) -> Mode | None:
    text = text_of(fields, "approvalMode") or text_of(fields, "permissionMode")
    if not text:
        return None
    mode = _MODES.get(text)
    if mode is None:
        raise DefinitionError(f"{text!r} is not a mode: use one of {', '.join(Mode)}")
    if mode in (Mode.AUTO_EDIT, Mode.YOLO):
        remarks.append(f"{text} never allows more than the mode of the session")
    return mode


def _max_rounds(fields: Mapping[str, Any], remarks: list[str]) -> int:
    nested = fields.get("runConfig")
    value = fields.get("maxTurns")
    if value is None and isinstance(nested, dict):
        value = nested.get("max_turns")
    if value is None:
        return GENERAL.max_rounds
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        remarks.append("maxTurns must be a whole number, 1 or more: it has no effect")
        return GENERAL.max_rounds
    return value


def _names(patterns: Sequence[str], tool: str) -> bool:
    """Whether one of them is this tool, or the MCP server that it belongs to."""
    return any(
        name == tool
        or (name.startswith("mcp__") and tool.startswith(f"{name.removesuffix('*').rstrip('_')}__"))
        or (name.endswith("*") and len(name) > 1 and tool.startswith(name[:-1]))
        for name in patterns
    )
