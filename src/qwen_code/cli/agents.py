"""``qwen agents``: helpers with their own instructions, tools and model."""

from __future__ import annotations

import click

from qwen_code.cli.definitions import trust_definitions
from qwen_code.cli.options import with_config
from qwen_code.config.load import Config
from qwen_code.fronts.console import notice, say
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
    trust_definitions(
        config,
        find_agents(config, notice),
        names,
        kind="agent",
        in_words=agent_to_trust,
        question=lambda agent: f"Let the model start {agent.name} here, as it is now?",
    )
