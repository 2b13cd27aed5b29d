"""``glob`` and ``grep``, by ripgrep, which is fast and skips files that git ignores."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Self

import msgspec

from qwen_code.base.secret import StreamRedactor
from qwen_code.base.stop import Stop
from qwen_code.tools import catalogue
from qwen_code.tools.base import BuiltInTool, Result
from qwen_code.tools.context import ToolContext
from qwen_code.tools.encodings import detect
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.text import counted
from qwen_code.tools.workspace import HeldPlaces, Place, Workspace, path_of

_MAX_PATHS = 200
_MAX_MATCHES = 200
_MAX_LINE_LENGTH = 300
_MAX_COMPARED = 200
_MAX_PATTERNS = 500
_MAX_PATTERN_LENGTH = 1000
_NAMES_PER_CHECK = 100
_MAX_CHECKED_BYTES = 100_000_000
_TIMEOUT_S = 30.0


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
        place = self._places.of(arguments, arguments.path)
        command = ["--files", "--null", *_selection(arguments.pattern)]
        output = _ripgrep(self._workspace, place, command, self._environ, stop)
        found: Iterable[str] = (name.removeprefix("./") for name in output.split("\0") if name)
        if not _is_about_names(arguments.pattern):
            found = _matching(arguments.pattern, _until(stop, found), place)
        names = self._workspace.closed.open_files(place.root, _until(stop, found))
        names.sort()
        names.sort(key=_Changed(place.root), reverse=True)
        # A directory may have become a link while ripgrep went through it.
        places = (_below(place.root, name) for name in names[:_MAX_PATHS])
        shown = (self._workspace.shown(each) for each in places if self._workspace.is_there(each))
        text = "\n".join(shown) or "no file matches"
        if len(names) > _MAX_PATHS:
            text += f"\n[{len(names) - _MAX_PATHS} more: narrow the search]"
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
        lines = _lines(self._workspace, place, output, arguments.glob, stop)
        check = _Checked(self._workspace, place.root)
        shown = [
            _masked(f"{self._named(place, line)}{line.text}")
            for line in lines[:_MAX_MATCHES]
            if check.is_true(line)
        ]
        text = "\n".join(shown) or "nothing matches"
        if len(lines) > _MAX_MATCHES:
            text += f"\n[{len(lines) - _MAX_MATCHES} more lines: narrow the search]"
        return Result(text, counted(len(lines), "line"))

    def _named(self, place: Place, line: _Line) -> str:
        return self._workspace.shown(_below(place.root, line.name)) if line.name else ""


def _below(root: Path, name: str) -> Place:
    """The place of a file that ripgrep has named."""
    return Place(root, PurePosixPath(name).parts)


def _masked(line: str) -> str:
    """The line without secrets, and without the beginning of one where ripgrep has cut the line."""
    content, mark, rest = line.rpartition(" [... ")
    if len(content) < _MAX_LINE_LENGTH or not rest.endswith("]"):
        return line
    return f"{StreamRedactor().feed(content)}{mark}{rest}"


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

    options = ["--no-config", "--hidden", "--glob=!.git", "--iglob=!.qwen/.env"]
    options += _closed(workspace, place.root)
    target = "/".join((".", *place.names))
    command = [find_ripgrep(), *options, *arguments, "--", target]
    try:
        with workspace.entered(Place(place.root, ())) as root:
            cwd = path_of(root, Place(place.root, ()))
            done = process.run(command, cwd=cwd, env=environ, timeout_s=_TIMEOUT_S, stop=stop)
    except TimeoutExpired as error:
        raise ToolFailed(f"the search took more than {_TIMEOUT_S:.0f} s; narrow it") from error
    except OSError as error:
        raise ToolFailed(f"{place.shown}: {(error.strerror or '').lower()}") from error
    if done.returncode == 2 and not done.stdout:
        raise ToolFailed(done.stderr.decode("utf-8", "replace").strip() or "ripgrep failed")
    return done.stdout.decode("utf-8", "replace")


def _closed(workspace: Workspace, root: Path) -> Iterator[str]:
    """Options that skip most of what is closed to the model. A project can have them overruled, so
    what is found is checked again."""
    for file in workspace.closed.files():
        if file.parent == root:
            yield f"--ignore-file={file}"
    for private in workspace.closed.private:
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
    from qwen_code.base.braces import without_braces  # needed only for a search
    from qwen_code.base.gitignore import GitIgnore

    if len(pattern) > _MAX_PATTERN_LENGTH:
        raise ToolFailed(f"the pattern has more than {_MAX_PATTERN_LENGTH:,} characters")
    directory = place.names[:-1] if place.path.is_file() else place.names
    base = "".join(f"{name}/" for name in directory)
    try:
        patterns = without_braces(pattern.lstrip("!"), _MAX_PATTERNS)
    except ValueError as error:
        raise ToolFailed(f"the pattern stands for more than {_MAX_PATTERNS} patterns") from error
    try:
        spec = GitIgnore(patterns)
    except ValueError as error:
        raise ToolFailed(f"{pattern} is not a valid pattern of file names: {error}") from error
    return [name for name in names if spec.match(name.removeprefix(base))]


def _until(stop: Stop, names: Iterable[str]) -> Iterator[str]:
    """``names``, as long as the turn goes on: many names and patterns take long to compare."""
    for index, name in enumerate(names):
        if index % _NAMES_PER_CHECK == 0:
            stop.check()
        yield name


class _Line(msgspec.Struct, frozen=True):
    """A line of ripgrep's output: ``text`` follows the name of the file, if it has one. ``number``
    is 0 for one that has none."""

    text: str
    name: str = ""
    number: int = 0
    content: str = ""


def _lines(
    workspace: Workspace, place: Place, output: str, pattern: str, stop: Stop
) -> list[_Line]:
    """``path:number:text`` (``-`` for lines around a match), of open files that match."""
    split = [line.removeprefix("./").partition("\0") for line in output.split("\n")[:-1]]
    names: Iterable[str] = dict.fromkeys(name for name, separator, _ in split if separator)
    if pattern:
        names = _matching(pattern, _until(stop, names), place)
    wanted = set(workspace.closed.open_files(place.root, _until(stop, names)))
    return [
        _line(name, rest) if separator else _Line(name)
        for name, separator, rest in split
        if not separator or name in wanted
    ]


def _line(name: str, rest: str) -> _Line:
    """Restore the separator before the number: ripgrep replaced it with a NUL, but it also follows
    the number."""
    content = rest.lstrip("0123456789")
    digits = rest[: len(rest) - len(content)]
    return _Line(f"{content[:1]}{rest}", name, int(digits or 0), content[1:])


class _Checked:
    """Whether lines that ripgrep found are in files of the workspace: it opens them by name, and a
    directory may have become a link to elsewhere for that moment."""

    def __init__(self, workspace: Workspace, root: Path) -> None:
        self._workspace = workspace
        self._root = root
        self._files: dict[str, list[str]] = {}

    def is_true(self, line: _Line) -> bool:
        if not line.number:
            return True
        if line.name not in self._files:
            self._files[line.name] = self._read(line.name)
        lines = self._files[line.name]
        there = lines[line.number - 1] if line.number <= len(lines) else ""
        return there.startswith(line.content.rstrip("\r")[:_MAX_COMPARED])

    def _read(self, name: str) -> list[str]:
        place = _below(self._root, name)
        try:
            data = self._workspace.read(place, _MAX_CHECKED_BYTES)
        except ToolFailed:
            return []
        found = detect(data)
        name = found.name if found.mark else "utf-8"  # as ripgrep reads it
        return data.removeprefix(found.mark).decode(name, "replace").split("\n")


class _Changed:
    """A sort key: when a file below ``root`` changed. Joins strings, as there may be thousands."""

    def __init__(self, root: Path) -> None:
        self._root = f"{root}{os.sep}"

    def __call__(self, name: str) -> float:
        try:
            return os.lstat(self._root + name).st_mtime
        except OSError:
            return 0.0
