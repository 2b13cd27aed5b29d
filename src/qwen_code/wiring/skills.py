"""Which skills a session has: the user's own, and a project's that the user has agreed to."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from qwen_code.config.load import Config
from qwen_code.wiring.hooks import are_off

if TYPE_CHECKING:
    from qwen_code.agent.hooks.entries import Hook
    from qwen_code.agent.hooks.session import SessionHooks
    from qwen_code.agent.rules.judge import Judge
    from qwen_code.agent.session_skills import SessionSkills
    from qwen_code.agent.skills import Skill
    from qwen_code.wiring.definitions import Found

_KIND = "skills"
_MORE = "skills.directories"


def find_skills(config: Config, notice: Callable[[str], None]) -> list[Found[Skill]]:
    """All skills, those that come first for their name first; ``notice`` gets a line for what
    cannot be used."""
    from qwen_code.agent import skills
    from qwen_code.agent.definition_files import Directory
    from qwen_code.config.run_files import files_below
    from qwen_code.wiring.definitions import (
        directories_of,
        files_of_hooks,
        texts_of_all,
        with_hidden,
        with_trust,
    )

    settings, paths = config.settings, config.paths
    directories = directories_of(config, _KIND)
    more = [paths.beside(text, None) for text in texts_of_all(settings, _MORE)]
    directories += [Directory(path) for path in dict.fromkeys(more) if path.is_dir()]
    levels = set(texts_of_all(settings, "skills.disabledLevels"))
    off = _turned_off(config)
    found: list[Found[Skill]] = []
    for skill in skills.find_skills(directories, notice):
        if ("user" if skill.project is None else "project") in levels:
            continue
        files = {} if skill.project is None else files_below(skill.directory, skill.project)
        if skill.project is not None and skill.hooks:
            files |= files_of_hooks(config, skill.hooks, skill.project)
        each = with_trust(config, "skill", skill, skill.project, files)
        found.append(msgspec.structs.replace(each, is_off=skill.name.lower() in off))
    return with_hidden(found, lambda skill: skill.name)


def _turned_off(config: Config) -> set[str]:
    """The names in lower case. What is always off counts more than what is on."""
    from qwen_code.wiring.definitions import texts_of_all

    def names(key: str) -> set[str]:
        return {text.strip().lower() for text in texts_of_all(config.settings, key)}

    off, on = names("skills.defaultDisabled"), names("skills.enabled")
    return names("skills.disabled") | (off - on)


def open_skills(
    config: Config,
    root: Path,
    judge: Judge,
    session_hooks: Callable[[], SessionHooks],
    notice: Callable[[str], None],
) -> SessionSkills | None:
    """The skills of a session; ``None`` if it has none. Hooks of a skill are added to
    ``session_hooks`` when it is read."""
    from qwen_code.agent.session_skills import SessionSkills
    from qwen_code.wiring.definitions import tell_untrusted

    found = find_skills(config, notice)
    tell_untrusted(_KIND, found, notice)
    offered = {each.definition.name: each for each in found if each.is_offered}
    if not offered:
        return None

    def arm(skill: Skill) -> None:
        _arm(config, skill, offered[skill.name].files, session_hooks, notice)

    def relative(path: str) -> str | None:
        real = os.path.realpath(config.paths.cwd / path)
        base = os.path.realpath(root)
        return os.path.relpath(real, base) if real.startswith(f"{base}/") else None

    return SessionSkills(
        [each.definition for each in offered.values()], judge, arm, relative, notice
    )


def _arm(
    config: Config,
    skill: Skill,
    files: dict[str, str],
    session_hooks: Callable[[], SessionHooks],
    notice: Callable[[str], None],
) -> None:
    """Let the hooks of a skill run for the rest of the session. Those of a project only run as
    long as all files of the skill are as the user trusts them."""
    if are_off(config):
        return
    environ = {"QWEN_SKILL_ROOT": str(skill.directory)}
    where = Origin(str(skill.path), skill.project, files, environ)
    session_hooks().extend(hooks_of(config, skill.hooks, where, notice))


class Origin(msgspec.Struct, frozen=True):
    """Where the hooks of a definition come from: a file, the project that it belongs to, the
    ``files`` that must be as the user trusts them, and variables for its commands."""

    place: str
    project: Path | None = None
    files: Mapping[str, str] = {}
    environ: Mapping[str, str] = {}


def hooks_of(
    config: Config,
    table: Mapping[str, Any],
    origin: Origin,
    notice: Callable[[str], None],
) -> list[Hook]:
    """The hooks of a definition. One of a user's definition that would run files of a project
    cannot run, and so forbids what it is for: the user has not agreed to these files."""
    from qwen_code.agent.hooks.entries import parse_hooks  # few definitions have any
    from qwen_code.wiring.definitions import files_of_hooks

    made = []
    for hook in parse_hooks(table, origin.place, notice):
        theirs = {}
        if origin.project is None:
            theirs = files_of_hooks(config, {"command": hook.command}, None)
        problem = f"it runs {next(iter(theirs))}, a file of the project" if theirs else ""
        made.append(
            msgspec.structs.replace(
                hook,
                env={**hook.env, **origin.environ},
                files=origin.files,
                of_project=origin.project is not None,
                problem=hook.problem or problem,
            )
        )
    return made
