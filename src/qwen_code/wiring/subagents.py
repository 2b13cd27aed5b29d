"""Which sub-agents a session has: the user's own, a project's that the user has agreed to, and
those that a program gives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from qwen_code.auth.types import Connection, Method
from qwen_code.config.load import Config
from qwen_code.wiring.hooks import are_off

if TYPE_CHECKING:
    from qwen_code.agent.hooks.session import SessionHooks
    from qwen_code.agent.permission import Permission
    from qwen_code.agent.session_agents import SessionAgents
    from qwen_code.agent.subagents import SubAgent
    from qwen_code.wiring.definitions import Found

_KIND = "agents"
_FAST = "fast"


def find_agents(config: Config, notice: Callable[[str], None]) -> list[Found[SubAgent]]:
    """All agents in files, those that come first for their name first; ``notice`` gets a line for
    what cannot be used."""
    from qwen_code.agent import subagents
    from qwen_code.config.run_files import content_digest
    from qwen_code.wiring.definitions import directories_of, files_of_hooks, with_hidden, with_trust

    found: list[Found[SubAgent]] = []
    for agent in subagents.find_subagents(directories_of(config, _KIND), notice):
        path = agent.path
        assert path is not None
        files = {} if agent.project is None else {str(path): content_digest(path)}
        if agent.project is not None and agent.hooks:
            files |= files_of_hooks(config, agent.hooks, agent.project)
        found.append(with_trust(config, "agent", agent, agent.project, files))
    return with_hidden(found, lambda agent: agent.name.lower())


def open_agents(
    config: Config,
    given: Sequence[SubAgent],
    session_hooks: Callable[[], SessionHooks],
    notice: Callable[[str], None],
) -> SessionAgents:
    """The agents of a session; ``given`` are those of the program that drives it, and come before
    all others of their name. The hooks of an agent are called beside ``session_hooks``."""
    from qwen_code.agent.session_agents import SessionAgents
    from qwen_code.wiring.definitions import tell_untrusted

    found = find_agents(config, notice)
    tell_untrusted(_KIND, found, notice)
    files = {each.definition.name: each.files for each in found if each.is_offered}

    def arm(agent: SubAgent, permission: Permission) -> None:
        if agent.hooks and not are_off(config):
            from qwen_code.wiring.skills import Origin, hooks_of

            place = str(agent.path or agent.name)
            origin = Origin(place, agent.project, files.get(agent.name, {}))
            hooks = hooks_of(config, agent.hooks, origin, notice)
            permission.hooks = session_hooks().below(hooks)

    offered = [each.definition for each in found if each.is_offered]
    return SessionAgents([*offered, *given], arm)


def wanted_model(config: Config, agent: SubAgent, connection: Connection) -> str | None:
    """The model of the session's endpoint that an agent wants; ``None``: that of the session.

    Another endpoint is never asked: what the session is about goes where its user chose.
    """
    name = agent.model
    if name == _FAST:
        name = config.settings.first("fastModel", str) or ""
    protocol, _, rest = name.partition(":")
    if rest and protocol in ("openai", str(connection.method)):
        name = rest
    is_same = not name or name == connection.model
    return None if is_same or connection.method is Method.LOCAL else name
