"""Atomic writes of private files, bounded reads, and locks between processes."""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Self

from qwen_code.base.errors import ConfigError
from qwen_code.base.stop import Stop

_RESERVED_BYTES = 64 * 1024
_LOCK_POLL_S = 0.05


class LockHeld(ConfigError):
    """Another process holds a lock and did not release it in time."""


def make_private_dir(path: Path) -> None:
    """Create ``path`` and its parents, with mode 0700, unless they exist.

    Raises:
        ConfigError: it cannot be created, or a file with that name exists.
    """
    try:
        # mkdir(parents=True) would create the parents with the default mode.
        for directory in (*reversed(path.parents), path):
            if not directory.is_dir():
                directory.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from error


def write_atomic(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Replace the content of ``path`` by ``data``, completely or not at all.

    A temporary file in the same directory is created with ``mode``, synced, and renamed; then the
    directory is synced. If ``path`` is a symlink, its target is replaced. A file that must not be
    replaced (see :func:`is_fixed`) is overwritten in place.

    Raises:
        ConfigError: the disk is full, or the directory is not writable. The old file is unchanged.
    """
    with SpaceReservation(path, mode=mode, size_bytes=0) as reservation:
        reservation.commit(data)


class SpaceReservation:
    """Reserves disk space for an atomic write that must not fail later.

    Without a commit, nothing is left when the block ends. The new file's modification time is
    always later than the old one's, because Node Qwen Code compares nothing else.

    A file that must not be replaced (see :func:`is_fixed`) is overwritten by the commit. The
    temporary file, if one can be created beside it, holds a copy of the data until that has worked.

    Raises:
        ConfigError: the disk is full, or neither the directory nor the file is writable.
    """

    def __init__(self, path: Path, *, mode: int = 0o600, size_bytes: int = _RESERVED_BYTES) -> None:
        self._path = path
        self._mode = mode
        self._target = require_regular(path)
        self._file: BinaryIO | None = None
        self._keeps_copy = False
        make_private_dir(self._target.parent)
        name = f".{self._target.name}.{os.getpid()}-{os.urandom(4).hex()}.tmp"
        self._temporary = self._target.with_name(name)
        try:
            if is_fixed(self._target):
                _require_overwritable(self._target, size_bytes)
                if not is_writable(self._target.parent):
                    return
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            self._file = os.fdopen(os.open(self._temporary, flags, mode), "wb")
            try:
                if size_bytes:
                    self._file.write(bytes(size_bytes))
                    _sync(self._file)
            except BaseException:
                self.discard()
                raise
        except OSError as error:
            raise _unwritable(path, error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    def commit(self, data: bytes) -> None:
        """Make ``data`` the file's content.

        Raises:
            ConfigError: it failed in spite of the reservation. The old file is unchanged; if it
                was being overwritten, it may be damaged, and the temporary file is kept.
        """
        try:
            if self._file is None:
                overwrite(self._target, data)
            elif not self._temporary.exists():  # another program has deleted it
                write_atomic(self._path, data, mode=self._mode)
            else:
                self._file.seek(0)
                self._file.write(data)
                self._file.truncate()
                _sync(self._file)
                self._put_in_place(data)
        except OSError as error:
            raise _unwritable(self._path, error) from error

    def discard(self) -> None:
        """Release the reserved space. Can be called again, also after :meth:`commit`."""
        if self._file is None:
            return
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            if not self._keeps_copy:
                self._temporary.unlink()

    def _put_in_place(self, data: bytes) -> None:
        target = require_regular(self._target)
        if is_fixed(target):  # it may have become so since
            self._overwrite(target, data)
            return
        with suppress(FileNotFoundError):
            _make_newer(self._temporary, target.stat().st_mtime_ns)
        assert self._file is not None
        self._file.close()
        try:
            os.replace(self._temporary, target)
        except OSError:  # a reason that `is_fixed` cannot see, such as a sticky directory
            if not target.exists():
                raise
            self._overwrite(target, data)
        else:
            _sync_directory(target.parent)

    def _overwrite(self, target: Path, data: bytes) -> None:
        self._keeps_copy = True
        overwrite(target, data)
        self._keeps_copy = False


def is_fixed(target: Path) -> bool:
    """Whether the existing file ``target`` must be overwritten, because a rename onto it fails or
    does harm: it is a mount point (``docker run -v …/file``), its directory is not writable, or it
    has other hard links, which would keep the old content."""
    try:
        if target.lstat().st_nlink > 1 or not is_writable(target.parent):
            return True
        return _mount_of(target) != _mount_of(target.parent)
    except OSError:  # it does not exist
        return False


def overwrite(target: Path, data: bytes) -> None:
    """Make ``data`` the content of the existing file ``target``, in place.

    One write covers all of the old content, padded with spaces, and only then the file is cut. A
    process killed in between leaves ``data`` and spaces, which JSON, TOML and text allow.
    """
    with target.open("r+b", buffering=0) as file:
        before = os.fstat(file.fileno())
        view = memoryview(data.ljust(before.st_size))
        while view:
            view = view[file.write(view) :]
        os.fsync(file.fileno())
        file.truncate(len(data))
        os.fsync(file.fileno())
    _make_newer(target, before.st_mtime_ns)


def _require_overwritable(target: Path, size_bytes: int) -> None:
    """Raise the `OSError` that `overwrite` would meet, without changing anything. Growing cannot be
    reserved without changing the file, so free space is looked up instead."""
    with target.open("r+b") as file:
        allocated = getattr(os.fstat(file.fileno()), "st_blocks", 0) * 512
        if hasattr(os, "fstatvfs"):
            system = os.fstatvfs(file.fileno())
            if system.f_bavail * system.f_frsize < size_bytes - allocated:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _mount_of(path: Path) -> object:
    """What tells mounts apart."""
    if sys.platform == "linux":
        with suppress(OSError):
            descriptor = os.open(path, os.O_PATH)
            try:
                return mount_of(descriptor)
            finally:
                os.close(descriptor)
    return path.stat().st_dev


def mount_of(descriptor: int) -> object:
    """What tells mounts apart. A file that is bind-mounted from the same file system has the device
    of its directory; only Linux's mount ID shows the difference."""
    if sys.platform == "linux":
        with suppress(OSError):
            info = Path(f"/proc/self/fdinfo/{descriptor}").read_text()
            if found := re.search(r"^mnt_id:\s*(\d+)", info, re.MULTILINE):
                return found[1]
    return os.fstat(descriptor).st_dev


def is_writable(directory: Path) -> bool:
    """Whether this process can create and rename files in ``directory``."""
    if os.name == "nt":
        return True
    return os.access(
        directory, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids
    )


def _make_newer(path: Path, former_ns: int) -> None:
    """Date ``path`` later than ``former_ns``."""
    oldest_ns = former_ns + 1_000_000
    if path.stat().st_mtime_ns < oldest_ns:
        with suppress(PermissionError):  # only its owner can set a date
            os.utime(path, ns=(oldest_ns, oldest_ns))


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def require_regular(path: Path) -> Path:
    """The file at ``path`` with all links resolved; it does not have to exist.

    Raises:
        ConfigError: it is a directory, a pipe or a device, which must not be replaced, changed or
            removed.
    """
    target = Path(os.path.realpath(path))
    try:
        mode = target.lstat().st_mode
    except OSError:
        return target
    if not stat.S_ISREG(mode):
        link = "" if target == path.absolute() else f" (a link to {target})"
        raise ConfigError(
            f"{path}{link} is not a regular file",
            hint=f"Move it away: mv '{path}' '{path}.old'",
        )
    return target


def lock_file(path: Path) -> Path:
    """The lock file for ``path``: next to the file itself, even if ``path`` is a link."""
    return Path(f"{os.path.realpath(path)}.lock")


def is_foreign(path: Path, sudo_uid: int | None) -> bool:
    """Whether the file, or the link to it, belongs to another user than this one or root, as git
    decides it for ``safe.directory``: for root, ``sudo_uid`` counts too, who called sudo."""
    if os.name == "nt":
        return False
    own = {os.geteuid(), 0}
    if os.geteuid() == 0 and sudo_uid is not None:
        own.add(sudo_uid)
    try:
        return not {path.lstat().st_uid, path.stat().st_uid} <= own
    except OSError:
        return False


def read_bounded(path: Path, limit_bytes: int) -> bytes:
    """The bytes of a regular file of at most ``limit_bytes``.

    Raises:
        FileNotFoundError: it does not exist.
        OSError: it cannot be read, is larger, or is a directory, pipe or device.
    """
    data = read_beginning(path, limit_bytes + 1)
    if len(data) > limit_bytes:
        raise OSError(f"{path} is larger than {limit_bytes:,} bytes")
    return data


def read_beginning(path: Path, limit_bytes: int) -> bytes:
    """The first ``limit_bytes`` of a regular file, without waiting for anything.

    Raises:
        FileNotFoundError: it does not exist.
        OSError: it cannot be read, or is a directory, pipe or device.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(f"{path} is not a regular file")
        return file.read(limit_bytes)


@contextmanager
def process_lock(path: Path, *, timeout_s: float, stop: Stop | None = None) -> Iterator[None]:
    """Hold ``path`` as a lock against all other processes.

    If this process dies, the system releases the lock.

    Raises:
        LockHeld: another process held it for the whole of ``timeout_s``.
        ConfigError: the file cannot be created.
        Stopped: ``stop`` was set while another process held it.
    """
    from filelock import FileLock, Timeout  # 10 ms to import, and most runs never lock

    make_private_dir(path.parent)
    lock = FileLock(path, mode=0o600)

    def take() -> bool:
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return False
        return True

    try:
        _poll(take, path, timeout_s, stop or Stop())
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def content_lock(path: Path, *, timeout_s: float) -> Iterator[None]:
    """Hold the existing file at ``path`` itself as a lock, by whatever name others know it.

    Lock files stand beside a name. Hard links and mounts give one file names in several
    directories, so only a lock on the file itself excludes those who use another name.
    There is nothing to lock if the file does not exist.

    Raises:
        LockHeld: another process held it for the whole of ``timeout_s``.
        ConfigError: the file must be locked this way (`is_fixed`) and cannot be.
    """
    if os.name == "nt" or not path.exists():
        yield
        return
    import fcntl

    with ExitStack() as stack:
        try:
            file = stack.enter_context(path.open("r+b"))

            def take() -> bool:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return False
                return True

            _poll(take, path, timeout_s, Stop())
        except OSError as error:  # the lock beside it is enough if there is no other name
            if is_fixed(path):
                raise _unwritable(path, error) from error
        yield


def _poll(take: Callable[[], bool], path: Path, timeout_s: float, stop: Stop) -> None:
    deadline = time.monotonic() + timeout_s
    while not take():
        if time.monotonic() >= deadline:
            raise LockHeld(
                f"another qwen process has held {path} for {timeout_s:.0f} s",
                hint="Wait for it to finish, or stop it, then try again.",
            )
        stop.wait(_LOCK_POLL_S)


def _sync_directory(path: Path) -> None:
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unwritable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"cannot write {path}: {error.strerror or error}",
        hint="Free disk space, fix the permissions, or set QWEN_HOME to a writable directory.",
    )
