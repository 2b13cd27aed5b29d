"""Standard output whose reader may stop reading: a process that waits for it can still be ended."""

from __future__ import annotations

import io
import os
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from qwen_code.fronts.signals import is_given_up

_POLL_MS = 50
_CHUNK_BYTES = 4096
"""A pipe that can be written to takes this much at once (POSIX: ``PIPE_BUF``)."""


_abandoned: list[object] = []
"""Streams that must not be collected: that would write what is left in them."""


class InterruptibleOutput(io.RawIOBase):
    """A descriptor to write to. Waiting for room in it ends where `is_given_up`.

    Raises:
        KeyboardInterrupt: there was no room, and the process is to end.
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
                    pass  # others have made it one that does not wait
            elif is_given_up():
                raise KeyboardInterrupt

    def _begin(self) -> Callable[[float], list[tuple[int, int]]]:
        import select  # not before the first request is on its way

        waiting = select.poll()
        waiting.register(self._descriptor, select.POLLOUT)
        self._poll = waiting.poll
        return waiting.poll


def hear_signals_in_stdout() -> None:
    """Let standard output be an `InterruptibleOutput`, where it is a pipe or a socket."""
    stdout = sys.stdout
    try:
        kind = os.fstat(stdout.fileno()).st_mode
    except (OSError, ValueError):
        return
    may_fill = stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind)
    if os.name == "nt" or not may_fill or not isinstance(stdout, io.TextIOWrapper):
        return
    buffer = io.BufferedWriter(InterruptibleOutput(stdout.fileno()))
    through = stdout.write_through  # PYTHONUNBUFFERED
    sys.stdout = io.TextIOWrapper(buffer, stdout.encoding, stdout.errors, write_through=through)


def abandon_stdout() -> None:
    """Discard pending output: it is not being read, and flushing it would block."""
    _abandoned.append(sys.stdout)
    with suppress(OSError):
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
