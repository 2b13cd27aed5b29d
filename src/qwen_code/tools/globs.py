"""The patterns of ``glob`` and ``grep``: those of ``.gitignore``, with braces.

``*.py`` fits at any depth, ``/*.py`` only directly below the directory that is searched, ``src/``
everything in such a directory, ``!x`` what ``x`` does not fit. ``*`` fits names that begin with a
dot, and case counts. An absolute pattern is taken relative to the directory.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.workspace import Place

_MAX_PATTERNS = 500
_MAX_PATTERN_LENGTH = 1000


def selection(pattern: str) -> list[str]:
    """Options with which ripgrep skips most files that do not fit. A file type is used instead of
    its ``--glob``, which would include ignored files again; types fit names without directories.
    Only what ripgrep and `matching` understand alike is left to it."""
    name = pattern.rpartition("/")[2]
    if not re.fullmatch(r"[\w.*?-]+", name, re.ASCII) or "**" in name or pattern.startswith("!"):
        return []
    if "{" in pattern or "[" in pattern or "\\" in pattern:
        return []
    return [f"--type-add=wanted:{name}", "--type=wanted"]


def is_about_names(pattern: str) -> bool:
    """Whether ``pattern`` has no directories, so that ripgrep alone has applied it."""
    return "/" not in pattern.removeprefix("**/") and bool(selection(pattern))


def matching(pattern: str, names: Iterable[str], place: Place) -> list[str]:
    """The names that match ``pattern``, relative to ``place``.

    Raises:
        ToolFailed: the pattern is not valid, too long, or stands for too many others.
    """
    from qwen_code.base.braces import without_braces  # needed only for a search
    from qwen_code.base.gitignore import GitIgnore

    if len(pattern) > _MAX_PATTERN_LENGTH:
        raise ToolFailed(f"the pattern has more than {_MAX_PATTERN_LENGTH:,} characters")
    directory = place.names[:-1] if place.path.is_file() else place.names
    base = "".join(f"{name}/" for name in directory)
    wanted = not pattern.startswith("!")
    plain = pattern.lstrip("!")
    plain = plain.removeprefix(place.root.joinpath(*directory).as_posix().rstrip("/"))
    try:
        patterns = without_braces(plain, _MAX_PATTERNS)
    except ValueError as error:
        raise ToolFailed(f"the pattern stands for more than {_MAX_PATTERNS} patterns") from error
    try:
        spec = GitIgnore(f"\\{each}" if each.startswith(("#", "!")) else each for each in patterns)
    except ValueError as error:
        raise ToolFailed(f"{pattern} is not a valid pattern of file names: {error}") from error
    return [name for name in names if spec.match(name.removeprefix(base)) == wanted]
