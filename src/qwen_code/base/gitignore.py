"""Patterns of paths in the format of ``.gitignore`` (gitignore(5)), in bounded time. Pure.

Projects write them, and can write ``*a*a*a*a*b``: the usual translation into a regular expression
then takes exponential time, in which not even Ctrl-C is noticed. Here, whatever a ``*`` or ``**``
has to reach next is taken where it comes first and never given back, which is enough for globs: the
next star can skip the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import msgspec

_POSIX = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "blank": r" \t",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\s",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}
_SIGNS = {"*": "*", "/": "/", "?": "[^/]"}
_NEVER = "(?!)"
_MAX_PATTERNS = 2_000
_MAX_LENGTH = 1_000


class _Pattern(msgspec.Struct, frozen=True):
    """``ignores`` is false for one with ``!``. ``is_name``: it is compared with names alone."""

    regex: re.Pattern[str]
    ignores: bool
    is_name: bool
    is_directory: bool


class GitIgnore:
    """A list of patterns, of which the last one that fits decides. What is in a directory that fits
    also fits.

    Beyond git, ``./x`` is ``/x``, ``a//b`` is ``a/b``, and a ``[`` that is never closed is itself.

    Raises:
        ValueError: a pattern ends with a backslash, or there are too many or too long ones.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        self.patterns: list[_Pattern] = []
        for line in lines:
            if (pattern := _parsed(line)) is not None:
                self.patterns.append(pattern)
            if len(self.patterns) > _MAX_PATTERNS:
                raise ValueError(f"it has more than {_MAX_PATTERNS:,} patterns")
        self._directories: dict[str, bool] = {}

    def match(self, path: str, *, by_parents: bool = True) -> bool:
        """Whether ``path``, relative and with ``/`` at the end for a directory, is ignored; without
        ``by_parents``, whether a pattern fits it and not only a directory that it is in."""
        is_directory, path = path.endswith("/"), path.rstrip("/")
        if not by_parents:
            return self._last(path, is_directory=is_directory)
        at = path.find("/")
        while at != -1:
            if self._directory(path[:at]):
                return True
            at = path.find("/", at + 1)
        return self._directory(path) if is_directory else self._last(path, is_directory=False)

    def _directory(self, path: str) -> bool:
        if (known := self._directories.get(path)) is None:
            known = self._directories[path] = self._last(path, is_directory=True)
        return known

    def _last(self, path: str, *, is_directory: bool) -> bool:
        name = path.rpartition("/")[2]
        for pattern in reversed(self.patterns):
            if pattern.is_directory and not is_directory:
                continue
            if pattern.regex.fullmatch(name if pattern.is_name else path):
                return pattern.ignores
        return False


def _parsed(line: str) -> _Pattern | None:
    text = _without_trailing_spaces(line.rstrip("\r\n"))
    if not text or text.startswith("#"):
        return None
    if len(text) > _MAX_LENGTH:
        raise ValueError(f"a pattern has more than {_MAX_LENGTH:,} characters")
    ignores = not text.startswith("!")
    text = text if ignores else text[1:]
    is_directory, text = text.endswith("/"), text.rstrip("/")
    text = f"/{text[2:]}" if text.startswith("./") else text
    parts = [part for part in _parts(text) if part]
    if not parts:
        return None
    is_name = "/" not in text
    regex = _part(parts[0]) if is_name else _path(parts)
    return _Pattern(re.compile(regex, re.DOTALL), ignores, is_name, is_directory)


def _without_trailing_spaces(line: str) -> str:
    """Spaces at the end count only after a backslash."""
    text = line.rstrip(" ")
    backslashes = len(text) - len(text.rstrip("\\"))
    return f"{text} " if backslashes % 2 and len(line) > len(text) else text


def _parts(text: str) -> Iterator[str]:
    """What is between the slashes; in ``[…]``, a slash is one of the characters."""
    start = 0
    for part, end in _regexes(text):
        if part == "/":
            yield text[start : end - 1]
            start = end
    yield text[start:]


def _path(parts: list[str]) -> str:
    """The parts between two ``**`` are taken where they come first."""
    inside = _is_any_depth(parts[-1])
    groups: list[list[str]] = [[]]
    for part in parts[:-1] if inside else parts:
        if _is_any_depth(part):
            groups.append([])
        else:
            groups[-1].append(_part(part))
    first, *others = groups
    regex = "".join(f"{part}/" for part in first)
    for index, group in enumerate(others):
        found = "".join(f"{part}/" for part in group)
        is_last = index == len(others) - 1 and not inside
        regex += f"(?:[^/]+/)*{found}" if is_last else f"(?>(?:[^/]+/)*?{found})"
    return f"{regex}.+" if inside else regex.removesuffix("/")


def _is_any_depth(part: str) -> bool:
    return len(part) > 1 and not part.strip("*")


def _part(part: str) -> str:
    """One name with wildcards. The pieces between two ``*`` are taken where they come first."""
    pieces = [""]
    for regex, _ in _regexes(part):
        if regex == "*":
            pieces.append("")
        else:
            pieces[-1] += regex
    first, *others = pieces
    if not others:
        return first
    *inner, last = others
    return f"{first}{''.join(f'(?>[^/]*?{piece})' for piece in inner if piece)}[^/]*{last}"


def _regexes(text: str) -> Iterator[tuple[str, int]]:
    """``*``, ``/``, or a regular expression for one character, and where each ends."""
    at, closes = 0, True
    while at < len(text):
        char, found = text[at], None
        if char == "\\":
            if at + 1 == len(text):
                raise ValueError("a pattern ends with a backslash")
            found = re.escape(text[at + 1]), at + 2
        elif char == "[" and closes:
            found = _characters(text, at + 1)
            closes = found is not None
        at = found[1] if found else at + 1
        yield found[0] if found else _SIGNS.get(char) or re.escape(char), at


def _characters(text: str, at: int) -> tuple[str, int] | None:
    """The set of characters that begins at ``at``, after its ``[``, and where it ends; ``None`` if
    it does not."""
    is_negated = text[at : at + 1] in ("!", "^")
    first = at = at + is_negated
    allowed, low = "", None  # ``low`` may be the beginning of a range
    while at < len(text) and (text[at] != "]" or at == first):
        if text.startswith("[:", at) and (end := text.find(":]", at)) != -1:
            allowed += _POSIX.get(text[at + 2 : end], "")
            low, at = None, end + 2
            continue
        is_range = text[at] == "-" and low is not None and text[at + 1 : at + 2] not in ("", "]")
        at += is_range
        at += text[at] == "\\"
        char = text[at : at + 1]
        if low is None or not is_range:
            allowed += re.escape(char)
        elif low <= char:
            allowed += f"{re.escape(low)}-{re.escape(char)}"
        low = None if is_range else char
        at += 1
    if at >= len(text):
        return None
    if not allowed:
        return ("[^/]" if is_negated else _NEVER), at + 1
    return f"(?!/)[{'^' * is_negated}{allowed}]", at + 1
