"""The file of a session: append-only JSON lines.

The first line describes the session, each other line is a message or a change of the conversation.
A line that cannot be decoded counts as a message without content, so that only it is lost.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Annotated, Any

import msgspec

from qwen_code.base.errors import InputError, UsageError
from qwen_code.base.secret import redact
from qwen_code.models.purse import Spent

MAX_BYTES = 256 << 20

_Count = Annotated[int, msgspec.Meta(ge=0)]


class Head(msgspec.Struct, frozen=True, tag="session", tag_field="type"):
    """The first line."""

    id: str
    cwd: str
    started_at: float


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


class Replayed(msgspec.Struct):
    """The content of a file, including damaged lines.

    ``messages`` were last sent to the model. ``history`` are all messages in force, including those
    that a compaction has replaced. ``started_at`` is 0 if it is not known. ``spent`` is the sum of
    all turns, also of those that were taken back.
    """

    messages: list[Any] = msgspec.field(default_factory=list)
    history: list[Any] = msgspec.field(default_factory=list)
    started_at: float = 0.0
    spent: Spent = msgspec.field(default_factory=Spent)

    def take(self, record: Record) -> None:
        """Apply the next record."""
        if isinstance(record, Line):
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


def drop_torn_end(path: Path) -> None:
    """Remove an incomplete last line, or the next record would be appended to it."""
    with suppress(OSError), path.open("r+b") as file:
        data = file.read()
        if data and not data.endswith(b"\n"):
            file.truncate(data.rfind(b"\n") + 1)


def _records(path: Path) -> Iterator[Record]:
    decode = msgspec.json.Decoder(Record).decode
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path} is too large to be read", hint="Start a new session: qwen")
        with path.open("rb") as file:
            for raw in file:
                try:
                    yield decode(raw)
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                    if raw.strip():
                        yield Line(0.0, None)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", hint=None) from error
