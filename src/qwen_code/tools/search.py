"""``glob`` and ``grep``, by ripgrep: quick on big trees, and what git ignores is left out."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from qwen_code.tools.base import Reach, Result
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.workspace import Place, Workspace

__all__ = ["Glob", "Grep", "find_ripgrep"]

_MOST_PATHS = 200
_MOST_MATCHES = 200
_MOST_LINE_LENGTH = 300
_TIMEOUT_S = 30.0
_OWN_IGNORE_FILE = ".qwenignore"
_BRACES = re.compile(r"\{([^{}]*,[^{}]*)\}")


def find_ripgrep() -> str:
    """The program: beside this interpreter, where its package puts it, else on PATH.

    Raises:
        ToolFailed: it is nowhere.
    """
    scripts = Path(sysconfig.get_path("scripts"))
    for candidate in (scripts / "rg", scripts / "rg.exe", Path(sys.executable).parent / "rg"):
        if candidate.is_file():
            return str(candidate)
    if found := shutil.which("rg"):
        return found
    raise ToolFailed("ripgrep (rg) is not installed; list_directory and the shell still work")


class GlobArguments(msgspec.Struct):
    pattern: Annotated[str, msgspec.Meta(description="As in .gitignore: **/*.py, src/*.ts")]
    path: str = "."


class Glob:
    """Files by name."""

    name = "glob"
    description = "Find files by name, newest first."
    reach = Reach.READ
    arguments = GlobArguments

    def __init__(self, workspace: Workspace, environ: Mapping[str, str]) -> None:
        self._workspace = workspace
        self._environ = environ

    def title(self, arguments: GlobArguments) -> str:
        return arguments.pattern

    def run(self, arguments: GlobArguments, show: Callable[[str], None]) -> Result:
        place = self._workspace.locate(arguments.path)
        command = ["--files", "--null", *_selection(arguments.pattern), *_ignores(place)]
        output = _ripgrep(place, command, self._environ)
        names = [name.removeprefix("./") for name in output.split("\0") if name]
        names = list(_matching(arguments.pattern, names))
        names.sort(key=lambda name: (-_changed(place.path / name), name))
        shown = [_joined(place, name) for name in names[:_MOST_PATHS]]
        text = "\n".join(shown) or "no file matches"
        if len(names) > len(shown):
            text += f"\n[{len(names) - len(shown)} more: narrow it down]"
        return Result(text, f"{len(names)} files")


class GrepArguments(msgspec.Struct):
    pattern: Annotated[str, msgspec.Meta(description="A regular expression (Rust's).")]
    path: str = "."
    glob: Annotated[str | None, msgspec.Meta(description="Only in these files.")] = None
    ignore_case: bool = False
    context: Annotated[int, msgspec.Meta(ge=0, le=20, description="Lines around.")] = 0


class Grep:
    """Lines by content."""

    name = "grep"
    description = "Find lines by content."
    reach = Reach.READ
    arguments = GrepArguments

    def __init__(self, workspace: Workspace, environ: Mapping[str, str]) -> None:
        self._workspace = workspace
        self._environ = environ

    def title(self, arguments: GrepArguments) -> str:
        where = "" if arguments.path == "." else f" in {arguments.path}"
        return f"{arguments.pattern}{where}"

    def run(self, arguments: GrepArguments, show: Callable[[str], None]) -> Result:
        place = self._workspace.locate(arguments.path)
        command = [
            *("--line-number", "--with-filename", "--no-heading", "--sort=path"),
            f"--max-columns={_MOST_LINE_LENGTH}",
            "--max-columns-preview",
            f"--context={arguments.context}",
            *(["--ignore-case"] if arguments.ignore_case else []),
            "--null",
            *(_selection(arguments.glob) if arguments.glob else []),
            f"--regexp={arguments.pattern}",
        ]
        output = _ripgrep(place, [*command, *_ignores(place)], self._environ)
        lines = _lines(place, output, arguments.glob)
        shown = lines[:_MOST_MATCHES]
        text = "\n".join(shown) or "nothing matches"
        if len(lines) > len(shown):
            text += f"\n[{len(lines) - len(shown)} more lines: narrow it down]"
        return Result(text, f"{len(lines)} lines")


def _ripgrep(place: Place, arguments: list[str], environ: Mapping[str, str]) -> str:
    """What ripgrep prints. It follows no links, so it stays where it was sent."""
    is_file = place.path.is_file()
    directory = place.path.parent if is_file else place.path
    target = f"./{place.path.name}" if is_file else "./"
    command = [find_ripgrep(), "--no-config", "--hidden", "--glob=!.git", *arguments, "--", target]
    try:
        done = subprocess.run(
            command,
            cwd=directory,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ToolFailed(f"it took longer than {_TIMEOUT_S:.0f} s; narrow it down") from error
    except OSError as error:
        raise ToolFailed(f"{place.shown}: {(error.strerror or '').lower()}") from error
    if done.returncode == 2 and not done.stdout:
        raise ToolFailed(done.stderr.decode("utf-8", "replace").strip() or "ripgrep failed")
    return done.stdout.decode("utf-8", "replace")


def _ignores(place: Place) -> Iterator[str]:
    """The user's own list of what is not for the model, from the root down."""
    for root in (
        place.root,
        *(place.root.joinpath(*place.names[: n + 1]) for n in range(len(place.names))),
    ):
        if (root / _OWN_IGNORE_FILE).is_file():
            yield f"--ignore-file={root / _OWN_IGNORE_FILE}"


