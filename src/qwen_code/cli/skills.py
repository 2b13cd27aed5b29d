"""``qwen skills``: instructions that the model reads on demand."""

from __future__ import annotations

import click

from qwen_code.base.errors import UsageError
from qwen_code.cli.options import with_config
from qwen_code.config.load import Config
from qwen_code.config.trust import TrustStore
from qwen_code.fronts.console import notice, require_person, say
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
    found = [each for each in find_skills(config, notice) if each.definition.project]
    if names:
        found = [each for each in found if each.definition.name in names]
    if not found:
        raise UsageError(
            "this project has no such skills", hint="List all skills: qwen skills list"
        )
    waiting = [each for each in found if not each.is_trusted and not each.problem]
    for each in found:
        if each not in waiting:
            state = f"cannot be trusted: {each.problem}" if each.problem else "is trusted already"
            say(f"The skill {each.definition.name} {state}.")
    if waiting:
        require_person("trusting skills")
    for each in waiting:
        skill = each.definition
        say("\n".join(skill_to_trust(each)))
        if click.confirm(f"Let the model follow {skill.name} here, as it is now?"):
            assert skill.project is not None
            TrustStore.load(config.paths).trust_definition(skill.project, each.digest)
            say(f"Trusted in {skill.project}.")
