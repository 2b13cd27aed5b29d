"""The directories that tools may access, by real path, and race-free access to files in them.

A path is resolved first, including links, and must end inside one of the roots. Then it is opened
from the root downward, one name after the other, without following links: if a link is created
between the check and the use, opening fails.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

from qwen_code.tools.closed import Closed
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.names import find_name, shown_name
from qwen_code.tools.writing import stays_in_place, write_at

_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_DIRECTORY = getattr(os, "O_DIRECTORY", 0)
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)

_MAX_HELD = 1000
_MAX_PATH_LENGTH = 4000


class Place(msgspec.Struct, frozen=True):
    """A path inside the workspace: a root and the names below it. It may not exist."""

    root: Path
    names: tuple[str, ...]

    @property
    def path(self) -> Path:
        """The real path."""
        return self.root.joinpath(*self.names)

    @property
    def shown(self) -> str:
        """The path relative to the root, as `names` writes it; see also `Workspace.shown`."""
        return shown_name("/".join(self.names)) or "."


class Entry(msgspec.Struct, frozen=True):
    """A name in a directory, and what it is, links followed: ``directory``, ``file``, or in words
    what cannot be read."""

    name: str
    kind: str


class Workspace:
    """The directory that ``qwen`` was started in, and those that the user added.

    ``private`` directories hold credentials and stay closed even inside the workspace, which may
    be the home directory; see `Closed` for what else does. ``forbidden`` is what rules close.
    ``respects_git_ignore``: whether searches leave out what git ignores.
    ``readable`` are further directories, in which nothing can be changed: those of skills.
    ``channels`` are files for another program, which stay closed, too.
    """

    def __init__(
        self,
        cwd: Path,
        more: Sequence[Path] = (),
        *,
        private: Sequence[Path] = (),
        forbidden: Callable[[Path], str] | None = None,
        ignore_files: Sequence[str] = (),
        respects_git_ignore: bool = True,
        readable: Sequence[Path] = (),
        channels: Sequence[Path] = (),
    ) -> None:
        self._readable = tuple(Path(os.path.realpath(directory)) for directory in readable)
        self.roots = tuple(Path(os.path.realpath(root)) for root in (cwd, *more))
        self.closed = Closed(self.roots, private, forbidden, ignore_files, channels)
        self.respects_git_ignore = respects_git_ignore

    def locate(self, text: str, *, reads: bool = False) -> Place:
        """The place of a path, which is absolute or relative to the first root. ``reads``: it will
        only be read.

        Raises:
            ToolFailed: it is outside of the workspace, closed, or not a valid path.
        """
        if not text or "\0" in text:
            raise ToolFailed("the path is empty or has a NUL character")
        if len(text) > _MAX_PATH_LENGTH:
            raise ToolFailed(f"the path has more than {_MAX_PATH_LENGTH:,} characters")
        try:
            real = Path(os.path.realpath(find_name(self.roots[0], text)))
            if reads and (place := self._readable_place(real)) is not None:
                return place
            place = self._place(real)
            if place is not None:
                self._check_open(place)
                return place
        except (OSError, UnicodeEncodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not valid text"
            raise ToolFailed(f"{text[:200]}: {reason}") from error
        raise ToolFailed(
            f"{text} is outside of the workspace ({', '.join(map(str, self.roots))}). "
            "Only the user can add folders to it (--include-directories)."
        )

    def shown(self, place: Place) -> str:
        """The path as the model, the user and rules see it: relative to the first root, as paths of
        calls are, and absolute in any other."""
        return place.shown if place.root == self.roots[0] else shown_name(str(place.path))

    def _place(self, real: Path) -> Place | None:
        for root in self.roots:
            if real == root or root in real.parents:
                return Place(root, real.relative_to(root).parts)
        return None

    def _readable_place(self, real: Path) -> Place | None:
        """The place below a readable directory; they may be in a private one."""
        for root in self._readable:
            if real.is_relative_to(root):
                if reason := self.closed.reason(real, below=root):
                    raise ToolFailed(f"access to {real} is denied: {reason}")
                return Place(root, real.relative_to(root).parts)
        return None

    def is_open(self, place: Place) -> bool:
        """Whether the model may see what is at ``place``, which has no links in it."""
        return not self.closed.reason(place.path)

    def _check_open(self, place: Place) -> None:
        if place.names and (reason := self.closed.reason(place.path)):
            raise ToolFailed(f"access to {self.shown(place)} is denied: {reason}")
        if not place.names and self.closed.is_private(place.path):
            raise ToolFailed(f"access to {self.shown(place)} is denied: it holds credentials")

    def _check_changeable(self, place: Place) -> None:
        if not place.names:
            raise ToolFailed(f"{place.shown} is a directory")
        if self.closed.decides(place.path):
            raise ToolFailed(f"{place.shown} decides what is closed; only the user can change it")

    def entries(self, place: Place) -> tuple[list[Entry], int]:
        """What is in a directory, by name, and how many entries are closed.

        Raises:
            ToolFailed: it cannot be read.
        """
        closed, entries = 0, []
        with _explained(place), self.entered(place) as directory, os.scandir(directory) as found:
            for each in found:
                if self.is_open(Place(place.root, (*place.names, each.name))):
                    entries.append(Entry(each.name, _kind_of_entry(each)))
                else:
                    closed += 1
        return sorted(entries, key=lambda entry: entry.name), closed

    def kind_of(self, place: Place) -> str:
        """What is at ``place``, in the words of `Entry`.

        Raises:
            ToolFailed: there is nothing.
        """
        with _explained(place), _directory(place, make=False) as directory:
            name = place.names[-1] if place.names else "."
            return _kind(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)

    def is_there(self, place: Place) -> bool:
        """Whether there is anything at ``place``, without following links."""
        try:
            with _directory(place, make=False) as directory:
                os.stat(place.names[-1] if place.names else ".", dir_fd=directory)
        except OSError:
            return False
        return True

    @contextmanager
    def entered(self, place: Place) -> Iterator[int]:
        """A descriptor of the directory at ``place``, opened without following links.

        Raises:
            OSError: it is not a directory, or a part of the path is a link by now.
        """
        with _directory(Place(place.root, (*place.names, ".")), make=False) as directory:
            yield directory

    def read(self, place: Place, limit_bytes: int) -> bytes:
        """The content of a regular file.

        Raises:
            ToolFailed: it does not exist, cannot be read, or is larger than the limit.
        """
        with self.opened(place) as (file, size):
            if size > limit_bytes:
                raise ToolFailed(
                    f"{place.shown} is too large to change: {size:,} bytes, the limit is "
                    f"{limit_bytes:,}. Search it with grep, read it in parts with offset and "
                    "limit, and change it with a command such as sed."
                )
            return file.read(limit_bytes + 1)[:limit_bytes]

    @contextmanager
    def opened(self, place: Place) -> Iterator[tuple[BinaryIO, int]]:
        """A regular file, to be read, and its size in bytes.

        Raises:
            ToolFailed: it does not exist or cannot be read.
        """
        with _explained(place), _opened(place, os.O_RDONLY | _NONBLOCK) as descriptor:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise ToolFailed(f"{place.shown} is not a regular file")
            with os.fdopen(os.dup(descriptor), "rb") as file:
                yield file, found.st_size

    def remove(self, place: Place) -> None:
        """Remove a file.

        Raises:
            ToolFailed: it cannot be removed.
        """
        self._check_changeable(place)
        with _explained(place), _directory(place, make=False) as directory:
            os.unlink(place.names[-1], dir_fd=directory)

    def write(self, place: Place, data: bytes) -> None:
        """Write a file, atomically where it stays the same file that way (see `write_at`).

        Missing directories are created. A new file gets its mode from the user's umask.

        Raises:
            ToolFailed: it cannot be written; the old content is untouched.
        """
        self._check_changeable(place)
        with _explained(place), _directory(place, make=True) as directory:
            write_at(directory, place.names[-1], data)

    def stays_in_place(self, place: Place) -> bool:
        """Whether a write overwrites the file at ``place`` in place, so that a process that is
        killed meanwhile can leave a part of each content."""
        try:
            with _directory(place, make=False) as directory:
                return bool(place.names) and stays_in_place(directory, place.names[-1])
        except OSError:
            return False


def path_of(descriptor: int, place: Place) -> Path:
    """A path of the open directory that leads there even if ``place`` is another one by now, where
    the system has such paths."""
    return Path(f"/proc/self/fd/{descriptor}") if sys.platform == "linux" else place.path


class HeldPlaces:
    """Locates the path of each call once: what is judged, shown and used is the same place, even if
    a link changes in between."""

    def __init__(self, workspace: Workspace, *, reads: bool = False) -> None:
        self._workspace = workspace
        self._reads = reads
        self._held: dict[int, tuple[object, Place | ToolFailed]] = {}

    def of(self, arguments: object, text: str) -> Place:
        """The place of ``text``, the path in the ``arguments`` of one call.

        Raises:
            ToolFailed: it was outside of the workspace, closed, or not valid.
        """
        found = self._held.get(id(arguments))
        if found is None or found[0] is not arguments:
            found = arguments, self._located(text)
            self._held[id(arguments)] = found
            if len(self._held) > _MAX_HELD:
                del self._held[next(iter(self._held))]
        if isinstance(found[1], ToolFailed):
            raise found[1]
        return found[1]

    def shown(self, arguments: object, text: str) -> str:
        """The path as rules see it; ``text`` itself if it cannot be located."""
        try:
            return self._workspace.shown(self.of(arguments, text))
        except ToolFailed:
            return text

    def _located(self, text: str) -> Place | ToolFailed:
        try:
            return self._workspace.locate(text, reads=self._reads)
        except ToolFailed as error:
            return error


def _kind_of_entry(entry: os.DirEntry[str]) -> str:
    try:
        return _kind(entry.stat().st_mode)
    except OSError as error:
        is_link = entry.is_symlink()
        if is_link and error.errno in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR):
            return "a link that leads nowhere"
        return (error.strerror or "unreadable").lower()


def _kind(mode: int) -> str:
    kinds = (
        (stat.S_ISDIR, "directory"),
        (stat.S_ISREG, "file"),
        (stat.S_ISLNK, "a link that leads nowhere"),
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISSOCK, "a socket"),
    )
    return next((words for is_kind, words in kinds if is_kind(mode)), "a device")


@contextmanager
def _opened(place: Place, flags: int) -> Iterator[int]:
    with _directory(place, make=False) as directory:
        name = place.names[-1] if place.names else "."
        descriptor = os.open(name, flags | _NOFOLLOW, dir_fd=directory)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


@contextmanager
def _directory(place: Place, *, make: bool) -> Iterator[int]:
    """The directory of the last name, opened without following links."""
    current = os.open(place.root, os.O_RDONLY | _DIRECTORY)
    try:
        for name in place.names[:-1]:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(name, dir_fd=current)
            below = os.open(name, os.O_RDONLY | _DIRECTORY | _NOFOLLOW, dir_fd=current)
            os.close(current)
            current = below
        yield current
    finally:
        os.close(current)


@contextmanager
def _explained(place: Place) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            reason = "part of the path is a link or not a directory"
        elif error.errno == errno.EPERM:
            reason = "the system refuses it: it may be immutable (see: lsattr) or protected"
        elif error.errno == errno.EROFS:
            reason = "it is on a read-only file system"
        else:
            reason = (error.strerror or str(error)).lower()
        raise ToolFailed(f"{place.shown}: {reason}") from error
