"""The files of a project that a command runs, so that trust in the command covers them.

Found are the files that the words of the command name: ``./check.sh``, ``python tools/server.py``,
``python -m tools.server``, and what ``make`` or ``npm run`` read. What those files load in turn is
not found.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from qwen_code.base.files import read_bounded

_MAX_FILE_BYTES = 50_000_000
_MAX_FILES = 200
_MAX_FILES_BELOW = 500
_MAX_BYTES_BELOW = 20_000_000
_WORD = re.compile(r"""[^\s'"`;&|<>(){}$=,]+""")
_READ_BY = {
    "make": ("GNUmakefile", "makefile", "Makefile"),
    "just": ("justfile", "Justfile", ".justfile"),
    "task": ("Taskfile.yml", "Taskfile.yaml"),
    **dict.fromkeys(("npm", "npx", "yarn", "pnpm", "bun", "bunx", "node"), ("package.json",)),
}
"""The files that a program reads to find out what it runs."""

UNREADABLE = "unreadable"
"""In place of the digest of a file that cannot be read: trust in it never holds."""


def files_run(
    commands: Iterable[str], folder: Path, cwd: Path, *, relative_only: bool = False
) -> dict[str, str]:
    """The files below ``folder`` that commands run from ``cwd`` name: their paths and the sha256
    of their content. With ``relative_only``, paths that are written in full do not count."""
    root = Path(os.path.realpath(folder))
    found: dict[str, str] = {}
    for command in commands:
        for word in _WORD.findall(command):
            if relative_only and word.startswith(("/", "~")):
                continue
            for path in _named(word, root, cwd):
                if len(found) < _MAX_FILES and str(path) not in found:
                    found[str(path)] = content_digest(path)
    return found


def files_below(directory: Path, folder: Path) -> dict[str, str]:
    """All files in ``directory``, with links followed: their paths and the sha256 of their content.
    One that leads out of ``folder``, or is beyond what is looked at, is `UNREADABLE`."""
    root = os.path.realpath(folder)
    found: dict[str, str] = {}
    left = _MAX_BYTES_BELOW
    for here, folders, names in os.walk(directory):
        folders.sort()
        links = [name for name in folders if Path(here, name).is_symlink()]
        for name in [*sorted(names), *links]:
            path = Path(here, name)
            real = Path(os.path.realpath(path))
            left -= real.stat().st_size if real.is_file() else 0
            is_known = left >= 0 and len(found) < _MAX_FILES_BELOW
            is_inside = real.is_relative_to(root)
            found[str(path)] = content_digest(real) if is_known and is_inside else UNREADABLE
            if not is_known:
                return found
    return found


def digest_of(kind: str, definition: Any, files: Mapping[str, str]) -> str:
    """What trust in a definition is bound to; any change of it, or of a file that it runs, results
    in another one."""
    import hashlib  # needed only if a project defines something

    canonical = msgspec.json.encode([kind, definition, files], order="deterministic")
    if UNREADABLE in files.values():
        canonical += os.urandom(16)
    return hashlib.sha256(canonical).hexdigest()


def content_digest(path: Path) -> str:
    """The sha256 of a file's content, or `UNREADABLE`."""
    import hashlib

    try:
        return hashlib.sha256(read_bounded(path, _MAX_FILE_BYTES)).hexdigest()
    except OSError:
        return UNREADABLE


def _named(word: str, root: Path, cwd: Path) -> Iterator[Path]:
    names = [word, *_READ_BY.get(word.rpartition("/")[2], ())]
    if re.fullmatch(r"[A-Za-z_][\w.]*", word):  # perhaps after -m
        module = word.replace(".", "/")
        names += [f"{module}.py", f"{module}/__main__.py", f"{module}/__init__.py"]
    for name in names:
        for start in dict.fromkeys((cwd, root)):
            try:
                path = Path(os.path.realpath(start / os.path.expanduser(name)))  # noqa: PTH111 text
                is_inside = path.is_relative_to(root) or (start / name).is_relative_to(root)
                if is_inside and path.is_file():
                    yield path
            except (OSError, ValueError):
                continue
