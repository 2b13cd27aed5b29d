"""Definitions in Markdown files with front matter: skills and sub-agents.

They stand in directories of the user and of the project. A file that cannot be read costs itself:
the reason is told, and the others count.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from qwen_code.agent.front_matter import FrontMatterError, read_front_matter
from qwen_code.base.files import read_bounded

_MAX_BYTES = 1 << 20
_MAX_ENTRIES = 1000
"""Of one directory; what comes later by name is not looked at."""

_NAME = re.compile(r"[^\W_][\w:.-]*|_[\w:.-]+")
_MAX_NAME = 64


class Directory(msgspec.Struct, frozen=True):
    """Where definitions stand. ``project`` is the folder that they belong to, ``None`` for the
    user's own."""

    path: Path
    project: Path | None = None


class DefinitionFile(msgspec.Struct, frozen=True):
    """A file that was read. ``text`` is all of it, which trust covers."""

    path: Path
    text: str
    fields: Mapping[str, Any]
    body: str


class DefinitionError(ValueError):
    """A definition cannot be used; the message says why."""


def entries_of(directory: Directory) -> Iterator[Path]:
    """What is in a directory, by name. Of a project's, links that leave the project are left
    out: they could lead to any file of the user's.

    Raises:
        DefinitionError: there are links that leave it, after everything else.
    """
    try:
        with os.scandir(directory.path) as found:
            names = sorted(entry.name for entry, _ in zip(found, range(_MAX_ENTRIES), strict=False))
    except OSError:
        return
    leaving = []
    for name in names:
        path = directory.path / name
        if directory.project is None or is_below(path, directory.project):
            yield path
        else:
            leaving.append(name)
    if leaving:
        raise DefinitionError(f"{directory.path}: {', '.join(leaving)} lead out of the project")


def is_below(path: Path, folder: Path) -> bool:
    """Whether the real path of ``path`` is in ``folder``."""
    real = Path(os.path.realpath(path))
    return real.is_relative_to(os.path.realpath(folder))


def read_definition(path: Path) -> DefinitionFile:
    """
    Raises:
        DefinitionError: it cannot be read, or its front matter is not valid.
    """
    try:
        text = read_bounded(path, _MAX_BYTES).decode("utf-8-sig")
        fields, body = read_front_matter(text)
    except UnicodeDecodeError as error:
        raise DefinitionError("it is not UTF-8") from error
    except FrontMatterError as error:
        raise DefinitionError(str(error)) from error
    except OSError as error:
        raise DefinitionError(error.strerror or str(error)) from error
    return DefinitionFile(path, text, fields, body.strip())


def name_of(fields: Mapping[str, Any], otherwise: str) -> str:
    """The name; a file without one has that of its place.

    Raises:
        DefinitionError: it cannot be used.
    """
    value = fields.get("name")
    name = otherwise if value is None else str(value).strip()
    if not _NAME.fullmatch(name):
        raise DefinitionError(f"the name {name!r} must be of letters, digits and _ : . -")
    if len(name) > _MAX_NAME:
        raise DefinitionError(f"the name has more than {_MAX_NAME} characters")
    return name


def required_text(fields: Mapping[str, Any], key: str) -> str:
    """
    Raises:
        DefinitionError: it is missing, or not a text.
    """
    text = text_of(fields, key)
    if not text:
        raise DefinitionError(f"its front matter needs a {key}")
    return text


def text_of(fields: Mapping[str, Any], key: str) -> str:
    """A text; of a list, its items in brackets. Empty if there is none."""
    value = fields.get(key)
    if isinstance(value, list):  # such as argument-hint: [FILE]
        return " ".join(f"[{each}]" for each in value)
    return "" if value is None or isinstance(value, dict) else str(value).strip()


def texts_of(fields: Mapping[str, Any], key: str) -> tuple[str, ...] | None:
    """A list, or what commas separate in a text; ``None`` if it is not there.

    Raises:
        DefinitionError: it is something else.
    """
    value = fields.get(key)
    if value is None:
        return None
    if isinstance(value, str):
        value = re.split(r",\s*(?![^({]*[)}])", value)
    if not isinstance(value, list) or any(isinstance(each, dict | list) for each in value):
        raise DefinitionError(f"{key} must be a list of texts")
    return tuple(text for each in value if each is not None and (text := str(each).strip()))


def flag_of(fields: Mapping[str, Any], key: str, *, otherwise: bool) -> bool:
    """``true`` or ``false``, in quotes too; anything else is as if it were not there."""
    return {"true": True, "false": False}.get(str(fields.get(key)).lower(), otherwise)
