"""Rules about files: patterns of paths, and files that decide which programs run later."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from qwen_code.agent.rules.types import names
from qwen_code.agent.toolbox import Call

if TYPE_CHECKING:
    from qwen_code.base.gitignore import GitIgnore

_HARMLESS = names(
    ".gitignore .gitkeep .keep .dockerignore .editorconfig .npmignore .prettierignore "
    ".eslintignore .stylelintignore .mailmap .well-known .browserslistrc .htmlhintrc "
    ".markdownlint.json"
)
"""Names with a dot that decide nothing about what runs. All others may."""

_NOTES = names("agents.md claude.md qwen.md gemini.md agent.md")
_CONTROLS = names(
    "head config jenkinsfile azure-pipelines.yml bitbucket-pipelines.yml lefthook.yml "
    "lefthook.yaml mise.toml sitecustomize.py usercustomize.py commondir gitdir"
)
"""Names without a dot: instructions for agents, a repository's own files (it needs no ``.git``),
and settings of tools that run commands on their own."""

_HOOKS = names(
    "applypatch-msg commit-msg fsmonitor-watchman post-applypatch post-checkout post-commit "
    "post-merge post-receive post-rewrite post-update pre-applypatch pre-auto-gc pre-commit "
    "pre-merge-commit pre-push pre-rebase pre-receive prepare-commit-msg proc-receive "
    "push-to-checkout reference-transaction sendemail-validate update"
)


MAX_ALTERNATIVES = 1000
"""The most patterns that the braces of one may stand for."""


class Folders(msgspec.Struct, frozen=True):
    """What the patterns of rules are relative to: ``./`` and nothing, ``/``, ``~/``."""

    cwd: Path
    root: Path
    home: Path


def is_delicate(call: Call) -> bool:
    """Whether the call concerns a file that decides which programs run later."""
    return call.kind.is_path and is_delicate_path(call.subject)


def is_delicate_path(path: str) -> bool:
    """Whether a program may run because of what stands in the file ``path``."""
    *folders, name = path.casefold().split("/")
    if any(each[:1] == "." and each not in _HARMLESS | {".", ".."} for each in (*folders, name)):
        return True
    return (
        name in _NOTES | _CONTROLS
        or name.endswith((".pth", ".code-workspace"))
        or (name in _HOOKS and "hooks" in folders)
    )


def has_wildcard(text: str) -> bool:
    """Whether ``text``, unquoted, is a pattern of paths for bash."""
    return any(char in text for char in "*?[")


class _Reading(msgspec.Struct, frozen=True):
    """One meaning of a pattern: ``spec`` for what is below ``above``, a directory with ``/`` at the
    end. ``is_whole``: all of it."""

    above: str
    spec: GitIgnore
    is_whole: bool

    def fits(self, absolute: str) -> bool:
        return f"{absolute}/".startswith(self.above) and (
            self.is_whole or self.spec.match(absolute[len(self.above) :] or ".")
        )


def matches(pattern: str, path: str, folders: Folders, *, broadly: bool) -> bool:
    """Whether the rule's ``pattern`` is about ``path``, absolute or relative to the current
    directory.

    ``broadly``, for rules that ask or deny: in case of doubt it is. A pattern without a slash then
    counts everywhere, ``/x`` may be an absolute path, and a directory is what is in it.
    """
    absolute = os.path.normpath(path if path.startswith("/") else f"{folders.cwd}/{path}")
    absolute = f"/{absolute.lstrip('/')}"  # two slashes at the beginning would be kept
    return any(reading.fits(absolute) for reading in _readings(pattern, folders, broadly=broadly))


@cache
def _readings(pattern: str, folders: Folders, *, broadly: bool) -> tuple[_Reading, ...]:
    """What ``pattern`` can mean. A home or project behind a link has both names."""
    from qwen_code.base.braces import without_braces  # needed only for rules about paths
    from qwen_code.base.gitignore import GitIgnore

    found = {}
    anchored = [
        each
        for one in {*without_braces(pattern, MAX_ALTERNATIVES), pattern}
        for each in _anchored(one, folders, broadly=broadly)
    ]
    for folder, glob in anchored:
        lines = [glob]
        if broadly and glob.endswith("/**"):
            lines.append(glob.removesuffix("/**") or "/**")
        is_whole = broadly and glob in ("/", "/**")
        for base in (str(folder), os.path.realpath(folder)):
            above = f"{base.rstrip('/')}/"
            found[above, glob] = _Reading(above, GitIgnore(lines), is_whole)
    return tuple(found.values())


def _anchored(pattern: str, folders: Folders, *, broadly: bool) -> list[tuple[Path, str]]:
    """The directory and the anchored pattern below it that ``pattern`` stands for."""
    written = _as_written(pattern, folders, broadly=broadly)
    return [_without_parents(*each) if "/../" in f"/{each[1]}/" else each for each in written]


def _without_parents(folder: Path, glob: str) -> tuple[Path, str]:
    """The same with no ``..`` in the pattern."""
    glob = os.path.normpath(glob.lstrip("/"))
    while glob == ".." or glob.startswith("../"):
        folder, glob = folder.parent, glob[3:]
    return folder, f"/{glob}"


def _as_written(pattern: str, folders: Folders, *, broadly: bool) -> list[tuple[Path, str]]:
    if pattern.startswith("//"):
        return [(Path("/"), pattern[1:])]
    if pattern.startswith("~/"):
        return [(folders.home, pattern[1:])]
    if pattern.startswith("/"):
        found = [(folders.root, pattern)]
        return [*found, (Path("/"), pattern), (folders.cwd, pattern)] if broadly else found
    bare = pattern.removeprefix("./")
    if broadly and "/" not in bare.rstrip("/") and bare == pattern:
        return [(Path("/"), bare)]
    return [(folders.cwd, f"/{bare}")]
