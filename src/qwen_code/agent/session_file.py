"""The file of a session: append-only JSON lines.

The first line describes the session, each other line is a message or a change of the conversation.
A line that cannot be decoded costs itself; if it was a message, it counts as one without content,
because later lines count messages. Nothing that was written is ever changed.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Annotated, Any

import msgspec

from qwen_code.base.errors import InputError, UsageError
from qwen_code.base.secret import redact
from qwen_code.models.purse import Spent

MAX_BYTES = 256 << 20
"""The largest conversation that is read."""

_MAX_LINE_BYTES = 64 << 20
_PADDING = b"\0 \t\r\n"
"""What may surround a record: a crash of the system leaves NULs where data was not written yet."""

_MARK = b"\xef\xbb\xbf"

_Count = Annotated[int, msgspec.Meta(ge=0)]


class Head(msgspec.Struct, frozen=True, tag="session", tag_field="type", omit_defaults=True):
    """The first line. ``channel`` is the kind of program that began it: ``SDK``, ``CI``, …"""

    id: str
    cwd: str
    started_at: float
    channel: str | None = None


class Line(msgspec.Struct, frozen=True, tag="message", tag_field="type"):
    """One message of the conversation."""

    at: float
    message: Any


class Shortened(msgspec.Struct, frozen=True, tag="shortened", tag_field="type"):
    """From here on these messages are sent to the model instead of all earlier ones."""

    at: float
    messages: list[Any]


class Rewound(msgspec.Struct, frozen=True, tag="rewound", tag_field="type"):
    """The user rewound the conversation: only the first ``remaining`` messages are in force.

    From here on ``messages`` are sent to the model.
    """

    at: float
    messages: list[Any]
    remaining: _Count


class Withdrawn(msgspec.Struct, frozen=True, tag="withdrawn", tag_field="type"):
    """The last ``count`` messages are not in force: a prompt without an answer."""

    at: float
    count: _Count


class Used(msgspec.Struct, frozen=True, tag="used", tag_field="type"):
    """What the requests of a turn cost."""

    at: float
    spent: Spent


Record = Head | Line | Shortened | Rewound | Withdrawn | Used


class Damaged(msgspec.Struct, frozen=True):
    """A line that cannot be decoded: it is damaged, or of a newer version."""

    is_message: bool


class Replayed(msgspec.Struct):
    """The content of a file. Damaged messages are ``None``.

    ``messages`` were last sent to the model. ``history`` are all messages in force, including those
    that a compaction has replaced. ``started_at`` is 0 if it is not known. ``spent`` is the sum of
    all turns, also of those that were taken back. ``damaged`` is the number of lines that could not
    be decoded. ``cwd`` is where the session began.
    """

    messages: list[Any] = msgspec.field(default_factory=list)
    history: list[Any] = msgspec.field(default_factory=list)
    started_at: float = 0.0
    spent: Spent = msgspec.field(default_factory=Spent)
    damaged: int = 0
    cwd: str = ""
    channel: str | None = None

    def take(self, record: Record | Damaged) -> None:
        """Apply the next record."""
        if isinstance(record, Damaged):
            self.damaged += 1
            if record.is_message:
                self.messages.append(None)
                self.history.append(None)
        elif isinstance(record, Head):
            self.cwd = self.cwd or record.cwd
            self.channel = self.channel or record.channel
            self.started_at = self.started_at or record.started_at
        elif isinstance(record, Line):
            self.started_at = self.started_at or record.at
            self.messages.append(record.message)
            self.history.append(record.message)
        elif isinstance(record, Shortened):
            self.messages = [*record.messages]
        elif isinstance(record, Rewound):
            self.messages = [*record.messages]
            del self.history[record.remaining :]
        elif isinstance(record, Used):
            self.spent.join(record.spent)
        elif isinstance(record, Withdrawn):
            for messages in (self.messages, self.history):
                del messages[max(0, len(messages) - record.count) :]


def replay(path: Path) -> Replayed:
    """Read a session.

    Raises:
        InputError: it is too large, or cannot be read.
    """
    replayed = Replayed()
    for record in _records(path):
        replayed.take(record)
    return replayed


def append(file: IO[bytes], record: Record) -> None:
    """Append a record atomically, with secrets redacted.

    Raises:
        OSError: the disk is full, or the file was deleted.
    """
    data = redact(msgspec.json.encode(record).decode()).encode() + b"\n"
    status = os.fstat(file.fileno())
    if status.st_nlink == 0:
        raise OSError(errno.ENOENT, "its file was deleted")
    size = status.st_size
    if file.write(data) != len(data):  # a disk that is almost full takes only a part
        os.ftruncate(file.fileno(), size)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def lock(file: IO[bytes], session_id: str) -> None:
    """Lock the session against other processes; closes the file on failure.

    Raises:
        UsageError: another process has it open.
    """
    try:
        import fcntl  # absent on Windows
    except ImportError:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise
        raise UsageError(
            f"the session {session_id} is open in another qwen process",
            hint="Quit that process, or start a new session: qwen",
        ) from error


def end_torn_line(file: IO[bytes], path: Path) -> None:
    """End a last line that was not written to its end, or the next record would become a part of
    it. ``file`` is the open file at ``path``."""
    with suppress(OSError), path.open("rb") as written:
        if written.seek(0, os.SEEK_END):
            written.seek(-1, os.SEEK_END)
            if written.read(1) != b"\n":
                file.write(b"\n")


def _records(path: Path) -> Iterator[Record | Damaged]:
    decode = msgspec.json.Decoder(Record).decode
    size = 0
    try:
        with path.open("rb") as file:
            for raw in _lines(file):
                size += len(raw)
                if size > MAX_BYTES:
                    raise InputError(
                        f"{path} is too large to be read", hint="Start a new session: qwen"
                    )
                try:
                    yield decode(raw)
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                    yield Damaged(_is_message(raw))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", hint=None) from error


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """The lines that are not empty. Of one that is too long, only the beginning."""
    while raw := file.readline(_MAX_LINE_BYTES):
        is_too_long = len(raw) == _MAX_LINE_BYTES and not raw.endswith(b"\n")
        if is_too_long:
            while (more := file.readline(_MAX_LINE_BYTES)) and not more.endswith(b"\n"):
                pass
            raw = raw[:_SHOWN_BYTES]
        if raw := raw.strip():
            yield raw.strip(_PADDING).removeprefix(_MARK)


_SHOWN_BYTES = 100


def _is_message(raw: bytes) -> bool:
    """Whether a line that cannot be decoded was a message, as most are."""
    kind = re.match(rb'\{"type": ?"([^"]*)"', raw)
    return kind is None or kind[1] == b"message"
