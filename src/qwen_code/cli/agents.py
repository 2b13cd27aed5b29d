"""``qwen agents``: helpers with their own instructions, tools and model."""

from __future__ import annotations

import click

from qwen_code.base.errors import UsageError
from qwen_code.cli.options import with_config
from qwen_code.config.load import Config
from qwen_code.config.trust import TrustStore
from qwen_code.fronts.console import notice, require_person, say
from qwen_code.wiring.reports.definitions import agent_to_trust, agents_in_words
from qwen_code.wiring.subagents import find_agents


@click.group()
def agents() -> None:
    """Helpers that the model can give work to, each with its own instructions, tools and model.

    They stand in ~/.qwen/agents/NAME.md, and in .qwen/agents of a project. A project's are used
    only after you have trusted them.
    """


@agents.command("list")
@with_config
def list_command(config: Config) -> None:
    """List all agents, where they stand, and whether they are trusted."""
    say(agents_in_words(find_agents(config, notice)))


@agents.command("trust")
@click.argument("names", nargs=-1)
@with_config
def trust_command(config: Config, names: tuple[str, ...]) -> None:
    """Trust the agents of this project, or those of these names, as they are now."""
    found = [each for each in find_agents(config, notice) if each.definition.project]
    if names:
        found = [each for each in found if each.definition.name in names]
    if not found:
        raise UsageError(
            "this project has no such agents", hint="List all agents: qwen agents list"
        )
    waiting = [each for each in found if not each.is_trusted and not each.problem]
    for each in found:
        if each not in waiting:
            state = f"cannot be trusted: {each.problem}" if each.problem else "is trusted already"
            say(f"The agent {each.definition.name} {state}.")
    if waiting:
        require_person("trusting agents")
    for each in waiting:
        agent = each.definition
        say("\n".join(agent_to_trust(each)))
        if click.confirm(f"Let the model start {agent.name} here, as it is now?"):
            assert agent.project is not None
            TrustStore.load(config.paths).trust_definition(agent.project, each.digest)
            say(f"Trusted in {agent.project}.")
