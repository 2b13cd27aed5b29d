"""``qwen skills``: instructions that the model reads on demand."""

from __future__ import annotations

import click

from qwen_code.cli.definitions import trust_definitions
from qwen_code.cli.options import with_config
from qwen_code.config.load import Config
from qwen_code.fronts.console import notice, say
from qwen_code.wiring.reports.definitions import skill_to_trust, skills_in_words
from qwen_code.wiring.skills import find_skills


@click.group()
def skills() -> None:
    """Instructions for certain work, which the model reads on demand (SKILL.md).

    They stand in ~/.qwen/skills, ~/.agents/skills, and in .qwen/skills and .agents/skills of a
    project. A project's are used only after you have trusted them.
    """


@skills.command("list")
@with_config
def list_command(config: Config) -> None:
    """List all skills, where they stand, and whether they are trusted."""
    say(skills_in_words(find_skills(config, notice)))


@skills.command("trust")
@click.argument("names", nargs=-1)
@with_config
def trust_command(config: Config, names: tuple[str, ...]) -> None:
    """Trust the skills of this project, or those of these names, as they are now."""
    trust_definitions(
        config,
        find_skills(config, notice),
        names,
        kind="skill",
        in_words=skill_to_trust,
        question=lambda skill: f"Let the model follow {skill.name} here, as it is now?",
    )
