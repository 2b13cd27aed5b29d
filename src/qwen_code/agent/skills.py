"""Skills: instructions in ``SKILL.md``, of which the model knows one line and reads the rest on
demand (the Agent Skills specification, with the fields of Node Qwen Code).
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from qwen_code.agent.definition_files import (
    DefinitionError,
    Directory,
    entries_of,
    flag_of,
    name_of,
    read_definition,
    required_text,
    text_of,
    texts_of,
)

MANIFEST = "SKILL.md"
_MAX_DESCRIPTION = 1024
_MAX_SHOWN_FILES = 50
_WITHOUT_EFFECT = ("model", "context", "agent", "effort")
"""Fields of other programs that change how a skill runs, and do nothing here."""

_BEING_INSTALLED = (".backup-", ".installing-")


class Skill(msgspec.Struct, frozen=True):
    """One skill. ``directory`` is its real one: all that is in it belongs to it. ``project`` is the
    folder whose skill it is, ``None`` for the user's own."""

    name: str
    description: str
    body: str
    path: Path
    directory: Path
    text: str
    """The whole file, which a user is shown who has to trust it."""
    project: Path | None = None
    is_for_model: bool = True
    is_for_user: bool = True
    argument_hint: str = ""
    priority: float = 0
    allowed: tuple[str, ...] = ()
    """Rules that it wants to be allowed while it is in use."""
    hooks: Mapping[str, Any] = {}
    paths: tuple[str, ...] = ()
    """If there are any, the model learns of it once a file that one of them fits is used."""
    remarks: tuple[str, ...] = ()
    """What in it has no effect."""

    @property
    def heading(self) -> str:
        """How a message begins that has the text of the skill."""
        return f"Base directory for this skill: {self.directory}\n"

    def told(self) -> str:
        """What the model gets when it reads the skill."""
        files = supporting_files(self.directory)
        listed = "".join(f"\n- {name}" for name in files[:_MAX_SHOWN_FILES])
        more = len(files) - _MAX_SHOWN_FILES
        others = f"\nIts files, which you can read:{listed}" if files else ""
        others += f"\n- … and {more} more" if more > 0 else ""
        return f"{self.heading}Paths in the skill are relative to it.{others}\n\n{self.body}"


def supporting_files(directory: Path) -> list[str]:
    """The other files of a skill, relative to its directory; the first thousand or so."""
    found: list[str] = []
    for folder, folders, names in os.walk(directory):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        at = Path(folder).relative_to(directory)
        found += [str(at / name) for name in sorted(names) if not name.startswith(".")]
        if len(found) > 1000:
            break
    return [name for name in found if name != MANIFEST]


def find_skills(directories: Sequence[Directory], problem: Callable[[str], None]) -> list[Skill]:
    """The skills, those of the first directories first, whatever their names; ``problem`` gets a
    line for each that cannot be used."""
    found: list[Skill] = []
    for directory in directories:
        try:
            for path in entries_of(directory):
                skill = _read(path, directory, problem)
                if skill is not None:
                    found.append(skill)
        except DefinitionError as error:
            problem(f"skills: {error}")
    return found


def _read(path: Path, directory: Directory, problem: Callable[[str], None]) -> Skill | None:
    manifest = path / MANIFEST
    if any(sign in path.name for sign in _BEING_INSTALLED) or not manifest.is_file():
        return None
    try:
        return read_skill(manifest, directory.project)
    except DefinitionError as error:
        problem(f"the skill {manifest} is left out: {error}")
        return None


def read_skill(path: Path, project: Path | None) -> Skill:
    """
    Raises:
        DefinitionError: it cannot be used.
    """
    file = read_definition(path)
    fields = file.fields
    description = required_text(fields, "description")
    remarks = [f"{name} has no effect here" for name in _WITHOUT_EFFECT if name in fields]
    if len(description) > _MAX_DESCRIPTION:
        remarks.append(f"its description has more than {_MAX_DESCRIPTION:,} characters")
    if when := text_of(fields, "when_to_use"):
        description = f"{description} {when}"
    hooks = fields.get("hooks")
    if hooks is not None and not isinstance(hooks, dict):
        raise DefinitionError("hooks must be a mapping from events to lists")
    priority = fields.get("priority")
    is_number = isinstance(priority, int | float) and math.isfinite(priority)
    return Skill(
        name_of(fields, path.parent.name),
        " ".join(description.split()),
        file.body,
        path,
        Path(os.path.realpath(path.parent)),
        file.text,
        project,
        is_for_model=not flag_of(fields, "disable-model-invocation", otherwise=False),
        is_for_user=flag_of(fields, "user-invocable", otherwise=True),
        argument_hint=text_of(fields, "argument-hint"),
        priority=float(priority) if is_number and priority is not None else 0,
        allowed=_allowed(fields),
        hooks=hooks or {},
        paths=_paths(fields),
        remarks=tuple(remarks),
    )


def _allowed(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """``allowedTools`` of Node Qwen Code and ``allowed-tools`` of the specification, where blanks
    separate."""
    found: list[str] = []
    for key in ("allowedTools", "allowed-tools"):
        value = fields.get(key)
        if isinstance(value, str):
            from qwen_code.agent.rules.parse import split_rules  # few skills have any

            found += split_rules([value]) if "(" in value else value.replace(",", " ").split()
        else:
            found += texts_of(fields, key) or ()
    return tuple(dict.fromkeys(found))


def _paths(fields: Mapping[str, Any]) -> tuple[str, ...]:
    found = texts_of(fields, "paths") or ()
    for pattern in found:
        if pattern.startswith("/") or ".." in pattern.split("/"):
            raise DefinitionError(f"paths must stay in the project, and {pattern!r} does not")
    return found
