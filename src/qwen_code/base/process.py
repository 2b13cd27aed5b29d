"""Runs a program to its end, with a timeout, and kills it when the turn is stopped."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, Self

from qwen_code.base.stop import Stop

_POLL_S = 0.05
"""How often the stop is checked, and whether a program has ended that has left its output open."""

_CLOSED_POLL_S = 0.005
"""How often it is checked whether a program has ended that has closed its output."""

_READ_BYTES = 65_536

COMMAND_MARK = "QWEN_COMMAND_ID"
"""The variable by which the processes of a command of the model are known, whatever session they
are in (see `tools.processes`)."""

_PR_SET_DUMPABLE = 4
"""``PR_SET_DUMPABLE`` of Linux's ``prctl``."""


@cache
def forbid_inspection() -> None:
    """Keep other processes of this user from reading the memory and the environment of this one, in
    ``/proc`` or with a debugger. Linux only; root still can."""
    if sys.platform != "linux":
        return
    import ctypes  # with the first child process

    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def run(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    timeout_s: float,
    stop: Stop,
    cwd: Path | None = None,
    stdin: bytes | None = None,
    keep_stderr: bool = True,
    with_children: bool = False,
    max_output_bytes: int | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """The output of ``command`` until its own end, and its exit code.

    Processes that it leaves running are left alone, also if they hold its output open: a hook may
    start a daemon, and a key helper its agent. ``with_children``: if the command does not end in
    time, the processes that it has started are killed with it. It then runs in a new session, and
    so it cannot ask anything at the terminal. Of each output, what is over ``max_output_bytes`` is
    read and dropped.

    Raises:
        OSError: it cannot be started.
        subprocess.TimeoutExpired: it took longer than ``timeout_s``, and was killed.
        Stopped: the turn was stopped, and it was killed.
    """
    stop.check()
    deadline = time.monotonic() + timeout_s
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=dict(env),
        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if keep_stderr else subprocess.DEVNULL,
        start_new_session=with_children,
    )
    out, err = bytearray(), bytearray()
    with _Pipes(max_output_bytes) as pipes:
        pipes.read(process.stdout, out)
        pipes.read(process.stderr, err)
        pipes.write(process.stdin, stdin or b"")
        try:
            while process.poll() is None:
                stop.check()
                if time.monotonic() >= deadline:
                    raise subprocess.TimeoutExpired(command, timeout_s)
                pipes.wait(_POLL_S)
            pipes.drain()
        except BaseException:
            if with_children and hasattr(os, "killpg"):
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            process.wait()
            raise
    return subprocess.CompletedProcess(command, process.returncode, bytes(out), bytes(err))


def waiting_bytes(descriptor: int) -> int:
    """How many bytes a pipe holds that can be read now."""
    import fcntl  # absent on Windows
    import termios

    return int.from_bytes(fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)), sys.byteorder)


class _Pipes:
    """The pipes to and from a process, read and written as far as they are ready."""

    def __init__(self, limit_bytes: int | None) -> None:
        self._limit_bytes = limit_bytes
        self._selector = selectors.DefaultSelector()
        self._files: list[IO[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._selector.close()
        for file in self._files:
            with suppress(OSError):  # what was not written cannot be flushed
                file.close()

    def read(self, file: IO[bytes] | None, into: bytearray) -> None:
        """Read ``file`` from now on."""
        if file is not None:
            self._files.append(file)
            self._selector.register(file, selectors.EVENT_READ, into)

    def write(self, file: IO[bytes] | None, data: bytes) -> None:
        """Write ``data`` to ``file`` as it takes it, and then close it."""
        if file is not None:
            os.set_blocking(file.fileno(), False)
            self._files.append(file)
            self._selector.register(file, selectors.EVENT_WRITE, bytearray(data))

    def wait(self, timeout_s: float) -> None:
        """Read and write what is possible within ``timeout_s``."""
        if not self._selector.get_map():
            time.sleep(_CLOSED_POLL_S)
            return
        for key, _ in self._selector.select(timeout_s):
            file, data = key.fileobj, key.data
            assert not isinstance(file, int)
            if key.events & selectors.EVENT_WRITE:
                is_open = self._write_some(key.fd, data)
            else:
                is_open = bool(part := os.read(key.fd, _READ_BYTES))
                self._keep(data, part)
            if not is_open:
                self._selector.unregister(file)
                file.close()  # type: ignore[attr-defined]

    def drain(self) -> None:
        """Read what is there now, and no more: another process may go on writing."""
        for key in list(self._selector.get_map().values()):
            if key.events & selectors.EVENT_READ and (count := waiting_bytes(key.fd)):
                self._keep(key.data, os.read(key.fd, count))

    def _keep(self, data: bytearray, part: bytes) -> None:
        room = None if self._limit_bytes is None else max(0, self._limit_bytes - len(data))
        data += part[:room]

    def _write_some(self, descriptor: int, data: bytearray) -> bool:
        """Write a part of ``data``; ``False`` if nothing is left, or nothing reads it."""
        try:
            del data[: os.write(descriptor, data[:_READ_BYTES])]
        except BlockingIOError:
            return True
        except BrokenPipeError:
            return False
        return bool(data)