def _selection(pattern: str) -> list[str]:
    """Options that leave most other files unread. ripgrep's own ``--glob`` will not do: it brings
    back what the ignore files leave out. Its types do not, and know names without directories."""
    if "/" in pattern or pattern.startswith("!"):
        return []
    return [f"--type-add=wanted:{pattern}", "--type=wanted"]


def _matching(pattern: str, names: Iterable[str]) -> Iterator[str]:
    from pathspec import GitIgnoreSpec  # only searching needs it

    try:
        spec = GitIgnoreSpec.from_lines(_without_braces(pattern.lstrip("!")))
    except ValueError as error:
        raise ToolFailed(f"{pattern} is no pattern of file names: {error}") from error
    return (name for name in names if spec.match_file(name))


def _without_braces(pattern: str) -> list[str]:
    """``*.{ts,tsx}`` as the patterns that it stands for."""
    found = _BRACES.search(pattern)
    if found is None:
        return [pattern]
    start, end = found.span()
    expanded = (pattern[:start] + choice + pattern[end:] for choice in found[1].split(","))
    return [one for each in expanded for one in _without_braces(each)]


def _lines(place: Place, output: str, pattern: str | None) -> list[str]:
    """``path:number:text`` (``-`` for lines around a match), of the files that are wanted."""
    split = [line.partition("\0") for line in output.splitlines()]
    names = {name for name, _, _ in split}
    if pattern:
        bare = {name.removeprefix("./"): name for name in names}
        names = {bare[name] for name in _matching(pattern, bare)}
    return [
        line if not separator else _joined(place, name.removeprefix("./")) + _marked(rest)
        for line, (name, separator, rest) in ((n + s + r, (n, s, r)) for n, s, r in split)
        if not separator or name in names
    ]


def _marked(rest: str) -> str:
    """ripgrep puts a NUL where the mark between path and number was; it stands after that too."""
    digits = len(rest) - len(rest.lstrip("0123456789"))
    return f"{rest[digits : digits + 1]}{rest}"


def _joined(place: Place, name: str) -> str:
    base = place.names[:-1] if place.path.is_file() else place.names
    return "/".join((*base, name))


def _changed(path: Path) -> float:
    try:
        return os.lstat(path).st_mtime
    except OSError:
        return 0.0
