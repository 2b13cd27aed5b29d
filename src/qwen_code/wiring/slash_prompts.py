"""What a prompt stands for: slash commands of the user and of MCP servers, resources of servers."""

from __future__ import annotations

import re
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from qwen_code.agent.events import AgentEvent
from qwen_code.base.errors import UsageError
from qwen_code.base.stop import Stop

if TYPE_CHECKING:
    from qwen_code.wiring.agent import Assembled


def expanded(
    prompt: str, assembled: Assembled, stop: Stop
) -> Generator[list[AgentEvent], None, str]:
    """The prompt that ``prompt`` stands for; yields what happens on the way.

    Raises:
        UsageError: it is like a command, and there is none of that name; or a server did not give
            what it names.
        Stopped: ``stop`` was set meanwhile.
    """
    servers = assembled.servers
    if not prompt.startswith("/"):
        if servers is not None and "@" in prompt:
            from qwen_code.wiring.mcp_prompts import with_resources

            return with_resources(servers, prompt, stop)
        return prompt
    from qwen_code.agent.commands import expand, read_commands

    name, arguments = (*prompt.split(maxsplit=1), "")[:2]
    found = {command.name: command for command in read_commands(assembled.command_dirs)}
    if name in found:
        agent = assembled.agent
        return (
            yield from expand(found[name], arguments.strip(), agent.toolbox, agent.permission, stop)
        )
    if assembled.skills is not None:
        text = assembled.skills.prompt_of(name, arguments.strip())
        if text is not None:
            return text
    if servers is not None:
        from qwen_code.wiring.mcp_prompts import prompt_of

        text = prompt_of(servers, name, arguments.strip(), stop)
        if text is not None:
            return text
    if _is_command(name):
        raise UsageError(
            f"there is no command {name} here",
            hint="Put a blank before it to send it as text. Commands like /model work in a "
            "conversation: qwen",
        )
    return prompt


def _is_command(word: str) -> bool:
    """Whether a word that begins with a slash is meant as a command, and is not a path."""
    return re.fullmatch(r"/[a-z][\w:-]*", word) is not None and not Path(word).exists()
