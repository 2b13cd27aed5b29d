"""Atomic writes of private files, bounded reads, and locks between processes."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

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
    directory is synced. If ``path`` is a symlink, its target is replaced.

    Raises:
        ConfigError: the disk is full, or the directory is not writable. The old file is unchanged.
    """
    with SpaceReservation(path, mode=mode, size_bytes=0) as reservation:
        reservation.commit(data)


class SpaceReservation:
    """Reserves disk space for an atomic write that must not fail later.

    Without a commit, nothing is left when the block ends. The new file's modification time is
    always later than the old one's, because Node Qwen Code compares nothing else.

    Raises:
        ConfigError: the disk is full, or the directory is not writable.
    """

    def __init__(self, path: Path, *, mode: int = 0o600, size_bytes: int = _RESERVED_BYTES) -> None:
        self._path = path
        self._mode = mode
        self._target = require_regular(path)
        make_private_dir(self._target.parent)
        name = f".{self._target.name}.{os.getpid()}-{os.urandom(4).hex()}.tmp"
        self._temporary = self._target.with_name(name)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            self._file = os.fdopen(os.open(self._temporary, flags, mode), "wb")
            try:
                if size_bytes:
                    self._file.write(bytes(size_bytes))
                    self._sync()
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
            ConfigError: it failed in spite of the reservation; the old file is unchanged.
        """
        if not self._temporary.exists():  # another program has deleted it
            write_atomic(self._path, data, mode=self._mode)
            return
        try:
            self._file.seek(0)
            self._file.write(data)
            self._file.truncate()
            self._sync()
            self._make_newer()
            self._file.close()
            os.replace(self._temporary, require_regular(self._target))
            _sync_directory(self._target.parent)
        except OSError as error:
            raise _unwritable(self._path, error) from error

    def discard(self) -> None:
        """Release the reserved space. Can be called again, also after :meth:`commit`."""
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self._temporary.unlink()

    def _sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())

    def _make_newer(self) -> None:
        with suppress(FileNotFoundError):
            oldest_ns = self._target.stat().st_mtime_ns + 1_000_000
            if self._temporary.stat().st_mtime_ns < oldest_ns:
                os.utime(self._temporary, ns=(oldest_ns, oldest_ns))


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


def read_bounded(path: Path, limit_bytes: int) -> bytes:
    """The bytes of a regular file of at most ``limit_bytes``.

    Raises:
        FileNotFoundError: it does not exist.
        OSError: it cannot be read, is larger, or is a directory, pipe or device.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(f"{path} is not a regular file")
        data = file.read(limit_bytes + 1)
    if len(data) > limit_bytes:
        raise OSError(f"{path} is larger than {limit_bytes:,} bytes")
    return data


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
    stop, deadline = stop or Stop(), time.monotonic() + timeout_s
    while not lock.is_locked:
        try:
            lock.acquire(blocking=False)
        except Timeout as error:
            if time.monotonic() >= deadline:
                raise LockHeld(
                    f"another qwen process has held {path} for {timeout_s:.0f} s",
                    hint="Wait for it to finish, or stop it, then try again.",
                ) from error
            stop.wait(_LOCK_POLL_S)
        except OSError as error:
            raise _unwritable(path, error) from error
    try:
        yield
    finally:
        lock.release()


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
