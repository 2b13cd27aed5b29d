"""Rules about files: patterns of paths, and files that decide which programs run later."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import msgspec

from qwen_code.agent.rules.types import names
from qwen_code.agent.toolbox import Call

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


def matches(pattern: str, path: str, folders: Folders, *, broadly: bool) -> bool:
    """Whether the rule's ``pattern`` is about ``path``, absolute or relative to the current
    directory.

    ``broadly``, for rules that ask or deny: in case of doubt it is. A pattern without a slash then
    counts at any depth, ``/x`` may be an absolute path, and a directory is what is in it.
    """
    absolute = os.path.normpath(folders.cwd / path)
    for base, glob in _readings(pattern, folders, broadly=broadly):
        relative = os.path.relpath(absolute, base)
        if relative.startswith("../") or relative == "..":
            continue
        if _spec(_lines(glob, broadly=broadly)).match_file(relative) or (
            broadly and glob in ("/", "/**")
        ):
            return True
    return False


def _readings(pattern: str, folders: Folders, *, broadly: bool) -> list[tuple[Path, str]]:
    """The directory and the anchored pattern below it that ``pattern`` stands for."""
    if pattern.startswith("//"):
        return [(Path("/"), pattern[1:])]
    if pattern.startswith("~/"):
        return [(folders.home, pattern[1:])]
    if pattern.startswith("/"):
        found = [(folders.root, pattern)]
        return [*found, (Path("/"), pattern), (folders.cwd, pattern)] if broadly else found
    bare = pattern.removeprefix("./")
    if broadly and "/" not in bare.rstrip("/") and bare == pattern:
        return [(folders.cwd, bare), (folders.root, bare)]
    return [(folders.cwd, f"/{bare}")]


def _lines(glob: str, *, broadly: bool) -> tuple[str, ...]:
    return (
        (glob, glob.removesuffix("/**") or "/**") if broadly and glob.endswith("/**") else (glob,)
    )


@cache
def _spec(lines: tuple[str, ...]):  # type: ignore[no-untyped-def]
    from pathspec import GitIgnoreSpec  # slow to import; needed only for rules about paths

    return GitIgnoreSpec.from_lines(lines)
