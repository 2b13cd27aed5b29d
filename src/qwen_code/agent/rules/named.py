"""Which paths a command line names, for rules about files that ask or deny.

Every piece of the line counts that may be a path, wherever it stands: also in quotes, in scripts
for shells and other programs, in values of variables and options. What ``~``, ``$HOME``, braces
and patterns stand for is worked out; a directory that is named may be the one that other pieces
are relative to. What only a program finds or makes up (``find``, ``$(…)``) is not known.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from qwen_code.base.braces import without_braces

if TYPE_CHECKING:
    from qwen_code.agent.rules.commands import Ground
    from qwen_code.agent.rules.paths import Folders

_MAX_PIECES = 5_000
_MAX_PATHS = 10_000
_MAX_LENGTH = 1_000
"""Of a piece that stands for others."""

_BETWEEN_WORDS = re.compile(r"""[\s;|&<>()'"`]+""")
_BETWEEN_PARTS = re.compile(r"[=,:]+")
_QUOTED = re.compile(r"""<<.*|'[^']*'|"[^"]*\"""", re.DOTALL)
_IS_LIKE_A_PATH = re.compile(r"[/~$*?\[{]|\w\.\w|^\.")
_SEQUENCE = re.compile(r"\{(?:([A-Za-z])\.\.([A-Za-z])|-?\d+\.\.-?\d+)(?:\.\.-?\d+)?\}")
_CODE = re.compile(r"\\(?:x([0-9A-Fa-f]{1,2})|[uU]([0-9A-Fa-f]{1,8})|([0-7]{1,3}))")
"""How ``$'…'`` writes characters."""

_STANDS_FOR_OTHERS = re.compile(r"[~{$]")
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)[^{}]*\})")


def named_paths(
    line: str, words: Iterable[str], directory: str, folders: Folders, ground: Ground
) -> set[str] | None:
    """Absolute paths, as they are named and as they are behind links. ``None``: there are too many.

    ``words`` are those that are known of the commands in ``line``, which runs in ``directory``.
    """
    try:
        pieces = _unique(_pieces(line, words, folders))
    except _TooMany:
        return None
    start = f"{folders.cwd}/{directory}"
    entered = (each for each in pieces if ground.is_directory(directory, each))
    bases = dict.fromkeys([start, *(posixpath.join(start, each) for each in entered)])
    if len(pieces) * len(bases) > _MAX_PATHS:
        return None
    found: set[str] = set()
    for base in bases:
        for piece in pieces:
            path = posixpath.normpath(posixpath.join(base, piece))
            behind = ground.behind("", path)
            if behind is None:
                return None
            found |= {path, *behind}
    return found


class _TooMany(Exception):
    """A line that may name any path."""


def _unique(texts: Iterable[str]) -> list[str]:
    found: dict[str, None] = {}
    for text in texts:
        found[text] = None
        if len(found) > _MAX_PIECES:
            raise _TooMany
    return list(found)


def _pieces(line: str, words: Iterable[str], folders: Folders) -> Iterator[str]:
    for word in words:
        for text in (word, word[2:] if word.startswith("-") else "", word.partition("=")[2]):
            yield from _expanded(text, folders)
    unquoted = re.sub(r"""['"]|\\(?=.)""", "", line)
    coded = re.sub(r"""\$?['"]""", "", _CODE.sub(_decoded, line)) if "$'" in line else ""
    for part in _parts(_QUOTED.sub(_without_prose, line)):
        yield from _expanded(part, folders)
    for text in (line, unquoted, coded, *words):
        for part in filter(_IS_LIKE_A_PATH.search, _parts(text)):
            yield from _expanded(part, folders)


def _without_prose(quoted: re.Match[str]) -> str:
    """In text with blanks, as in a message for git, a bare word is hardly the name of a file."""
    return " " if re.search(r"\s|^<<", quoted[0]) else quoted[0]


def _parts(text: str) -> Iterator[str]:
    for piece in _BETWEEN_WORDS.split(text):
        yield piece
        if len(parts := _BETWEEN_PARTS.split(piece)) > 1:
            yield from parts


def _expanded(text: str, folders: Folders) -> Iterator[str]:
    """What ``text`` may be as a path. A variable that is not known may be any usual directory.

    Raises:
        _TooMany: it is too long to tell, or stands for too many.
    """
    if _is_too_long(text):
        raise _TooMany
    try:
        waiting, steps = without_braces(text, _MAX_PIECES), 0
    except ValueError as error:
        raise _TooMany from error
    while waiting:
        text, steps = waiting.pop(), steps + 1
        if _is_too_long(text) or steps > _MAX_PIECES:
            raise _TooMany
        if text in ("", ".") or "\0" in text:
            continue
        if _SEQUENCE.search(text):
            waiting.append(_SEQUENCE.sub(_one_of, text))
        elif text.startswith("~"):
            home, slash, rest = text.partition("/")
            known = {"~": folders.home, "~+": folders.cwd, "~-": folders.cwd}
            home = str(known.get(home) or _home_of(home))
            waiting.append(f"{home}{slash}{rest}")
        elif (variable := _VARIABLE.search(text)) is None:
            yield text
        elif variable[0] != text:
            name, (start, end) = variable[1] or variable[2], variable.span()
            set_ = {"HOME": folders.home, "PWD": folders.cwd, "OLDPWD": folders.cwd}
            values = [set_[name]] if name in set_ else ["", folders.home, folders.cwd]
            waiting += (f"{text[:start]}{value}{text[end:]}" for value in values)


def _is_too_long(text: str) -> bool:
    return len(text) > _MAX_LENGTH and _STANDS_FOR_OTHERS.search(text) is not None


def _one_of(sequence: re.Match[str]) -> str:
    """A pattern for what a sequence of letters or numbers stands for."""
    if sequence[1] is None:
        return "[-0-9]*"
    first, last = sorted(sequence.group(1, 2))
    return f"[{first}-{last}]"


def _decoded(code: re.Match[str]) -> str:
    number = int(code[3], 8) if code[3] else int(code[1] or code[2], 16)
    return chr(number) if number < 0x110000 else code[0]


def _home_of(name: str) -> str:
    """The home directory of ``~name``."""
    try:
        return str(Path(name).expanduser())
    except RuntimeError:  # there is no such user
        return f"./{name}"
