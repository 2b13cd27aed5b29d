"""Lists of sessions, and a search in the text of all of them.

There is no index: the files of a thousand sessions are searched in about a second, and an index
would have to be kept as private, as masked and as whole as they are.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from qwen_code.agent.news import as_typed
from qwen_code.agent.progress import words_of
from qwen_code.agent.session_file import MAX_BYTES, Replayed, replay
from qwen_code.base.errors import InputError, UsageError
from qwen_code.base.secret import redact

if TYPE_CHECKING:
    from qwen_code.agent.node_chats import Chat

_MAX_TITLE_LENGTH = 80
_EXCERPT_LENGTH = 80
"""Characters on each side of what was found."""

_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_OLD_ID = r"[0-9]{8}-[0-9]{6}-[0-9a-f]{8}"
"""The format of ids before they were UUIDs."""

_is_id = re.compile(f"{_UUID}|{_OLD_ID}").fullmatch
_DIRECTORY = "sessions"


class Summary(msgspec.Struct, frozen=True):
    """A session in a list. ``title`` is the beginning of its first prompt, ``project`` the
    directory in which it began; times are in seconds since the epoch. ``program`` is whose it is:
    Node Qwen Code's are ``node``, with the title that they have there, and without a ``count``."""

    id: str
    title: str
    started_at: float
    changed_at: float
    count: int | None
    project: str = ""
    program: Literal["qwen", "node"] = "qwen"

    @property
    def label(self) -> str:
        """The title, and whose it is if it is another program's."""
        return self.title if self.program == "qwen" else f"{self.title} (Node Qwen Code)"


class Match(msgspec.Struct, frozen=True):
    """A session that a search has found, and where: ``excerpt`` is one line."""

    session: Summary
    excerpt: str


def session_files(directory: Path) -> list[Path]:
    """The files of the sessions of one project, the latest first."""
    return _latest_first(directory.glob("*.jsonl"))


def files_of_all(projects: Path) -> list[Path]:
    """The files of the sessions of all projects, the latest first."""
    return _latest_first(projects.glob(f"*/{_DIRECTORY}/*.jsonl"))


def summaries_of(files: Sequence[Path]) -> list[Summary]:
    """The summaries of these files; unreadable ones are skipped."""
    return [_summary(path, replayed) for path, replayed in _replayed(files)]


def with_chats(
    summaries: Sequence[Summary], projects: Path, root: Path | None = None
) -> list[Summary]:
    """These, and the sessions of Node Qwen Code (of all projects, or of ``root``), the latest
    first."""
    from qwen_code.agent.node_chats import chat_files, chats  # few runs list sessions

    found = [*summaries, *map(_of_chat, chats(chat_files(projects, root), root))]
    return sorted(found, key=lambda each: each.changed_at, reverse=True)


def search(files: Iterable[Path], words: Sequence[str]) -> Iterator[Match]:
    """The sessions that contain all ``words``, ignoring case, in the order of the files. Each word
    can have blanks in it. Unreadable files are skipped; secrets are masked."""
    wanted = [word.casefold() for word in words]
    for path in files:
        if not _may_contain(path, words):
            continue
        try:
            history, summary = _opened(path)
        except InputError:
            continue
        if (excerpt := _found_in(history, wanted)) is not None:
            yield Match(summary(), excerpt)


def with_chat_files(files: Sequence[Path], projects: Path) -> list[Path]:
    """These, and the files of all sessions of Node Qwen Code, the latest first."""
    from qwen_code.agent.node_chats import chat_files  # few runs search

    return _latest_first(iter([*files, *chat_files(projects)]))


def _opened(path: Path) -> tuple[Sequence[Any], Callable[[], Summary]]:
    """What was said in a session of either program, and what makes its summary."""
    if path.parent.name == _DIRECTORY:
        replayed = replay(path)
        return replayed.history, lambda: _summary(path, replayed)
    from qwen_code.agent.node_chats import chat_at, read_chat  # few runs search

    read = read_chat(path)
    return read.converted.history, lambda: _of_chat(chat_at(path))


