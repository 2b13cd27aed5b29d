"""Trust in skills and sub-agents of a project: ``qwen skills trust``, ``qwen agents trust``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import click

from qwen_code.agent.skills import Skill
from qwen_code.agent.subagents import SubAgent
from qwen_code.base.errors import UsageError
from qwen_code.config.load import Config
from qwen_code.config.trust import TrustStore
from qwen_code.fronts.console import require_person, say
from qwen_code.wiring.definitions import Found

D = TypeVar("D", Skill, SubAgent)


def trust_definitions(
    config: Config,
    found: Sequence[Found[D]],
    names: Sequence[str],
    *,
    kind: str,
    in_words: Callable[[Found[D]], list[str]],
    question: Callable[[D], str],
) -> None:
    """Ask about each definition of the project, or about those of these names. ``kind`` is
    ``skill`` or ``agent``.

    Raises:
        UsageError: there is none, or there is no person to ask.
    """
    asked = [each for each in found if each.definition.project]
    if names:
        asked = [each for each in asked if each.definition.name in names]
    if not asked:
        raise UsageError(
            f"this project has no such {kind}s", hint=f"List all {kind}s: qwen {kind}s list"
        )
    waiting = [each for each in asked if not each.is_trusted and not each.problem]
    for each in asked:
        if each not in waiting:
            state = f"cannot be trusted: {each.problem}" if each.problem else "is trusted already"
            say(f"The {kind} {each.definition.name} {state}.")
    if waiting:
        require_person(f"trusting {kind}s")
    for each in waiting:
        project = each.definition.project
        assert project is not None
        say("\n".join(in_words(each)))
        if click.confirm(question(each.definition)):
            TrustStore.load(config.paths).trust_definition(project, each.digest)
            say(f"Trusted in {project}.")
