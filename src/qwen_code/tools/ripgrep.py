"""Running ripgrep within the workspace, and what it says that it could not read."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

import msgspec

from qwen_code.base.stop import Stop
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.names import shown_name
from qwen_code.tools.workspace import Place, Workspace, path_of

_TIMEOUT_S = 30.0
_MAX_NAMED = 3
_PROBLEM = re.compile(
    r"^rg: \./(?P<name>.*?): (?:IO error for operation on .*: )?(?P<reason>.*?)"
    r"(?: \(os error \d+\))?$",
    re.MULTILINE,
)


class Found(msgspec.Struct, frozen=True):
    """The output, and the paths that could not be read, each with the reason."""

    output: bytes
    unreadable: tuple[str, ...] = ()

    def names(self) -> list[str]:
        """The files that ``--null`` has listed, relative to the root."""
        return [os.fsdecode(name.removeprefix(b"./")) for name in self.output.split(b"\0") if name]

    def note(self) -> str:
        """What was left out, in brackets and on a line; empty for nothing."""
        if not self.unreadable:
            return ""
        rest = len(self.unreadable) - _MAX_NAMED
        more = f" and {rest} more" if rest > 0 else ""
        return f"\n[could not be read: {', '.join(self.unreadable[:_MAX_NAMED])}{more}]"


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


def run_ripgrep(
    workspace: Workspace,
    place: Place,
    arguments: Sequence[str],
    environ: Mapping[str, str],
    stop: Stop,
    only: Sequence[str] = (),
) -> Found:
    """What ripgrep finds at ``place``, or in ``only`` these files. It runs in the root, so that
    names and ignore files are relative to it, and follows no links, so that it stays below
    ``place``.

    Raises:
        ToolFailed: it took too long, or it failed as a whole.
    """
    from subprocess import TimeoutExpired  # slow to import; needed only for a search

    from qwen_code.base import process

    options = ["--no-config", "--hidden", "--glob=!.git", "--iglob=!.qwen/.env"]
    options += [] if workspace.respects_git_ignore else ["--no-ignore-vcs"]
    options += _closed(workspace, place.root)
    targets = [f"./{name}" for name in only] or ["/".join((".", *place.names))]
    command = [find_ripgrep(), *options, *arguments, "--", *targets]
    try:
        with workspace.entered(Place(place.root, ())) as root:
            cwd = path_of(root, Place(place.root, ()))
            done = process.run(command, cwd=cwd, env=environ, timeout_s=_TIMEOUT_S, stop=stop)
    except TimeoutExpired as error:
        raise ToolFailed(f"the search took more than {_TIMEOUT_S:.0f} s; narrow it") from error
    except OSError as error:
        raise ToolFailed(f"{place.shown}: {(error.strerror or '').lower()}") from error
    messages = done.stderr.decode("utf-8", "surrogateescape")
    problems = list(_PROBLEM.finditer(messages))
    if done.returncode == 2 and not done.stdout and not problems:
        raise ToolFailed(shown_name(messages.strip()) or "ripgrep failed")
    return Found(done.stdout, tuple(_unreadable(workspace, place.root, problems)))


def place_below(root: Path, name: str) -> Place:
    """The place of a file that ripgrep has named."""
    return Place(root, PurePosixPath(name).parts)


def _unreadable(
    workspace: Workspace, root: Path, problems: Sequence[re.Match[str]]
) -> Iterator[str]:
    """What could not be read, and why. Names that are closed, and those that are not there, are not
    told: where a link took the place of a directory, they would be of files elsewhere."""
    for found in problems:
        place = place_below(root, found["name"])
        if _is_there(workspace, place) and workspace.is_open(place):
            yield f"{shown_name(found['name'])} ({found['reason'].lower()})"


def _is_there(workspace: Workspace, place: Place) -> bool:
    """Whether there is something of that name, if only a link that leads nowhere."""
    try:
        with workspace.entered(Place(place.root, place.names[:-1])) as directory:
            os.stat(place.names[-1], dir_fd=directory, follow_symlinks=False)
    except OSError:
        return False
    return True


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
