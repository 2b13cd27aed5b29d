"""The file through which another program takes part in a conversation, one command for each line::

    {"type": "submit", "text": "What does this function do?"}
    {"type": "confirmation_response", "request_id": "…", "allowed": true}

What is in the file at the start is not read. A program that writes to it steers the conversation,
so a file is only used if no other user can write to it.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from qwen_code.base.errors import QwenError
from qwen_code.base.json_text import decode_json

_POLL_S = 0.2
_CHUNK_BYTES = 256 << 10
_MAX_LINE_BYTES = 8 << 20
_COMPARED_BYTES = 4096
"""How much of what was read is compared, to notice that the file is another one by now."""


class Submit(msgspec.Struct, frozen=True, tag_field="type", tag="submit"):
    """A prompt."""

    text: str


class Confirmation(msgspec.Struct, frozen=True, tag_field="type", tag="confirmation_response"):
    """The answer to a request for permission."""

    request_id: str
    allowed: bool


Command = Submit | Confirmation


class CommandFile:
    """Reads the commands that are appended to a file. ``take`` gets each of them, and ``tell`` a
    line about each that cannot be used; both on a separate thread.

    A file that is not there is created. One that is cut or replaced is read from its beginning.

    Raises:
        QwenError: it cannot be read, or others can write to it.
    """

    def __init__(
        self, path: Path, take: Callable[[Command], None], tell: Callable[[str], None]
    ) -> None:
        self._path = path
        self._take = take
        self._tell = tell
        self._offset = 0
        self._before = b""
        """The end of what was read."""
        self._partial = b""
        """The beginning of a line."""
        self._is_skipping = False
        """Whether the rest of a line that is too long is skipped."""
        self._problem = ""
        self._closed = threading.Event()
        try:
            with suppress(FileExistsError):
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            descriptor = self._open()
        except OSError as error:
            raise QwenError(f"{path}: {error.strerror}") from error
        try:
            self._offset = os.fstat(descriptor).st_size
            begin = max(0, self._offset - _COMPARED_BYTES)
            self._before = os.pread(descriptor, self._offset - begin, begin)
        finally:
            os.close(descriptor)

    def start(self) -> None:
        """Begin to read."""
        threading.Thread(target=self._run, name="commands", daemon=True).start()

    def close(self) -> None:
        """Read no more."""
        self._closed.set()

    def look(self) -> None:
        """Take the commands that were written since the last call."""
        try:
            descriptor = self._open()
        except FileNotFoundError:
            return
        except (OSError, QwenError) as error:
            text = error.message if isinstance(error, QwenError) else f"{error.strerror}"
            if text != self._problem:
                self._problem = text
                self._tell(f"no commands are read from {self._path}: {text}")
            return
        self._problem = ""
        try:
            self._begin_again_if_other(descriptor)
            while not self._closed.is_set() and (
                data := os.pread(descriptor, _CHUNK_BYTES, self._offset)
            ):
                self._offset += len(data)
                self._before = (self._before + data)[-_COMPARED_BYTES:]
                self._take_data(data)
        finally:
            os.close(descriptor)

    def _run(self) -> None:
        while not self._closed.wait(_POLL_S):
            with suppress(OSError):  # the next look may find another file
                self.look()

    def _open(self) -> int:
        """
        Raises:
            OSError: it cannot be opened.
            QwenError: it must not be used.
        """
        descriptor = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        if reason := _reason_against(os.fstat(descriptor)):
            os.close(descriptor)
            raise QwenError(f"{self._path}: {reason}")
        return descriptor

    def _begin_again_if_other(self, descriptor: int) -> None:
        begin = self._offset - len(self._before)
        if os.pread(descriptor, len(self._before), begin) != self._before:
            self._offset, self._before = 0, b""
            self._partial, self._is_skipping = b"", False

    def _take_data(self, data: bytes) -> None:
        first, *rest = data.split(b"\n")
        lines = [self._partial + first, *rest]
        self._partial = lines.pop()
        for line in lines:
            if not self._is_skipping:
                self._take_line(line)
            self._is_skipping = False
        if self._is_skipping or len(self._partial) > _MAX_LINE_BYTES:
            if not self._is_skipping:
                self._tell_of_line(f"is longer than {_MAX_LINE_BYTES >> 20} MiB")
            self._partial, self._is_skipping = b"", True

    def _take_line(self, line: bytes) -> None:
        if not line.strip():
            return
        try:
            command: Command = decode_json(line, Command)  # type: ignore[call-overload]
        except msgspec.DecodeError as error:
            self._tell_of_line(f"is not a command: {error}")
            return
        if isinstance(command, Submit) and not command.text.strip():
            self._tell_of_line("is not a command: its text is empty")
            return
        self._take(command)

    def _tell_of_line(self, what: str) -> None:
        self._tell(f"a line of {self._path} {what}")


def _reason_against(found: os.stat_result) -> str:
    """Why a file must not be used; empty if it can be."""
    if not stat.S_ISREG(found.st_mode):
        return "it is not a regular file"
    if found.st_uid not in (0, os.geteuid()):
        return "it belongs to another user"
    is_shared = found.st_mode & stat.S_IWGRP and not _is_private_group(found.st_gid)
    if found.st_mode & stat.S_IWOTH or is_shared:
        return "other users can write to it (chmod 600)"
    return ""


def _is_private_group(number: int) -> bool:
    """Whether it is the group that many systems make for each user, under the user's own name."""
    import grp
    import pwd

    try:
        group, user = grp.getgrgid(number), pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}
