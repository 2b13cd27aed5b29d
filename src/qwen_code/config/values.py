"""A value and its source, which stay together from the files to the decision."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import msgspec


class SourceKind(StrEnum):
    """The places a value can come from, highest precedence first."""

    FLAG = "flag"
    SHELL = "shell"
    DOTENV = "dotenv"
    SETTINGS = "settings"
    LOGIN = "login"
    IMPLIED = "implied"
    DEFAULT = "default"


class Source(msgspec.Struct, frozen=True):
    """Where a value was set.

    ``name`` is the flag, variable or settings key, or what implies the value. ``path`` and ``line``
    (from 1) point into a file. ``project`` is the folder whose files set it, by real path, or
    ``None`` if the user set it: in the shell, by a flag, or in a file of the home directory.
    """

    kind: SourceKind
    name: str
    path: Path | None = None
    line: int | None = None
    project: Path | None = None

    def __str__(self) -> str:
        """As it is shown to the user: ``LLAMA_API_KEY in /home/me/app/.env:2``."""
        if self.path is not None:
            line = f":{self.line}" if self.line is not None else ""
            return f"{self.name} in {self.path}{line}"
        if self.kind is SourceKind.SHELL:
            return f"{self.name} in the environment"
        if self.kind is SourceKind.DEFAULT:
            return f"the default of {self.name}"
        return self.name


class Value(msgspec.Struct, frozen=True):
    """A text and its source. ``text`` may be a secret, so ``repr`` leaves it out."""

    text: str
    source: Source

    def __repr__(self) -> str:
        return f"Value({self.source})"
