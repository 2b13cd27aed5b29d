"""Conversations on disk: one file each, only ever appended to, private, without secrets.

A file is lines of JSON: first what it is about, then each message as it was made. What a crash tore
off at its end is dropped, and a tool call that was never answered is answered, so that every
session can be gone on with.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Self

import msgspec

from qwen_code.base.clock import Clock
from qwen_code.base.errors import InputError, UsageError
from qwen_code.base.files import make_private_dir
from qwen_code.base.secret import redact

__all__ = ["Session", "SessionStore", "Summary", "as_markdown", "mended"]

_LIMIT_BYTES = 256 << 20
_MOST_TITLE_LENGTH = 80
_ENDED = "The session ended before this was done."
_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{8}")


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


class Session:
    """One conversation that is being held. Close it, or use it as a context manager."""

    def __init__(self, path: Path, messages: list[dict[str, Any]], clock: Clock) -> None:
        self.id = path.stem
        self.messages = messages
        self._clock = clock
        self._file: IO[bytes] = os.fdopen(
            os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab", buffering=0
        )
        self._count = len(messages)

    def save(self) -> None:
        """Append the messages that came since the last time, each whole in one write.

        Raises:
            OSError: the disk is full; what was saved before stays.
        """
        for message in self.messages[self._count :]:
            _append(self._file, _Line(self._clock.now(), message))
            self._count += 1

    def close(self) -> None:
        """Let go of the file. May be called again."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class SessionStore:
    """The sessions of one project, in a directory of their own."""

    def __init__(self, directory: Path, cwd: Path, clock: Clock) -> None:
        self._directory = directory
        self._cwd = cwd
        self._clock = clock

    def begin(self) -> Session:
        """A new session.

        Raises:
            ConfigError: the directory cannot be made.
        """
        import time  # not the injected clock: only a name comes of it

        make_private_dir(self._directory)
        now = self._clock.now()
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
        path = self._directory / f"{stamp}-{os.urandom(4).hex()}.jsonl"
        session = Session(path, [], self._clock)
        _append(session._file, _Head(session.id, str(self._cwd), now))
        return session

    def resume(self, id_or_beginning: str | None = None) -> Session:
        """Go on with a session: the one named, or the latest.

        Raises:
            UsageError: there is none, or the beginning fits several.
            InputError: its file cannot be read.
        """
        path = self._find(id_or_beginning)
        _drop_torn_end(path)
        return Session(path, mended([line.message for line in _read(path)]), self._clock)

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
            if any(wanted in _words(line.message).casefold() for line in _read(path))
        }
        return [summary for summary in self.summaries() if summary.id in ids]

    def messages(self, id_or_beginning: str) -> list[dict[str, Any]]:
        """What was said in a session.

        Raises:
            UsageError, InputError: as for :meth:`resume`.
        """
        return mended([line.message for line in _read(self._find(id_or_beginning))])

    def delete(self, id_or_beginning: str) -> str:
        """Remove a session for good; returns its id.

        Raises:
            UsageError: there is none of that name.
        """
        path = self._find(id_or_beginning)
        path.unlink()
        return path.stem

    def _paths(self) -> list[Path]:
        return [path for path in self._directory.glob("*.jsonl") if _ID.fullmatch(path.stem)]

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
        text = _words(message).strip()
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


def _append(file: IO[bytes], line: _Head | _Line) -> None:
    text = redact(msgspec.json.encode(line).decode())
    file.write(text.encode() + b"\n")


def _read(path: Path) -> Iterator[_Line]:
    """Its messages; what cannot be understood is passed over, wherever it stands."""
    decode = msgspec.json.Decoder(_Head | _Line).decode
    try:
        if path.stat().st_size > _LIMIT_BYTES:
            raise InputError(f"{path} is too large to be read", hint="Begin a new session.")
        with path.open("rb") as file:
            for raw in file:
                try:
                    line = decode(raw)
                except (msgspec.DecodeError, UnicodeDecodeError):
                    continue
                if isinstance(line, _Line):
                    yield line
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", hint=None) from error


def _drop_torn_end(path: Path) -> None:
    """Cut off a last line without its end, or the next message would be glued to it."""
    with suppress(OSError), path.open("r+b") as file:
        data = file.read()
        if data and not data.endswith(b"\n"):
            file.truncate(data.rfind(b"\n") + 1)


def _summary(path: Path) -> Summary:
    lines = list(_read(path))
    prompts = (line.message for line in lines if line.message.get("role") == "user")
    title = " ".join(_words(next(prompts, {})).split())[:_MOST_TITLE_LENGTH] or "(nothing was said)"
    found = path.stat()
    started = lines[0].at if lines else found.st_mtime
    return Summary(path.stem, title, started, found.st_mtime, len(lines))


def _words(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(str(p.get("text", "")) for p in content if isinstance(p, dict))
    return content if isinstance(content, str) else ""
