"""What MCP servers offer to people: resources as ``@server:uri``, prompts as ``/server:prompt``."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from qwen_code.base.errors import UsageError
from qwen_code.base.stop import Stop
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.text import counted

if TYPE_CHECKING:
    from qwen_code.mcp.client import Servers
    from qwen_code.mcp.offers import ListedPrompt

_CLOSING = ".,;:!?)]}'\""


def commands_of(servers: Servers) -> dict[str, str]:
    """The slash commands that stand for prompts of servers, each with what it is for."""
    return {
        f"/{_word(server)}:{_word(prompt.name)}": _described(prompt)
        for server, prompts in servers.prompts().items()
        for prompt in prompts
    }


def prompt_of(servers: Servers, name: str, arguments: str, stop: Stop) -> str | None:
    """The text that the slash command ``name`` stands for; ``None`` if it is of no server.

    Raises:
        UsageError: arguments are missing, or the server did not give the prompt.
        Stopped: ``stop`` was set meanwhile.
    """
    for server, prompts in servers.prompts().items():
        for prompt in prompts:
            if name == f"/{_word(server)}:{_word(prompt.name)}":
                given = _arguments(name, prompt, arguments)
                try:
                    return servers.prompt(server, prompt.name, given, stop)
                except ToolFailed as error:
                    raise UsageError(
                        error.message, hint=f"Usage: {_usage(name, prompt)}"
                    ) from error
    return None


def read_resources(servers: Servers, prompt: str, stop: Stop) -> tuple[str, str]:
    """What each resource in ``prompt`` holds, and ``prompt`` without these. An address ends at a
    blank; one with blanks is written ``@{server:uri}``.

    Raises:
        UsageError: a server did not give a resource.
        Stopped: ``stop`` was set meanwhile.
    """
    added = ""
    for written, server, uri in _mentions(prompt, list(servers.resources())):
        try:
            result = servers.read(server, uri, stop)
        except ToolFailed as error:
            raise UsageError(
                f"@{server}:{uri} cannot be read: {error.message}",
                hint="See what there is: /mcp resources",
            ) from error
        added += f"\n\n[@{server}:{uri}]\n{result.text}"
        prompt = prompt.replace(written, " ")
    return added, prompt


def _mentions(prompt: str, servers: Sequence[str]) -> list[tuple[str, str, str]]:
    """The resources that a prompt names, each once, as they are written, and by server and address.
    What names no known server is only text."""
    if not servers:
        return []
    names = "|".join(re.escape(name) for name in sorted(servers, key=len, reverse=True))
    found = re.finditer(
        rf"(?<![\w@])@(?:\{{(?P<s1>{names}):(?P<u1>[^}}]+)\}}|(?P<s2>{names}):(?P<u2>\S+))", prompt
    )
    each_once: dict[tuple[str, str], str] = {}
    for match in found:
        server, uri = match["s1"] or match["s2"], match["u1"] or match["u2"].rstrip(_CLOSING)
        written = match[0] if match["s1"] else match[0].rstrip(_CLOSING)
        each_once.setdefault((server, uri), written)
    return [(written, *pair) for pair, written in each_once.items()]


def _arguments(name: str, prompt: ListedPrompt, text: str) -> dict[str, str]:
    """The arguments of a prompt: ``NAME=VALUE`` and ``--NAME=VALUE``, or in their order. What is
    left over belongs to the last one.

    Raises:
        UsageError: some are missing.
    """
    try:
        words = shlex.split(text)
    except ValueError:
        words = text.split()
    given: dict[str, str] = {}
    rest: list[str] = []
    for word in words:
        key, mark, value = word.removeprefix("--").partition("=")
        if mark and key in prompt.arguments:
            given[key] = value
        else:
            rest.append(word)
    free = [each for each in prompt.arguments if each not in given]
    for number, key in enumerate(free):
        if rest:
            is_last = number == len(free) - 1
            given[key], rest = (" ".join(rest), []) if is_last else (rest[0], rest[1:])
    if missing := [each for each in prompt.arguments if each in prompt.required - given.keys()]:
        raise UsageError(
            f"{name} needs {', '.join(missing)}", hint=f"Usage: {_usage(name, prompt)}"
        )
    return given


def _usage(name: str, prompt: ListedPrompt) -> str:
    shown = [
        each.upper() if each in prompt.required else f"[{each.upper()}]"
        for each in prompt.arguments
    ]
    return " ".join([name, *shown])


def _described(prompt: ListedPrompt) -> str:
    arguments = _usage("", prompt).strip()
    return f"{prompt.description}{f' ({arguments})' if arguments else ''}".strip()


def _word(name: str) -> str:
    """A name as part of a command: in one word."""
    return re.sub(r"\s+", "-", name)


def resources_in_words(servers: Servers) -> list[str]:
    """The resources of all servers, as they are written in a prompt."""
    lines = []
    for server, resources in servers.resources().items():
        for each in resources:
            about = each.name if each.name != each.uri else ""
            mark = " (a pattern: fill in what is in braces)" if each.is_template else ""
            lines.append(f"@{server}:{each.uri}  {about}{mark}".rstrip())
    return lines


def servers_in_words(servers: Servers) -> list[str]:
    """The state of each server, and what it offers."""
    prompts, resources = servers.prompts(), servers.resources()
    lines = []
    for state in servers.states():
        offered = ", ".join(
            (
                counted(state.tools, "tool"),
                counted(len(prompts.get(state.name, ())), "prompt"),
                counted(len(resources.get(state.name, ())), "resource"),
            )
        )
        lines.append(f"{state.name}: {state.reason or offered}")
    return lines
