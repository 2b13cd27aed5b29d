"""The sessions of Node Qwen Code on disk: listed and read, never written, locked or deleted.

They are below ``QWEN_HOME/projects``, in a directory whose name is that of the project with a
hyphen for everything but letters and digits, in ``chats/UUID.jsonl``. Two projects can have the
same directory, so a session's first record says whose it is.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import msgspec

from qwen_code.agent.node_sessions import Converted, Record, convert, prompt_of, title_of
from qwen_code.agent.session_file import MAX_BYTES
from qwen_code.base.errors import InputError, UsageError
from qwen_code.base.json_text import decode_json
from qwen_code.config.paths import node_directory_name

_is_id = re.compile("[0-9a-fA-F-]{32,36}").fullmatch
_END_BYTES = 64 << 10
"""How much of a file's end is searched for its latest title."""

_MAX_BEGINNING_BYTES = 16 << 20
"""How much of a file is searched for its first prompt, which is mostly in the first lines."""

_NEXT = re.compile(rb"\}\s*\{")


class Chat(msgspec.Struct, frozen=True):
    """A session in a list; times are in seconds since the epoch."""

    path: Path
    title: str
    started_at: float
    changed_at: float
    project: str

    @property
    def id(self) -> str:
        return self.path.stem


class Read(msgspec.Struct, frozen=True):
    """A session that was read; ``damaged`` is the number of lines that could not be decoded."""

    converted: Converted
    damaged: int


def chat_files(projects: Path, root: Path | None = None) -> list[Path]:
    """The files of all sessions, or of those that may have begun in ``root`` or below, the latest
    first."""
    name = "*" if root is None else f"{node_directory_name(root)}*"
    found = []
    for path in projects.glob(f"{name}/chats/*.jsonl"):
        try:
            status = path.stat()
        except OSError:  # deleted in the meantime
            continue
        if _is_id(path.stem) and stat.S_ISREG(status.st_mode):
            found.append((status.st_mtime, path))
    return [path for _, path in sorted(found, reverse=True)]


def chats(files: Sequence[Path], root: Path | None = None) -> Iterator[Chat]:
    """What these files are, without reading the whole of them: only those with a prompt, and only
    those that began in ``root`` or below."""
    real_root = None if root is None else os.path.realpath(root)
    for path in files:
        try:
            chat = chat_at(path)
        except OSError:
            continue
        is_here = real_root is None or (chat.project and _is_below(chat.project, real_root))
        if chat.title and is_here:
            yield chat


def find_chat(
    projects: Path, root: Path, beginning: str | None = None, *, since: float = 0.0
) -> Path | None:
    """The session of the project whose id begins so; without a beginning, the latest, if it has
    changed after ``since``.

    Raises:
        UsageError: several ids begin so.
    """
    files = chat_files(projects, root)
    if beginning is None:
        latest = next(chats(files, root), None)
        return latest.path if latest is not None and latest.changed_at > since else None
    fitting = [path for path in files if path.stem.lower().startswith(beginning)]
    found = list(chats(fitting, root))
    if len(found) > 1:
        raise UsageError(
            f"{len(found)} sessions here begin with {beginning!r}",
            hint="See them: qwen sessions",
        )
    return found[0].path if found else None


def read_chat(path: Path) -> Read:
    """Read the whole of a session.

    Raises:
        InputError: it is too large, or cannot be read.
    """
    records: list[Record] = []
    damaged = 0
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size > MAX_BYTES:
                raise InputError(
                    f"{path} is too large to be read", hint="Start a new session: qwen"
                )
            for line in file:
                found, is_whole = _decoded(line)
                records += found
                damaged += not is_whole
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", hint=None) from error
    return Read(convert(records), damaged)


def chat_at(path: Path) -> Chat:
    """What a file is, by its first records and the latest title; a title is empty if none is found.

    Raises:
        OSError: it cannot be read.
    """
    project, prompt, started_at = "", "", 0.0
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        for record in _first_records(file):
            project = project or str(record.get("cwd") or "")
            started_at = started_at or _seconds(record.get("timestamp"))
            prompt = prompt_of(record)
            if prompt and project:
                break
        file.seek(max(0, status.st_size - _END_BYTES))
        last = file.read(_END_BYTES).split(b"\n")
    title = next((found for line in reversed(last) if (found := _title(line))), "")
    times = (started_at or status.st_mtime, status.st_mtime)
    return Chat(path, title or prompt, *times, project)


def _first_records(file: IO[bytes]) -> Iterator[Record]:
    """The records of the beginning. A prompt with the files that it names can be long."""
    size = 0
    while size < _MAX_BEGINNING_BYTES and (line := file.readline(_MAX_BEGINNING_BYTES)):
        size += len(line)
        yield from _decoded(line)[0]


def _title(line: bytes) -> str:
    if b'"custom_title"' not in line:
        return ""
    return next((title for record in _decoded(line)[0] if (title := title_of(record))), "")


def _decoded(line: bytes) -> tuple[list[Record], bool]:
    """The records of a line, and whether nothing of it was lost. Two that a crash has glued
    together are two."""
    line = line.strip(b"\0 \t\r\n").removeprefix(b"\xef\xbb\xbf")
    if not line:
        return [], True
    if (record := _record(line)) is not None:
        return [record], True
    starts = [0, *(match.end() - 1 for match in _NEXT.finditer(line)), len(line)]
    pieces = [line[a:b].strip() for a, b in pairwise(starts)]
    records: list[Record] = [each for piece in pieces if (each := _record(piece)) is not None]
    return records, len(records) == len(pieces)


def _record(data: bytes) -> dict[str, Any] | None:
    try:
        record = decode_json(data)
    except msgspec.DecodeError:
        return None
    return record if isinstance(record, dict) else None


def _is_below(project: str, root: str) -> bool:
    real = os.path.realpath(project)
    return real == root or real.startswith(root.rstrip("/") + "/")


def _seconds(timestamp: object) -> float:
    try:
        return datetime.fromisoformat(str(timestamp)).timestamp()
    except ValueError:
        return 0.0