def _found_in(history: Sequence[Any], wanted: Sequence[str]) -> str | None:
    """Where the messages contain all that is wanted; ``None`` if they do not."""
    texts = [redact(words_of(each)) for each in history if isinstance(each, dict)]
    folded = [text.casefold() for text in texts]
    if not all(any(word in text for text in folded) for word in wanted):
        return None
    best = max(range(len(texts)), key=lambda n: sum(word in folded[n] for word in wanted))
    return _excerpt(texts[best], wanted)


def find_elsewhere(directory: Path, beginning: str) -> UsageError | None:
    """What to say of a session that is not among those in ``directory``, but is another project's;
    ``None`` if it is not."""
    if not beginning:
        return None
    projects = directory.parent.parent
    fitting = [p for p in files_of_all(projects) if p.stem.startswith(beginning)]
    if len(fitting) == 1:
        summaries = summaries_of(fitting)
    elif not fitting:
        from qwen_code.agent.node_chats import chat_files, chats  # few runs come here

        fitting = [p for p in chat_files(projects) if p.stem.lower().startswith(beginning)]
        summaries = [_of_chat(chat) for chat in chats(fitting)]
    if len(fitting) != 1:
        return None
    (path,) = fitting
    project = Path(summaries[0].project) if summaries and summaries[0].project else None
    if project is None or not project.is_dir():
        where = f"{project}, which does not exist any more" if project else path.parent
        return UsageError(
            f"the session {path.stem} belongs to another project: {where}",
            hint=f"Read it: {path}",
        )
    return UsageError(
        f"the session {path.stem} belongs to another project: {project}",
        hint=f"Go there: cd {shlex.quote(str(project))} && qwen --resume {path.stem}",
    )


def _latest_first(paths: Iterator[Path]) -> list[Path]:
    found = []
    for path in paths:
        try:
            if _is_id(path.stem):
                found.append((path.stat().st_mtime, path))
        except OSError:  # deleted in the meantime
            continue
    return [path for _, path in sorted(found, reverse=True)]


def _replayed(files: Iterable[Path]) -> Iterator[tuple[Path, Replayed]]:
    for path in files:
        try:
            yield path, replay(path)
        except InputError:
            continue


def _may_contain(path: Path, words: Sequence[str]) -> bool:
    """Whether it is worth decoding a file: that takes ten times as long as reading it."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES)
    except OSError:
        return False
    if b"\\u" in data:  # another program has written characters so
        return True
    lower = data.lower()
    text = "" if all(map(str.isascii, words)) else data.decode("utf-8", "replace").casefold()
    return all(
        _as_json(word).lower() in lower
        if word.isascii()
        else _as_json(word).decode().casefold() in text
        for word in words
    )


def _as_json(word: str) -> bytes:
    return msgspec.json.encode(word)[1:-1]


def _summary(path: Path, replayed: Replayed) -> Summary:
    messages = _repaired(replayed.history)
    prompts = (words_of(message) for message in messages if message["role"] == "user")
    title = " ".join(as_typed(next(prompts, "")).split())[:_MAX_TITLE_LENGTH]
    changed_at = path.stat().st_mtime
    return Summary(
        path.stem,
        title or "(nothing)",
        replayed.started_at or changed_at,
        changed_at,
        len(messages),
        replayed.cwd,
    )


def _of_chat(chat: Chat) -> Summary:
    title = " ".join(redact(chat.title).split())[:_MAX_TITLE_LENGTH]
    times = (chat.started_at, chat.changed_at)
    return Summary(chat.id, title or "(nothing)", *times, None, chat.project, "node")


def _repaired(messages: Sequence[Any]) -> list[dict[str, Any]]:
    from qwen_code.agent.transcript import repaired  # not needed for a new session

    return repaired(messages)


def _excerpt(text: str, wanted: Sequence[str]) -> str:
    """What surrounds the rarest of the words in ``text``, on one line."""
    folded = text.casefold()
    word = min((each for each in wanted if each in folded), key=folded.count, default="")
    at = folded.find(word)
    start, end = max(0, at - _EXCERPT_LENGTH), at + len(word) + _EXCERPT_LENGTH
    line = " ".join(text[start:end].split())
    return f"{'…' * (start > 0)}{line}{'…' * (end < len(text))}"
