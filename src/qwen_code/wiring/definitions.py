"""Where skills and sub-agents stand, and whether the user trusts those of a project."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from qwen_code.agent.definition_files import Directory
from qwen_code.config.load import Config
from qwen_code.config.settings import (
    Settings,
    convert_setting,
    definition_places,
    folders_of_project,
)
from qwen_code.config.trust import TrustStore

T = TypeVar("T")


class Definition(Protocol):
    """What skills and sub-agents have in common."""

    @property
    def name(self) -> str: ...
    @property
    def path(self) -> Path | None: ...


D = TypeVar("D", bound=Definition)


class Found(msgspec.Struct, Generic[T], frozen=True):
    """A definition, and what trust in it is bound to. The user's own are always trusted.
    ``hidden_by`` is what has its name and comes first; ``problem`` says why a project's cannot be
    trusted at all."""

    definition: T
    files: dict[str, str] = {}
    digest: str = ""
    is_trusted: bool = True
    hidden_by: str = ""
    problem: str = ""
    is_off: bool = False
    """Whether settings turn it off."""

    @property
    def is_offered(self) -> bool:
        """Whether a session has it."""
        return self.is_trusted and not self.hidden_by and not self.is_off


def directories_of(config: Config, kind: str) -> list[Directory]:
    """The directories that there are, those of the project first, the nearest first of all; none of
    a project in a folder that the user does not trust, and none at all in a reduced run."""
    if config.settings.reduction:
        return []
    places = definition_places(config.paths, kind)
    if not config.settings.trusts_folder:
        places = [place for place in places if place[1] is None]
    users = {os.path.realpath(path) for path, project in places if project is None}
    return [
        Directory(path, project)
        for path, project in places
        if path.is_dir() and (project is None or os.path.realpath(path) not in users)
    ]


def texts_of_all(settings: Settings, dotted: str) -> Iterator[str]:
    """The texts of a list, in every file of settings that has it."""
    for found in settings.lookup(dotted):
        if found.status == "usable":
            yield from convert_setting(found, list[str])


def files_of_hooks(config: Config, table: Any, project: Path | None) -> dict[str, str]:
    """The files of the project that hooks of a definition run, with their digests. For
    definitions of the user: those in the current project that are not written in full."""
    from qwen_code.config.run_files import files_run  # few definitions have hooks

    cwd, is_own = config.paths.cwd, project is None
    folder = project or folders_of_project(cwd)[-1]
    return files_run(_commands(table), folder, cwd, relative_only=is_own)


def _commands(table: Any) -> Iterator[str]:
    if isinstance(table, dict):
        if isinstance(command := table.get("command"), str):
            yield command
        for value in table.values():
            yield from _commands(value)
    elif isinstance(table, list):
        for value in table:
            yield from _commands(value)


def with_trust(
    config: Config, kind: str, definition: T, project: Path | None, files: dict[str, str]
) -> Found[T]:
    """A definition of ``project`` with ``files``: their paths and digests."""
    if project is None:
        return Found(definition)
    from qwen_code.config.run_files import UNREADABLE, digest_of

    unreadable = [path for path, digest in files.items() if digest == UNREADABLE]
    if unreadable:
        problem = f"{unreadable[0]} cannot be read, or is more than can be trusted"
        return Found(definition, files, is_trusted=False, problem=problem)
    relative = {os.path.relpath(path, project): digest for path, digest in files.items()}
    digest = digest_of(kind, sorted(relative), relative)
    is_trusted = TrustStore.load(config.paths).is_definition_trusted(project, digest)
    return Found(definition, files, digest, is_trusted)


def with_hidden(found: Iterable[Found[D]], name_of: Callable[[D], str]) -> list[Found[D]]:
    """``found``, in which the first that can be used hides the later ones of its name."""
    listed: list[Found[D]] = []
    first: dict[str, D] = {}
    for each in found:
        name = name_of(each.definition)
        if (before := first.get(name)) is not None:
            listed.append(msgspec.structs.replace(each, hidden_by=str(before.path)))
            continue
        if each.is_offered:
            first[name] = each.definition
        listed.append(each)
    return listed


def tell_untrusted(kind: str, found: Iterable[Found[D]], notice: Callable[[str], None]) -> None:
    """Say which definitions of a ``kind`` (``skills``, ``agents``) the user has to trust first."""
    if untrusted := [each.definition.name for each in found if not each.is_trusted]:
        notice(
            f"not offered, because they are this project's: the {kind} {', '.join(untrusted)}. "
            f"To let them be used: qwen {kind} trust"
        )
