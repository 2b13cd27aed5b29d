"""What a prompt stands for: slash commands of the user, of this program and of MCP servers; files
and resources that it names with ``@``."""

from __future__ import annotations

import re
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from qwen_code.agent.events import AgentEvent
from qwen_code.agent.news import Attached
from qwen_code.base.errors import UsageError
from qwen_code.base.stop import Stop

if TYPE_CHECKING:
    from qwen_code.agent.mentions import MentionReader
    from qwen_code.wiring.assembled import Assembled


class Expanded(msgspec.Struct, frozen=True):
    """The prompt that is sent. ``restriction``: only what reads is allowed, for this reason."""

    text: str
    attached: Attached = Attached()
    restriction: str = ""


Expanding = Generator[list[AgentEvent], None, Expanded]


def expanded(prompt: str, assembled: Assembled, stop: Stop) -> Expanding:
    """The prompt that ``prompt`` stands for; yields what happens on the way.

    Raises:
        UsageError: it is like a command, and there is none of that name; or a server did not give
            what it names.
        InputError: the file of a command cannot be used, or a command in it was not allowed.
        Stopped: ``stop`` was set meanwhile.
    """
    found = yield from _without_own_commands(prompt, assembled, stop)
    if assembled.ran:
        text = "".join(assembled.ran) + found.attached.text
        attached = msgspec.structs.replace(found.attached, text=text)
        found = msgspec.structs.replace(found, attached=attached)
        assembled.ran.clear()
    return found


def _without_own_commands(prompt: str, assembled: Assembled, stop: Stop) -> Expanding:
    if prompt.startswith("/"):
        found = yield from _of_command(prompt, assembled, stop)
        if found is not None:
            return found
    if "@" not in prompt:
        return Expanded(prompt)
    attached = yield from _attached(prompt, assembled, reader_for(assembled, stop), stop)
    return Expanded(prompt, attached)


def _of_command(
    prompt: str, assembled: Assembled, stop: Stop
) -> Generator[list[AgentEvent], None, Expanded | None]:
    """What a slash command stands for; ``None`` if it is a text that begins with a slash."""
    from qwen_code.agent.commands import expand, find_commands, read_command

    name, arguments = (*prompt.split(maxsplit=1), "")[:2]
    from qwen_code.wiring.slash_names import (
        DISABLED_HINT,
        instead_of,
        is_disabled,
        is_of_conversation,
    )

    if is_disabled(name, assembled.disabled_commands) and _is_command(name):
        raise UsageError(f"{name} is disabled", hint=DISABLED_HINT)
    arguments = arguments.strip()
    if (path := find_commands(assembled.command_dirs).get(name)) is not None:
        agent, reader = assembled.agent, reader_for(assembled, stop)
        command = read_command(name, path)
        made = yield from expand(command, arguments, agent.toolbox, agent.permission, reader, stop)
        attached = Attached()
        if "@" in made.own:
            attached = yield from _attached(made.own, assembled, reader, stop)
        images = made.attached.images + attached.images
        return Expanded(made.text, Attached(attached.text, images))
    if assembled.skills is not None:
        text = assembled.skills.prompt_of(name, arguments)
        if text is not None:
            return Expanded(text)
    from qwen_code.wiring.prompt_commands import PROMPT_COMMANDS

    if (own := PROMPT_COMMANDS.get(name)) is not None:
        return (yield from own.begin(arguments, assembled, reader_for(assembled, stop), stop))
    if assembled.servers is not None:
        from qwen_code.wiring.mcp_prompts import prompt_of

        text = prompt_of(assembled.servers, name, arguments, stop)
        if text is not None:
            return Expanded(text)
    if _is_command(name) and is_of_conversation(name):
        raise UsageError(
            f"the command {name} works only where it is typed in a conversation",
            hint="Start one in a terminal: qwen. To send it as text, put a blank before it.",
        )
    if _is_command(name):
        instead = instead_of(name, arguments)
        raise UsageError(
            f"there is no command {name} here{': ' if instead else ''}{instead}",
            hint="Put a blank before it to send it as text. Commands like /model work in a "
            "conversation: qwen",
        )
    return None


def _attached(
    text: str, assembled: Assembled, reader: MentionReader, stop: Stop
) -> Generator[list[AgentEvent], None, Attached]:
    """What ``text`` names with ``@``: resources of servers, then files."""
    resources = ""
    if assembled.servers is not None:
        from qwen_code.wiring.mcp_prompts import read_resources

        resources, text = read_resources(assembled.servers, text, stop)
    attached = yield from reader.all_in(text)
    return Attached(resources + attached.text, attached.images)


def reader_for(assembled: Assembled, stop: Stop) -> MentionReader:
    """What reads the files that a prompt names, for the model that answers now."""
    from qwen_code.agent.mentions import MentionReader, Sight
    from qwen_code.wiring.tool_settings import respects_git_ignore

    agent, config = assembled.agent, assembled.config
    types = frozenset(["image_url"] * agent.sees + ["file"] * agent.reads_pdf)
    return MentionReader(
        assembled.tools,
        agent.permission,
        assembled.workbench.workspace,
        config.paths.home,
        Sight(types, agent.compactor.room_for_results(agent.session.messages)),
        stop,
        skips_ignored=respects_git_ignore(config.settings),
    )


def _is_command(word: str) -> bool:
    """Whether a word that begins with a slash is meant as a command, and is not a path."""
    return re.fullmatch(r"/[a-z][\w:-]*", word) is not None and not Path(word).exists()
