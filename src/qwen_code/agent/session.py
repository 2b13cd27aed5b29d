"""Conversations on disk: one file each, only ever appended to, private, without secrets.

A file is lines of JSON: first what it is about, then each message as it was made. What a crash tore
off at its end is dropped, and a tool call that was never answered is answered, so that every
session can be gone on with.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Self

import msgspec

from qwen_code.agent.progress import words_of
from qwen_code.base.clock import Clock
from qwen_code.base.errors import InputError, UsageError
from qwen_code.base.files import make_private_dir
from qwen_code.base.secret import redact

__all__ = ["Session", "SessionStore", "Summary", "as_markdown", "mended"]

_LIMIT_BYTES = 256 << 20
_MOST_TITLE_LENGTH = 80
_ENDED = "The session ended before this was done."
_ID = r"[0-9]{8}-[0-9]{6}-[0-9a-f]{8}"


class Summary(msgspec.Struct, frozen=True):
    """A session in a list. ``title`` is the beginning of its first prompt; times in seconds."""

    id: str
    title: str
    started_at: float
    changed_at: float
    count: int


class _Head(msgspec.Struct, frozen=True, tag="session", tag_field="type"):
    id: str
    cwd: str
    started_at: float


class _Line(msgspec.Struct, frozen=True, tag="message", tag_field="type"):
    at: float
    message: dict[str, Any]


class _Shortened(msgspec.Struct, frozen=True, tag="shortened", tag_field="type"):
    """From here on the conversation was these messages, and not all that came before."""

    at: float
    messages: list[dict[str, Any]]


_Record = _Head | _Line | _Shortened


class Session:
    """One conversation that is being held. Close it, or use it as a context manager.

    ``messages`` is what the model is sent. ``before`` is everything that was ever said in it, as
    far as it was on disk when it was opened. Nothing is written before the first message.
    """

    def __init__(
        self,
        path: Path,
        cwd: Path,
        clock: Clock,
        messages: Sequence[dict[str, Any]] = (),
        before: Sequence[dict[str, Any]] = (),
    ) -> None:
        self.id = path.stem
        self.messages = list(messages)
        self.before = before
        self._path = path
        self._cwd = cwd
        self._clock = clock
        self._file: IO[bytes] | None = None
        self._count = len(self.messages)

    def save(self) -> None:
        """Append the messages that came since the last time, each whole in one write.

        Raises:
            OSError: the disk is full; what was saved before stays.
            ConfigError: the directory cannot be made.
        """
        if self._count >= len(self.messages):
            return
        file = self._opened()
        for message in self.messages[self._count :]:
            _append(file, _Line(self._clock.now(), message))
            self._count += 1

    def save_shortened(self) -> None:
        """Say that ``messages`` is the whole conversation from here on.

        Raises:
            OSError, ConfigError: as for :meth:`save`.
        """
        _append(self._opened(), _Shortened(self._clock.now(), self.messages))
        self._count = len(self.messages)

    def claim(self) -> None:
        """Open the file now, and keep other processes from going on with the same session.

        Raises:
            UsageError: another process has it.
            OSError, ConfigError: as for :meth:`save`.
        """
        self._opened()

    def close(self) -> None:
        """Let go of the file. May be called again."""
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _opened(self) -> IO[bytes]:
        if self._file is None:
            make_private_dir(self._path.parent)
            is_new = not self._path.exists()
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            file = os.fdopen(os.open(self._path, flags, 0o600), "ab", buffering=0)
            _lock(file, self.id)
            self._file = file
            if is_new:
                _append(
                    file,
                    _Head(
                        self.id,
                        os.fsencode(self._cwd).decode("utf-8", "replace"),
                        self._clock.now(),
                    ),
                )
        return self._file


class SessionStore:
    """The sessions of one project, in a directory of their own."""

    def __init__(self, directory: Path, cwd: Path, clock: Clock) -> None:
        self._directory = directory
        self._cwd = cwd
        self._clock = clock

    def begin(self) -> Session:
        """A new session; its file comes with its first message."""
        import time  # not the injected clock: only a name comes of it

        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(self._clock.now()))
        path = self._directory / f"{stamp}-{os.urandom(4).hex()}.jsonl"
        return Session(path, self._cwd, self._clock)

    def resume(self, id_or_beginning: str | None = None) -> Session:
        """Go on with a session: the one named, or the latest.

        Raises:
            UsageError: there is none, the beginning fits several, or another process has it.
            InputError: its file cannot be read.
        """
        path = self._find(id_or_beginning)
        _drop_torn_end(path)
        before: list[dict[str, Any]] = []
        messages: list[dict[str, Any]] = []
        for record in _read(path):
            if isinstance(record, _Shortened):
                messages = [*record.messages]
            else:
                messages.append(record.message)
                before.append(record.message)
        session = Session(path, self._cwd, self._clock, mended(messages), before)
        session.claim()
        return session

    def summaries(self) -> list[Summary]:
        """All sessions, the latest first; what cannot be read is left out."""
        found = []
        for path in self._paths():
            with suppress(InputError, OSError):
                found.append(_summary(path))
        return sorted(found, key=lambda summary: summary.changed_at, reverse=True)

    def search(self, text: str) -> list[Summary]:
        """The sessions in which ``text`` occurs, in any case."""
        wanted = text.casefold()
        ids = {
            path.stem
            for path in self._paths()
            if any(wanted in words_of(message).casefold() for message in _said(path))
        }
        return [summary for summary in self.summaries() if summary.id in ids]

    def messages(self, id_or_beginning: str) -> list[dict[str, Any]]:
        """All that was said in a session, also what is no longer sent.

        Raises:
            UsageError, InputError: as for :meth:`resume`.
        """
        return mended(list(_said(self._find(id_or_beginning))))

    def delete(self, id_or_beginning: str) -> str:
        """Remove a session for good; returns its id.

        Raises:
            UsageError: there is none of that name.
        """
        path = self._find(id_or_beginning)
        path.unlink()
        return path.stem

    def _paths(self) -> list[Path]:
        return [path for path in self._directory.glob("*.jsonl") if re.fullmatch(_ID, path.stem)]

    def _find(self, beginning: str | None) -> Path:
        paths = sorted(self._paths(), key=lambda path: path.stat().st_mtime)
        if beginning is None:
            if not paths:
                raise UsageError("there is no session here to go on with", hint="Begin one: qwen")
            return paths[-1]
        fitting = [path for path in paths if path.stem.startswith(beginning)]
        if len(fitting) != 1:
            what = "no session" if not fitting else f"{len(fitting)} sessions"
            raise UsageError(
                f"{what} here begin{'s' if not fitting else ''} with {beginning!r}",
                hint="See them: qwen sessions",
            )
        return fitting[0]


def mended(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """``messages`` with an answer for every tool call, as the API wants it."""
    whole: list[dict[str, Any]] = []
    waiting: list[str] = []
    for message in messages:
        if message.get("role") == "tool":
            if message.get("tool_call_id") not in waiting:
                continue
            waiting.remove(str(message["tool_call_id"]))
        else:
            whole += _answers(waiting)
            waiting = [str(call["id"]) for call in message.get("tool_calls") or ()]
        whole.append(dict(message))
    return whole + _answers(waiting)


def as_markdown(messages: Sequence[Mapping[str, Any]]) -> str:
    """A conversation to read."""
    parts = []
    for message in messages:
        role = str(message.get("role"))
        text = words_of(message).strip()
        if role == "tool":
            parts.append(f"```\n{text}\n```")
        elif text:
            parts.append(f"## {role.capitalize()}\n\n{text}")
        for call in message.get("tool_calls") or ():
            function = call.get("function", {})
            parts.append(f"**{function.get('name')}** `{function.get('arguments')}`")
    return "\n\n".join(parts) + "\n"


def _answers(ids: Sequence[str]) -> list[dict[str, Any]]:
    return [{"role": "tool", "tool_call_id": each, "content": _ENDED} for each in ids]


def _lock(file: IO[bytes], session_id: str) -> None:
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
            f"another qwen is in the session {session_id}",
            hint="End that one, or begin a new session.",
        ) from error


def _append(file: IO[bytes], line: _Record) -> None:
    data = redact(msgspec.json.encode(line).decode()).encode() + b"\n"
    size = os.fstat(file.fileno()).st_size
    if file.write(data) != len(data):  # a disk that is almost full takes a part
        os.ftruncate(file.fileno(), size)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _said(path: Path) -> Iterator[dict[str, Any]]:
    return (record.message for record in _read(path) if isinstance(record, _Line))


def _read(path: Path) -> Iterator[_Line | _Shortened]:
    """Its messages; what cannot be understood is passed over, wherever it stands."""
    decode = msgspec.json.Decoder(_Record).decode
    try:
        if path.stat().st_size > _LIMIT_BYTES:
            raise InputError(f"{path} is too large to be read", hint="Begin a new session.")
        with path.open("rb") as file:
            for raw in file:
                try:
                    record = decode(raw)
                except (msgspec.DecodeError, UnicodeDecodeError):
                    continue
                if not isinstance(record, _Head):
                    yield record
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", hint=None) from error


def _drop_torn_end(path: Path) -> None:
    """Cut off a last line without its end, or the next message would be glued to it."""
    with suppress(OSError), path.open("r+b") as file:
        data = file.read()
        if data and not data.endswith(b"\n"):
            file.truncate(data.rfind(b"\n") + 1)


def _summary(path: Path) -> Summary:
    lines = [record for record in _read(path) if isinstance(record, _Line)]
    prompts = (line.message for line in lines if line.message.get("role") == "user")
    title = " ".join(words_of(next(prompts, {})).split())[:_MOST_TITLE_LENGTH]
    found = path.stat()
    started = lines[0].at if lines else found.st_mtime
    return Summary(path.stem, title or "(nothing)", started, found.st_mtime, len(lines))
