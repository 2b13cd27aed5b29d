"""Standard output that does not block the end of the process when nothing reads it."""

from __future__ import annotations

import io
import os
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TextIO

from qwen_code.fronts.signals import is_given_up

_POLL_MS = 50
_CHUNK_BYTES = 4096
"""A pipe that is ready takes this much at once (POSIX: ``PIPE_BUF``)."""


_abandoned: list[object] = []
"""Streams that must not be garbage-collected, because that would flush them."""


class InterruptibleOutput(io.RawIOBase):
    """Writes to a descriptor. It waits until there is space, but no longer than `is_given_up`.

    Raises:
        KeyboardInterrupt: there is no space, and the process must end.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._poll: Callable[[float], list[tuple[int, int]]] | None = None

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def write(self, data: Any, /) -> int:
        poll = self._poll or self._begin()
        if len(data) > _CHUNK_BYTES:
            data = memoryview(data)[:_CHUNK_BYTES]
        while True:
            if poll(_POLL_MS):
                try:
                    return os.write(self._descriptor, data)
                except BlockingIOError:
                    pass  # another process has made it non-blocking
            elif is_given_up():
                raise KeyboardInterrupt

    def _begin(self) -> Callable[[float], list[tuple[int, int]]]:
        import select  # only after the first request was sent

        waiting = select.poll()
        waiting.register(self._descriptor, select.POLLOUT)
        self._poll = waiting.poll
        return waiting.poll


def hear_signals_in_stdout() -> None:
    """Replace standard output by an `InterruptibleOutput` if it is a pipe or a socket."""
    stdout = sys.stdout
    if not _has_reader(stdout) or not isinstance(stdout, io.TextIOWrapper):
        return
    buffer = io.BufferedWriter(InterruptibleOutput(stdout.fileno()))
    through = stdout.write_through  # PYTHONUNBUFFERED
    sys.stdout = io.TextIOWrapper(buffer, stdout.encoding, stdout.errors, write_through=through)


def wait_for_lost_reader() -> bool:
    """Block until nothing reads standard output any more. Returns ``False``, at once, where that
    cannot be noticed."""
    stdout = sys.stdout
    if not _has_reader(stdout):
        return False
    import select

    waiting = select.poll()
    waiting.register(stdout.fileno(), 0)  # an error is always reported
    return bool(waiting.poll())


def _has_reader(stdout: TextIO) -> bool:
    """Whether another process reads from it: it is a pipe or a socket."""
    try:
        kind = os.fstat(stdout.fileno()).st_mode
    except (OSError, ValueError):
        return False
    return os.name != "nt" and (stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind))


def abandon_stdout() -> None:
    """Discard pending output: it is not being read, and flushing it would block."""
    _abandoned.append(sys.stdout)
    with suppress(OSError):
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
