"""What a front shows of a conversation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from qwen_code.agent.rules.types import Mode
from qwen_code.config.generation import EffortLevel

if TYPE_CHECKING:
    from qwen_code.wiring.assembled import Assembled
    from qwen_code.wiring.link import Link


class State(msgspec.Struct, frozen=True):
    """What a front shows of a conversation, as of now."""

    session_id: str
    cwd: Path
    method: str
    model: str
    base_url: str
    chosen_by: str | None
    """What chose the endpoint, where a project's files did."""
    mode: Mode
    tools: tuple[str, ...]
    commands: tuple[str, ...]
    mcp_servers: Mapping[str, str | None]
    """By name: why it cannot be used, ``None`` where it can."""
    prompts: int
    size_tokens: int
    window_tokens: int
    effort: EffortLevel | None = None
    channel: str | None = None
    """The kind of program that began the session: ``SDK``, ``VSCode``, ``ACP``, ``CI``."""
    agents: tuple[str, ...] = ()
    """The sub-agents beside the built-in ones."""


def state_of(link: Link, assembled: Assembled) -> State:
    """The state of a conversation with these parts."""
    connection, agent = link.connection, assembled.agent
    project = connection.base_url_source.project
    states = assembled.servers.states() if assembled.servers else ()
    return State(
        agent.session.id,
        assembled.cwd,
        connection.method,
        connection.model or "",
        connection.base_url,
        str(connection.base_url_source) if project else None,
        assembled.judge.mode,
        tuple(agent.toolbox.names),
        tuple(assembled.command_names()),
        {each.name: each.reason for each in states},
        len(agent.progress.words),
        agent.size_tokens,
        agent.compactor.window_tokens,
        connection.generation.effort,
        agent.session.channel,
        assembled.agents.names if assembled.agents else (),
    )
