"""``glob`` and ``grep``, by ripgrep, which is fast and skips files that git ignores."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Self

import msgspec

from qwen_code.base.stop import Stop
from qwen_code.tools import catalogue
from qwen_code.tools.base import BuiltInTool, Result
from qwen_code.tools.context import ToolContext
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.text import counted
from qwen_code.tools.workspace import Place, Workspace

_MAX_PATHS = 200
_MAX_MATCHES = 200
_MAX_LINE_LENGTH = 300
_TIMEOUT_S = 30.0
_BRACES = re.compile(r"\{([^{}]*,[^{}]*)\}")


def find_ripgrep() -> str:
    """The path of ``rg``: beside this interpreter, where its package installs it, or on PATH.

    Raises:
        ToolFailed: it is not installed.
    """
    import shutil
    import sysconfig

    scripts = Path(sysconfig.get_path("scripts"))
    for candidate in (scripts / "rg", scripts / "rg.exe", Path(sys.executable).parent / "rg"):
        if candidate.is_file():
            return str(candidate)
    if found := shutil.which("rg"):
        return found
    raise ToolFailed("ripgrep (rg) is not installed; use list_directory or the shell")


class GlobArguments(msgspec.Struct):
    pattern: str
    path: str = "."


class Glob(BuiltInTool[GlobArguments]):
    """Finds files by name."""

    definition = catalogue.GLOB
    arguments = GlobArguments

    def __init__(self, workspace: Workspace, environ: Mapping[str, str]) -> None:
        self._workspace = workspace
        self._environ = environ

    @classmethod
    def create(cls, context: ToolContext) -> Self:
        return cls(context.workspace, context.environ)

    def title(self, arguments: GlobArguments) -> str:
        return arguments.pattern

    def subject(self, arguments: GlobArguments) -> str:
        return self._workspace.name(arguments.path)

    def run(self, arguments: GlobArguments, show: Callable[[str], None], stop: Stop) -> Result:
        place = self._workspace.locate(arguments.path)
        command = ["--files", "--null", *_selection(arguments.pattern)]
        output = _ripgrep(self._workspace, place, command, self._environ, stop)
        names = [name.removeprefix("./") for name in output.split("\0") if name]
        if not _is_about_names(arguments.pattern):
            names = _matching(arguments.pattern, names, place)
        names.sort()
        names.sort(key=_Changed(place.root), reverse=True)
        shown = names[:_MAX_PATHS]
        text = "\n".join(shown) or "no file matches"
        if len(names) > len(shown):
            text += f"\n[{len(names) - len(shown)} more: narrow the search]"
        return Result(text, counted(len(names), "file"))


class GrepArguments(msgspec.Struct):
    pattern: str
    path: str = "."
    glob: str = ""
    ignore_case: bool = False
    context: Annotated[int, msgspec.Meta(ge=0, le=20)] = 0


class Grep(BuiltInTool[GrepArguments]):
    """Finds lines by content."""

    definition = catalogue.GREP
    arguments = GrepArguments

    def __init__(self, workspace: Workspace, environ: Mapping[str, str]) -> None:
        self._workspace = workspace
        self._environ = environ

    @classmethod
    def create(cls, context: ToolContext) -> Self:
        return cls(context.workspace, context.environ)

    def title(self, arguments: GrepArguments) -> str:
        where = "" if arguments.path == "." else f" in {arguments.path}"
        return f"{arguments.pattern}{where}"

    def subject(self, arguments: GrepArguments) -> str:
        return self._workspace.name(arguments.path)

    def run(self, arguments: GrepArguments, show: Callable[[str], None], stop: Stop) -> Result:
        place = self._workspace.locate(arguments.path)
        command = [
            *("--line-number", "--with-filename", "--no-heading", "--sort=path"),
            f"--max-columns={_MAX_LINE_LENGTH}",
            "--max-columns-preview",
            f"--context={arguments.context}",
            *(["--ignore-case"] if arguments.ignore_case else []),
            "--null",
            *(_selection(arguments.glob) if arguments.glob else []),
            f"--regexp={arguments.pattern}",
        ]
        output = _ripgrep(self._workspace, place, command, self._environ, stop)
        lines = _lines(place, output, arguments.glob)
        shown = lines[:_MAX_MATCHES]
        text = "\n".join(shown) or "nothing matches"
        if len(lines) > len(shown):
            text += f"\n[{len(lines) - len(shown)} more lines: narrow the search]"
        return Result(text, counted(len(lines), "line"))


def _ripgrep(
    workspace: Workspace,
    place: Place,
    arguments: list[str],
    environ: Mapping[str, str],
    stop: Stop,
) -> str:
    """The output of ripgrep. It runs in the root, so that names and ignore files are relative to
    it, and follows no links, so that it stays below ``place``.
    """
    from subprocess import TimeoutExpired  # slow to import; needed only for a search

    from qwen_code.base import process

    options = ["--no-config", "--hidden", "--glob=!.git", "--glob=!.qwen/.env"]
    options += _closed(workspace, place.root)
    target = "/".join((".", *place.names))
    command = [find_ripgrep(), *options, *arguments, "--", target]
    try:
        done = process.run(command, cwd=place.root, env=environ, timeout_s=_TIMEOUT_S, stop=stop)
    except TimeoutExpired as error:
        raise ToolFailed(f"the search took more than {_TIMEOUT_S:.0f} s; narrow it") from error
    except OSError as error:
        raise ToolFailed(f"{place.shown}: {(error.strerror or '').lower()}") from error
    if done.returncode == 2 and not done.stdout:
        raise ToolFailed(done.stderr.decode("utf-8", "replace").strip() or "ripgrep failed")
    return done.stdout.decode("utf-8", "replace")


def _closed(workspace: Workspace, root: Path) -> Iterator[str]:
    """Options that exclude files which are closed to the model."""
    if ignored := workspace.ignore_file(root):
        yield f"--ignore-file={ignored}"
    for private in workspace.private:
        if private.is_relative_to(root):
            yield f"--glob=!/{_escaped(private.relative_to(root).as_posix())}"


def _escaped(text: str) -> str:
    return re.sub(r"([\\*?\[\]{}!])", r"\\\1", text)


def _selection(pattern: str) -> list[str]:
    """Options that skip most other files. A file type is used instead of ripgrep's ``--glob``,
    which would include ignored files again; types match names without directories."""
    name = pattern.rpartition("/")[2]
    if "**" in name or not name or pattern.startswith("!") or "{" in pattern.rpartition("/")[0]:
        return []
    return [f"--type-add=wanted:{name}", "--type=wanted"]


def _is_about_names(pattern: str) -> bool:
    """Whether ``pattern`` has no directories, so that ripgrep alone has applied it."""
    return "/" not in pattern.removeprefix("**/") and bool(_selection(pattern))


def _matching(pattern: str, names: Iterable[str], place: Place) -> list[str]:
    """The names that match ``pattern``, relative to ``place``."""
    from pathspec import GitIgnoreSpec  # slow to import; needed only for a search

    directory = place.names[:-1] if place.path.is_file() else place.names
    base = "".join(f"{name}/" for name in directory)
    try:
        spec = GitIgnoreSpec.from_lines(_without_braces(pattern.lstrip("!")))
    except ValueError as error:
        raise ToolFailed(f"{pattern} is not a valid pattern of file names: {error}") from error
    return [name for name in names if spec.match_file(name.removeprefix(base))]


def _without_braces(pattern: str) -> list[str]:
    """The patterns that ``*.{ts,tsx}`` expands to."""
    found = _BRACES.search(pattern)
    if found is None:
        return [pattern]
    start, end = found.span()
    expanded = (pattern[:start] + choice + pattern[end:] for choice in found[1].split(","))
    return [one for each in expanded for one in _without_braces(each)]


def _lines(place: Place, output: str, pattern: str) -> list[str]:
    """``path:number:text`` (``-`` for lines around a match), of files that match ``pattern``."""
    split = [line.removeprefix("./").partition("\0") for line in output.splitlines()]
    names = {name for name, separator, _ in split if separator}
    if pattern:
        names = set(_matching(pattern, names, place))
    return [
        name + _marked(rest) if separator else name
        for name, separator, rest in split
        if not separator or name in names
    ]


def _marked(rest: str) -> str:
    """Restore the separator before the number: ripgrep replaced it with a NUL, but it also follows
    the number."""
    digits = len(rest) - len(rest.lstrip("0123456789"))
    return f"{rest[digits : digits + 1]}{rest}"


class _Changed:
    """A sort key: when a file below ``root`` changed. Joins strings, as there may be thousands."""

    def __init__(self, root: Path) -> None:
        self._root = f"{root}{os.sep}"

    def __call__(self, name: str) -> float:
        try:
            return os.lstat(self._root + name).st_mtime
        except OSError:
            return 0.0
