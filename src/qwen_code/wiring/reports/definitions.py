"""Skills and agents as the user sees them: in lists, and whole where they are asked to trust
them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from qwen_code.agent.subagents import BUILT_IN
from qwen_code.base.secret import redact
from qwen_code.base.text import visible_text
from qwen_code.tools.text import counted

if TYPE_CHECKING:
    from pathlib import Path

    from qwen_code.agent.session_agents import Helper
    from qwen_code.agent.skills import Skill
    from qwen_code.agent.subagents import SubAgent
    from qwen_code.wiring.definitions import Found

_MAX_DESCRIPTION = 100


def skills_in_words(found: Sequence[Found[Skill]]) -> str:
    """All skills, a line each with where it stands, and what in it has no effect."""
    if not found:
        return "No skills are installed. A skill is .qwen/skills/NAME/SKILL.md, or in ~/.qwen."
    return "\n".join(line for each in found for line in _skill_lines(each))


def _skill_lines(found: Found[Skill]) -> Iterator[str]:
    skill = found.definition
    states = [*_states(found, "qwen skills trust")]
    states += [] if skill.is_for_model else ["only as a command"]
    states += [] if skill.is_for_user else ["not as a command"]
    states += [f"for {', '.join(skill.paths)}"] if skill.paths else []
    yield from _lines(skill.name, skill.description, skill.path, states)
    yield from (f"    {remark}" for remark in skill.remarks)
    if skill.allowed:
        effect = "allows while in use" if skill.project is None else "wants, and does not get"
        yield visible_text(f"    {effect}: {', '.join(skill.allowed)}")


def _lines(name: str, description: str, path: Path, states: Sequence[str]) -> Iterator[str]:
    cut = description if len(description) <= _MAX_DESCRIPTION else f"{description[:99]}…"
    yield visible_text(f"{name}  {cut}")
    yield visible_text(f"    {path}{''.join(f' ({state})' for state in states)}")


def agents_in_words(found: Sequence[Found[SubAgent]], helpers: Sequence[Helper] = ()) -> str:
    """All agents, a line each with where it stands, and what in it has no effect; then those that
    run."""
    lines = [f"{each.name}  {each.description}\n    built in" for each in BUILT_IN]
    lines += [line for each in found for line in _agent_lines(each)]
    lines += [f"running: {h.label}  {h.title} ({counted(h.calls, 'call')})" for h in helpers]
    return "\n".join(lines)


def _agent_lines(found: Found[SubAgent]) -> Iterator[str]:
    agent = found.definition
    states = [*_states(found, "qwen agents trust")]
    states += [f"model {agent.model}"] if agent.model else []
    states += [f"mode {agent.mode}"] if agent.mode else []
    states += [] if agent.tools is None else [f"tools: {', '.join(agent.tools) or 'none'}"]
    assert agent.path is not None
    yield from _lines(agent.name, agent.description, agent.path, states)
    yield from (visible_text(f"    {remark}") for remark in agent.remarks)


def agent_to_trust(found: Found[SubAgent]) -> list[str]:
    """The whole agent, verbatim."""
    agent = found.definition
    assert agent.path is not None
    return _to_trust(f"the agent {agent.name}", agent.path, agent.text, found)


def _states(found: Found[Skill] | Found[SubAgent], command: str) -> Iterator[str]:
    if found.problem:
        yield f"cannot be trusted: {found.problem}"
    elif not found.is_trusted:
        yield f"not trusted: {command}"
    if found.hidden_by:
        yield f"hidden by {found.hidden_by}"
    if found.is_off:
        yield "turned off by skills.disabled or skills.defaultDisabled"


def skill_to_trust(found: Found[Skill]) -> list[str]:
    """The whole skill, verbatim, and its other files by their digests."""
    skill = found.definition
    return _to_trust(f"the skill {skill.name}", skill.path, skill.text, found)


def _to_trust(what: str, path: Path, text: str, found: Found[Skill] | Found[SubAgent]) -> list[str]:
    lines = [f"{what}, in {path}:"]
    lines += [f"  | {line}" for line in text.splitlines()]
    for file, digest in found.files.items():
        if file != str(path):
            lines.append(f"  file {os.path.relpath(file, path.parent)} (sha256 {digest[:16]})")
    return [visible_text(redact(line)) for line in lines]
