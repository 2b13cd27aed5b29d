"""Where the events of a conversation are written for another program: a file, a pipe, a descriptor.

They are written on a separate thread: a program that reads slowly, or not at all, delays nothing.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue

from qwen_code.base.errors import QwenError

_MAX_WAITING_BYTES = 1 << 20
"""As in Node Qwen Code."""
_MAX_CLOSING_S = 1.0
"""How long the end of the conversation waits for what is not written yet."""
_FIRST_OWN = 3
"""Lower descriptors are standard input, output and error."""


class EventFile:
    """Writes to a descriptor, which it then owns. ``tell`` gets a line where that ends early."""

    def __init__(self, descriptor: int, shown: str, tell: Callable[[str], None]) -> None:
        self._descriptor = descriptor
        self._shown = shown
        self._tell = tell
        self._queue: SimpleQueue[bytes | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._waiting_bytes = 0
        self._has_ended = False
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)
        self._thread.start()

    def write(self, data: bytes) -> int:
        """Write complete lines, later. Can be called from any thread."""
        with self._lock:
            is_too_much = self._waiting_bytes > _MAX_WAITING_BYTES
            if not self._has_ended and not is_too_much:
                self._waiting_bytes += len(data)
                self._queue.put(data)
        if is_too_much:
            self._end("its reader does not read")
        return len(data)

    def flush(self) -> None:
        """Nothing is buffered here."""

    def close(self) -> None:
        """Write what is left, unless nothing reads it."""
        self._queue.put(None)
        if not self._has_ended:
            self._thread.join(_MAX_CLOSING_S)

    def _run(self) -> None:
        try:
            while not self._has_ended and (data := self._queue.get()) is not None:
                self._write_all(data)
                with self._lock:
                    self._waiting_bytes -= len(data)
        except OSError as error:
            is_gone = error.errno == errno.EPIPE
            self._end("its reader has gone" if is_gone else error.strerror or str(error))
        with suppress(OSError):
            os.close(self._descriptor)

    def _write_all(self, data: bytes) -> None:
        left = memoryview(data)
        while left and not self._has_ended:
            try:
                left = left[os.write(self._descriptor, left) :]
            except BlockingIOError:  # the program that opened it has made it non-blocking
                waiting = select.poll()
                waiting.register(self._descriptor, select.POLLOUT)
                waiting.poll()

    def _end(self, why: str) -> None:
        with self._lock:
            has_ended, self._has_ended = self._has_ended, True
        if not has_ended:
            self._tell(f"no more events are written to {self._shown}: {why}")


def open_descriptor(number: int) -> int:
    """The descriptor that the starting program has opened for events.

    Raises:
        QwenError: it is reserved, not open, or cannot be written to.
    """
    if number < _FIRST_OWN:
        raise QwenError(
            f"descriptor {number} is standard input, output or error", hint="Use 3 or more."
        )
    import fcntl  # absent on Windows

    try:
        # Descriptors that this process opened are not inheritable (PEP 446).
        is_given = os.get_inheritable(number)
        mode = fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE if is_given else os.O_RDONLY
    except OSError:
        is_given = False
    if not is_given:
        raise QwenError(
            f"descriptor {number} is not open", hint=f"Open it: qwen … {number}>events.jsonl"
        )
    if mode == os.O_RDONLY:
        raise QwenError(f"descriptor {number} is not open for writing")
    os.set_inheritable(number, False)  # noqa: FBT003 no name
    _check_not_terminal(number)
    return number


def open_path(path: Path) -> int:
    """A descriptor that appends to a file, or writes to a pipe that may have no reader yet. A new
    file gets the mode 0600.

    Raises:
        QwenError: it cannot be written to, or belongs to another user, who would read everything.
    """
    flags = os.O_NONBLOCK | os.O_NOCTTY
    try:
        try:
            descriptor = os.open(path, flags | os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            descriptor = os.open(path, flags | os.O_RDWR)  # a pipe without a reader
    except OSError as error:
        raise QwenError(f"{path}: {error.strerror}") from error
    try:
        if os.geteuid() not in (0, os.fstat(descriptor).st_uid):
            raise QwenError(f"{path} belongs to another user")
        _check_not_terminal(descriptor)
    except QwenError:
        os.close(descriptor)
        raise
    os.set_blocking(descriptor, True)
    return descriptor


def is_named_file(descriptor: int) -> bool:
    """Whether it is a file or a pipe with a name, and no device."""
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISREG(mode) or stat.S_ISFIFO(mode)


def _check_not_terminal(descriptor: int) -> None:
    if os.isatty(descriptor):
        raise QwenError("it is a terminal, which shows the conversation")
