"""Which entries of a directory git or an ignore file ignores, by the rules of ripgrep, so that a
listing can say what ``glob`` and ``grep`` leave out."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from qwen_code.base.files import read_bounded
from qwen_code.base.gitignore import GitIgnore

_FILES = (".gitignore", ".ignore", ".rgignore")
"""Later ones overrule earlier ones; the first counts only in repositories."""
_MAX_BYTES = 200_000


def ignored(directory: Path, root: Path, names: Iterable[str]) -> list[str]:
    """Those of ``names`` in ``directory``, with ``/`` at the end for directories, that are ignored
    for a search that starts in ``root``."""
    candidates = (directory, *directory.parents)
    top = next((each for each in candidates if os.path.lexists(each / ".git")), None)
    base = top if top is not None and root.is_relative_to(top) else root
    try:
        rules = GitIgnore(_lines(directory, base, is_repository=top is not None))
    except ValueError:
        return []
    prefix = _prefix(directory, base)
    if not rules.patterns:
        return []
    return [name for name in names if rules.match(f"{prefix}{name}", by_parents=False)]


def is_ignored_by_git(root: Path, names: Sequence[str]) -> bool:
    """Whether git or an ignore file ignores the file of these names below ``root``, or a directory
    that it is in."""
    directory = root
    for index, name in enumerate(names):
        is_last = index == len(names) - 1
        if ignored(directory, root, [name if is_last else f"{name}/"]):
            return True
        directory /= name
    return False


def _lines(directory: Path, base: Path, *, is_repository: bool) -> Iterator[str]:
    """All patterns as they would be in ``base``."""
    if is_repository:
        yield from _read(base / ".git" / "info" / "exclude", "")
    folders = [each for each in (directory, *directory.parents) if each.is_relative_to(base)]
    for name in _FILES if is_repository else _FILES[1:]:
        for folder in reversed(folders):
            yield from _read(folder / name, _prefix(folder, base))


def _read(file: Path, prefix: str) -> Iterator[str]:
    try:
        text = read_bounded(file, _MAX_BYTES).decode("utf-8", "replace")
    except OSError:
        return
    escaped = re.sub(r"([\\*?\[\]!#])", r"\\\1", prefix)
    for line in text.split("\n"):
        if not prefix or not line.strip() or line.startswith("#"):
            yield line
            continue
        mark, pattern = ("!", line[1:]) if line.startswith("!") else ("", line)
        is_anchored = "/" in pattern.strip().rstrip("/")
        yield f"{mark}/{escaped}{'' if is_anchored else '**/'}{pattern.lstrip('/')}"


def _prefix(folder: Path, base: Path) -> str:
    name = folder.relative_to(base).as_posix()
    return "" if name == "." else f"{name}/"
