"""Give a file new content and keep what it is: owner, mode, attributes, hard links and mounts.

A file is replaced by a complete new one (a temporary file, then a rename) where that makes no
difference to its users. Else it is overwritten in place: a file with several hard links, a mount
point, a file in a directory that is not writable, a file whose owner or attributes this process
cannot give to a new one.

Overwriting grows the file first, then replaces the old bytes, then shortens it. So a full disk is
noticed before anything of the old content is touched.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from qwen_code.base.files import mount_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_PATH = getattr(os, "O_PATH", 0)
_HAS_ATTRIBUTES = sys.platform == "linux"
_NOT_HERE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG)
"""Why no temporary file can be created beside a file that itself may be writable."""


class _NotTheSameError(Exception):
    """A new file cannot be made like the old one."""


def write_at(directory: int, name: str, data: bytes) -> None:
    """Make ``data`` the content of the file ``name`` in the open ``directory``.

    A new file gets its mode from the user's umask.

    Raises:
        OSError: it cannot be written, is read-only or is not a regular file. The old content is
            untouched, unless the disk failed while it was overwritten in place.
    """
    old = _existing(directory, name)
    if old is None:
        _replace(directory, name, data, None)
        return
    if not _is_writable(directory, name):
        mode = f"mode {stat.S_IMODE(old.st_mode):04o}; lsattr shows whether it is immutable"
        raise PermissionError(errno.EACCES, f"it is read-only for this user ({mode})")
    if _must_stay(directory, name, old):
        _overwrite(directory, name, data)
        return
    try:
        _replace(directory, name, data, old)
    except _NotTheSameError:
        _overwrite(directory, name, data)
    except OSError as error:
        if error.errno not in _NOT_HERE:
            raise
        _overwrite(directory, name, data)


def stays_in_place(directory: int, name: str) -> bool:
    """Whether the file is overwritten in place as far as can be told before; ``False`` if it does
    not exist.

    Raises:
        OSError: it is not a regular file.
    """
    old = _existing(directory, name)
    return old is not None and _must_stay(directory, name, old)


def is_torn(data: bytes, old: bytes, new: bytes) -> bool:
    """Whether ``data`` is a state between ``old`` and ``new`` of a file that is overwritten in
    place: ``old`` with a part of what ``new`` has beyond it, or with the beginning of ``new``."""
    grown = old + new[len(old) :]
    if not len(old) <= len(data) <= len(grown):
        return False
    pairs = enumerate(zip(data, new, strict=False))
    same = next((at for at, (a, b) in pairs if a != b), min(len(data), len(new)))
    return data[same:] == grown[same : len(data)]


def _existing(directory: int, name: str) -> os.stat_result | None:
    try:
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EISDIR, "not a regular file")
    return found


def _is_writable(directory: int, name: str) -> bool:
    if os.name == "nt":
        return True
    return os.access(
        name, os.W_OK, dir_fd=directory, effective_ids=os.access in os.supports_effective_ids
    )


def _must_stay(directory: int, name: str, old: os.stat_result) -> bool:
    """Whether a rename onto the file would fail or part it from its other names."""
    return old.st_nlink > 1 or not _is_writable(directory, ".") or _is_mounted(directory, name, old)


def _is_mounted(directory: int, name: str, old: os.stat_result) -> bool:
    if old.st_dev != os.fstat(directory).st_dev:
        return True
    if not _PATH:
        return False
    descriptor = os.open(name, _PATH | _NOFOLLOW, dir_fd=directory)
    try:
        return mount_of(descriptor) != mount_of(directory)
    finally:
        os.close(descriptor)


def _replace(directory: int, name: str, data: bytes, old: os.stat_result | None) -> None:
    """Put a new file in the place of the old one, at once."""
    temporary = f".{name[:60]}.{os.getpid()}-{os.urandom(4).hex()}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NOFOLLOW
    mode = 0o666 if old is None else 0o600
    descriptor = os.open(temporary, flags, mode, dir_fd=directory)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            if old is not None:
                _make_alike(file.fileno(), directory, name, old)
            os.fsync(file.fileno())
        os.replace(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=directory)
        raise


def _make_alike(new: int, directory: int, name: str, old: os.stat_result) -> None:
    """Give the new file the owner, group, attributes (access lists among them) and mode of the old.

    Raises:
        _NotTheSameError: this process cannot do that.
    """
    if os.name == "nt":
        return
    try:
        mine = os.fstat(new)
        if (mine.st_uid, mine.st_gid) != (old.st_uid, old.st_gid):
            os.fchown(new, old.st_uid, old.st_gid)
        if _HAS_ATTRIBUTES:
            _copy_attributes(new, directory, name)
        os.fchmod(new, stat.S_IMODE(old.st_mode))  # last: a new owner takes special bits away
    except OSError as error:
        raise _NotTheSameError from error
    if stat.S_IMODE(os.fstat(new).st_mode) != stat.S_IMODE(old.st_mode):
        raise _NotTheSameError


def _copy_attributes(new: int, directory: int, name: str) -> None:
    with _opened(directory, name, os.O_RDONLY) as descriptor:
        wanted = _attributes(descriptor)
    found = _attributes(new)
    for key in found.keys() - wanted.keys():  # a default access list of the directory
        os.removexattr(new, key)
    for key, value in wanted.items():
        if found.get(key) != value:
            os.setxattr(new, key, value)


def _attributes(descriptor: int) -> dict[str, bytes]:
    try:
        return {name: os.getxattr(descriptor, name) for name in os.listxattr(descriptor)}
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return {}
        raise


def _overwrite(directory: int, name: str, data: bytes) -> None:
    with _opened(directory, name, os.O_RDWR) as descriptor:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise OSError(errno.EISDIR, "not a regular file")
        size = before.st_size
        try:
            _write_all(descriptor, data[size:], size)  # a full disk is noticed here
        except BaseException:
            os.ftruncate(descriptor, size)
            raise
        os.fsync(descriptor)
        _write_all(descriptor, data[:size], 0)
        os.ftruncate(descriptor, len(data))
        if os.name != "nt" and os.fstat(descriptor).st_mode != before.st_mode:
            with suppress(PermissionError):  # writing takes setuid away; only the owner sets it
                os.fchmod(descriptor, stat.S_IMODE(before.st_mode))
        os.fsync(descriptor)


def _write_all(descriptor: int, data: bytes, at: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, at)
        view, at = view[written:], at + written


@contextmanager
def _opened(directory: int, name: str, flags: int) -> Iterator[int]:
    descriptor = os.open(name, flags | _NOFOLLOW, dir_fd=directory)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
