"""The directories that tools may access, by real path, and race-free access to files in them.

A path is resolved first, including links, and must end inside one of the roots. Then it is opened
from the root downward, one name after the other, without following links: if a link is created
between the check and the use, opening fails.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from qwen_code.tools.errors import ToolFailed

_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_DIRECTORY = getattr(os, "O_DIRECTORY", 0)
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)

_IGNORE_FILE = ".qwenignore"
_CREDENTIALS = (".qwen", ".env")
"""The file for a project's keys. A plain ``.env`` belongs to the project and may be read."""


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
        """The path as the model and the user see it, relative to the root."""
        return "/".join(self.names) or "."


class Workspace:
    """The directory that ``qwen`` was started in, and those that the user added.

    ``private`` directories hold credentials and stay closed even inside the workspace, which may
    be the home directory. Files that match a root's ``.qwenignore`` are closed, too.
    """

    def __init__(
        self, cwd: Path, more: Sequence[Path] = (), *, private: Sequence[Path] = ()
    ) -> None:
        self.roots = tuple(Path(os.path.realpath(root)) for root in (cwd, *more))
        self.private = tuple(Path(os.path.realpath(directory)) for directory in private)

    def locate(self, text: str) -> Place:
        """The place of a path, which is absolute or relative to the first root.

        Raises:
            ToolFailed: it is outside of the workspace, closed, or not a valid path.
        """
        if not text or "\0" in text:
            raise ToolFailed("the path is empty or has a NUL character")
        try:
            real = Path(os.path.realpath(self.roots[0] / text))
        except OSError as error:
            raise ToolFailed(f"{text}: {error.strerror}") from error
        for root in self.roots:
            if real == root or root in real.parents:
                place = Place(root, real.relative_to(root).parts)
                self._check_open(place)
                return place
        raise ToolFailed(
            f"{text} is outside of the workspace ({', '.join(map(str, self.roots))}). "
            "Only the user can add folders to it (--include-directories)."
        )

    def name(self, text: str) -> str:
        """The path as rules see it; ``text`` itself if it cannot be located."""
        try:
            return self.locate(text).shown
        except ToolFailed:
            return text

    def is_private(self, path: Path) -> bool:
        """Whether ``path`` is a private directory or inside one, also through links."""
        try:
            return self._is_closed(Path(os.path.realpath(path)))
        except OSError:
            return False

    def holds_closed(self, real: Path) -> bool:
        """Whether the real path ``real`` is closed, or has a private directory in it."""
        if any(private.is_relative_to(real) for private in self.private) or self._is_closed(real):
            return True
        root = next((root for root in self.roots if real.is_relative_to(root)), None)
        if root is None:
            return False
        try:
            self._check_open(Place(root, real.relative_to(root).parts))
        except ToolFailed:
            return True
        return False

    def _is_closed(self, real: Path) -> bool:
        closed = {found for directory in self.private if (found := _identity(directory))}
        return any(
            folder in self.private or _identity(folder) in closed
            for folder in (real, *real.parents)
        )

    def ignore_file(self, root: Path) -> Path | None:
        """The user's list of files that are closed to the model, if it exists."""
        path = root / _IGNORE_FILE
        return path if path.is_file() else None

    def _check_open(self, place: Place) -> None:
        if self._is_closed(place.path) or place.names[-2:] == _CREDENTIALS:
            raise ToolFailed(f"access to {place.shown} is denied: it holds credentials")
        if place.names and (ignored := self.ignore_file(place.root)):
            from pathspec import GitIgnoreSpec  # slow to import; needed only with such a file

            lines = ignored.read_text("utf-8", "replace").splitlines()
            shown = f"{place.shown}/" if place.path.is_dir() else place.shown
            if GitIgnoreSpec.from_lines(lines).match_file(shown):
                raise ToolFailed(f"access to {place.shown} is denied by {_IGNORE_FILE}")

    def read(self, place: Place, limit_bytes: int) -> bytes:
        """The content of a regular file.

        Raises:
            ToolFailed: it does not exist, cannot be read, or is larger than the limit.
        """
        with _explained(place), _opened(place, os.O_RDONLY | _NONBLOCK) as descriptor:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise ToolFailed(f"{place.shown} is not a regular file")
            if found.st_size > limit_bytes:
                raise ToolFailed(
                    f"{place.shown} is too large: {found.st_size:,} bytes, the limit is "
                    f"{limit_bytes:,}. Search it with grep instead."
                )
            with os.fdopen(os.dup(descriptor), "rb") as file:
                return file.read(limit_bytes + 1)[:limit_bytes]

    def remove(self, place: Place) -> None:
        """Remove a file.

        Raises:
            ToolFailed: it cannot be removed.
        """
        if not place.names:
            raise ToolFailed(f"{place.shown} is a directory")
        with _explained(place), _directory(place, make=False) as directory:
            os.unlink(place.names[-1], dir_fd=directory)

    def write(self, place: Place, data: bytes) -> None:
        """Write a file atomically; its mode stays.

        Missing directories are created. A new file gets its mode from the user's umask.

        Raises:
            ToolFailed: it cannot be written; the old content is untouched.
        """
        if not place.names:
            raise ToolFailed(f"{place.shown} is a directory")
        name = place.names[-1]
        with _explained(place), _directory(place, make=True) as directory:
            mode = _mode_of(name, directory)
            temporary = f".{name[:100]}.{os.getpid()}-{os.urandom(4).hex()}.tmp"
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NOFOLLOW
            descriptor = os.open(temporary, flags, 0o666, dir_fd=directory)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    if mode is not None:
                        os.fchmod(file.fileno(), mode)
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary, dir_fd=directory)
                raise


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and inode of a directory, which do not depend on the spelling of its name."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _mode_of(name: str, directory: int) -> int | None:
    try:
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EISDIR, "not a regular file")
    return stat.S_IMODE(found.st_mode)


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
        else:
            reason = (error.strerror or str(error)).lower()
        raise ToolFailed(f"{place.shown}: {reason}") from error
