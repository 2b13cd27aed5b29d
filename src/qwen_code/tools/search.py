"""``glob`` and ``grep``, by ripgrep, which is fast and skips files that git ignores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Self

import msgspec

from qwen_code.base.stop import Stop
from qwen_code.tools import catalogue
from qwen_code.tools.base import BuiltInTool, Result
from qwen_code.tools.context import ToolContext
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.globs import is_about_names, matching, selection
from qwen_code.tools.matches import OPTIONS, Line, Reader, found_lines
from qwen_code.tools.ripgrep import place_below, run_ripgrep
from qwen_code.tools.text import counted
from qwen_code.tools.workspace import HeldPlaces, Place, Workspace

_MAX_PATHS = 200
_MAX_MATCHES = 200
_NAMES_PER_CHECK = 100


class GlobArguments(msgspec.Struct):
    pattern: str
    path: str = "."


class Glob(BuiltInTool[GlobArguments]):
    """Finds files by name."""

    definition = catalogue.GLOB
    arguments = GlobArguments

    def __init__(self, workspace: Workspace, environ: Mapping[str, str]) -> None:
        self._workspace = workspace
        self._places = HeldPlaces(workspace)
        self._environ = environ

    @classmethod
    def create(cls, context: ToolContext) -> Self:
        return cls(context.workspace, context.environ)

    def title(self, arguments: GlobArguments) -> str:
        return arguments.pattern

    def subject(self, arguments: GlobArguments) -> str:
        return self._places.shown(arguments, arguments.path)

    def run(self, arguments: GlobArguments, show: Callable[[str], None], stop: Stop) -> Result:
        place, pattern = self._places.of(arguments, arguments.path), arguments.pattern
        command = ["--files", "--null", *selection(pattern)]
        found = run_ripgrep(self._workspace, place, command, self._environ, stop)
        names = found.names()
        if not is_about_names(pattern):
            names = matching(pattern, _until(stop, names), place)
        opened = self._workspace.closed.open_files(place.root, _until(stop, names))
        opened.sort()
        opened.sort(key=_Changed(place.root), reverse=True)
        # A directory may have become a link while ripgrep went through it.
        places = (place_below(place.root, name) for name in opened[:_MAX_PATHS])
        shown = (self._workspace.shown(each) for each in places if self._workspace.is_there(each))
        text = "\n".join(shown) or "no file matches"
        if len(opened) > _MAX_PATHS:
            text += f"\n[{len(opened) - _MAX_PATHS} more: narrow the search]"
        if not opened:
            from qwen_code.tools.left_out import files_left_out  # only for an empty answer

            text += files_left_out(self._workspace, place, pattern, self._environ, stop)
        return Result(text + found.note(), counted(len(opened), "file"))


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
        self._places = HeldPlaces(workspace)
        self._environ = environ

    @classmethod
    def create(cls, context: ToolContext) -> Self:
        return cls(context.workspace, context.environ)

    def title(self, arguments: GrepArguments) -> str:
        where = "" if arguments.path == "." else f" in {arguments.path}"
        return f"{arguments.pattern}{where}"

    def subject(self, arguments: GrepArguments) -> str:
        return self._places.shown(arguments, arguments.path)

    def run(self, arguments: GrepArguments, show: Callable[[str], None], stop: Stop) -> Result:
        place = self._places.of(arguments, arguments.path)
        kind = self._workspace.kind_of(place)
        if kind not in ("file", "directory"):
            raise ToolFailed(f"{self._workspace.shown(place)} is {kind}")
        options = [
            *(["--ignore-case"] if arguments.ignore_case else []),
            *(selection(arguments.glob) if arguments.glob else []),
            f"--regexp={arguments.pattern}",
        ]
        command = [*OPTIONS, f"--context={arguments.context}", *options]
        found = run_ripgrep(self._workspace, place, command, self._environ, stop)
        lines = self._open(list(found_lines(found.output)), place, arguments.glob, stop)
        encodings: dict[str, str] = {}
        if not arguments.pattern.isascii():
            from qwen_code.tools.legacy_search import search_legacy  # ripgrep knows Unicode alone

            more, encodings = search_legacy(self._workspace, place, command, self._environ, stop)
            lines = [each for each in lines if each.name not in encodings]
            lines += self._open(more, place, arguments.glob, stop)
        shown = self._shown(place, lines, encodings)
        text = "\n".join(shown) or "nothing matches"
        if len(lines) > _MAX_MATCHES:
            text += f"\n[{len(lines) - _MAX_MATCHES} more lines: narrow the search]"
        if not lines:
            from qwen_code.tools.left_out import matches_left_out  # only for an empty answer

            glob = arguments.glob
            text += matches_left_out(self._workspace, place, options, glob, self._environ, stop)
        return Result(text + found.note(), counted(len(lines), "line"))

    def _open(self, lines: list[Line], place: Place, pattern: str, stop: Stop) -> list[Line]:
        """The lines of files that are open and match ``pattern``."""
        names: Iterable[str] = dict.fromkeys(line.name for line in lines if line.number)
        if pattern:
            names = matching(pattern, _until(stop, names), place)
        wanted = {*self._workspace.closed.open_files(place.root, _until(stop, names)), ""}
        kept = [line for line in lines if line.name in wanted]
        return [*kept] if any(line.number for line in kept) else []

    def _shown(self, place: Place, lines: list[Line], encodings: dict[str, str]) -> list[str]:
        reader = Reader(self._workspace, place.root)
        return list(reader.shown(lines[:_MAX_MATCHES], encodings))


def _until(stop: Stop, names: Iterable[str]) -> Iterator[str]:
    """``names``, as long as the turn goes on: many names and patterns take long to compare."""
    for index, name in enumerate(names):
        if index % _NAMES_PER_CHECK == 0:
            stop.check()
        yield name


class _Changed:
    """A sort key: when a file below ``root`` changed. Joins strings, as there may be thousands."""

    def __init__(self, root: Path) -> None:
        self._root = f"{root}{os.sep}"

    def __call__(self, name: str) -> float:
        try:
            return os.lstat(self._root + name).st_mtime
        except OSError:
            return 0.0
