"""Files that are whole or not there, private from their first byte, and locks between processes."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from qwen_code.base.errors import ConfigError

__all__ = ["make_private_dir", "process_lock", "read_bounded", "write_atomic"]


def make_private_dir(path: Path) -> None:
    """Make ``path`` (and its parents) if absent; what is made is 0700.

    Raises:
        ConfigError: it cannot be made, or something else has its name.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from error


def write_atomic(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Replace ``path`` by ``data``: afterwards it holds the old bytes or the new, never a part.

    A temporary file in the same directory is made with ``mode`` from creation, synced, and
    renamed; then the directory is synced. A symlink is followed and its target replaced.

    Raises:
        ConfigError: the disk is full, or the place is not writable. The old file is untouched.
    """
    target = Path(os.path.realpath(path))
    make_private_dir(target.parent)
    temporary = target.with_name(f".{target.name}.{os.getpid()}-{os.urandom(4).hex()}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
        _sync_directory(target.parent)
    except OSError as error:
        raise _unwritable(path, error) from error


def read_bounded(path: Path, limit_bytes: int) -> bytes:
    """The bytes of a regular file of at most ``limit_bytes``.

    Raises:
        FileNotFoundError: there is no such file.
        OSError: it cannot be read; a larger file, a directory or a pipe counts as that.
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
def process_lock(path: Path, *, timeout_s: float) -> Iterator[None]:
    """Hold ``path`` as a lock against every other process; the system frees it if we die.

    Raises:
        ConfigError: another process held it for all of ``timeout_s``.
    """
    from filelock import FileLock, Timeout  # 10 ms to import, and most runs never lock

    make_private_dir(path.parent)
    lock = FileLock(path, timeout=timeout_s, mode=0o600)
    try:
        lock.acquire()
    except Timeout as error:
        raise ConfigError(
            f"another qwen process has held {path} for {timeout_s:.0f} s",
            hint="Wait for it to finish, or end it, then try again.",
        ) from error
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
        hint="Free some space or mend the permissions, or set QWEN_HOME to a directory of yours.",
    )
