"""Conversations on disk: one file each, private, append-only, with secrets redacted.

A session can be resumed even if its file is damaged: a damaged line costs itself, a tool call
without a result gets one, and the file stays as it is.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

from qwen_code.agent.progress import is_prompt, words_of
from qwen_code.agent.session_file import (
    Head,
    Line,
    Rewound,
    Shortened,
    Used,
    Withdrawn,
    append,
    end_torn_line,
    lock,
    replay,
)
from qwen_code.base.clock import Clock
from qwen_code.base.errors import InputError, UsageError
from qwen_code.base.files import make_private_dir
from qwen_code.base.ids import new_uuid
from qwen_code.models.purse import Spent

if TYPE_CHECKING:
    from qwen_code.agent.node_chats import Read
    from qwen_code.agent.session_list import Summary


class Session:
    """One conversation. Close it, or use it as a context manager.

    ``messages`` is what is sent to the model; the agent appends to this list. Nothing is written
    before the first message, and nothing at all unless ``is_recorded``.
    """

    def __init__(
        self,
        path: Path,
        cwd: Path,
        clock: Clock,
        channel: str | None = None,
        *,
        is_recorded: bool = True,
    ) -> None:
        self.id = path.stem
        self.channel = channel
        """The kind of program that began it, if it said so."""
        self.messages: list[dict[str, Any]] = []
        self.spent = Spent()
        self.left_out = 0
        """How many lines of the file could not be used."""
        self.copied_from: Path | None = None
        """The file of another program that it goes on from."""
        self.is_recorded = is_recorded
        self._path = path
        self._cwd = cwd
        self._clock = clock
        self._file: IO[bytes] | None = None
        self._saved: list[dict[str, Any]] = []
        """``messages`` as they are on disk."""
        self._history: list[Any] = []
        """All messages in force as they are on disk, damaged ones included."""
        self._starts: list[int] = []
        """The indexes of the prompts in ``_history``, so that they need not be searched."""

    @property
    def before(self) -> list[dict[str, Any]]:
        """All messages in force, including those that are no longer sent to the model.

        After :meth:`rewind` these are the remaining ones.
        """
        return _repaired(self._in_force())

    def prompts(self) -> list[str]:
        """The prompts that a person wrote and that are still in force, oldest first."""
        return [words_of(message) for message in self._in_force() if is_prompt(message)]

    @property
    def prompt_count(self) -> int:
        """How many prompts are in force: the index of the next one, before it is appended."""
        if self._unchanged() < len(self._saved):
            return len(self.prompts())
        return len(self._starts) + sum(map(is_prompt, self.messages[len(self._saved) :]))

    def save(self) -> None:
        """Append the messages since the last save, each in one write.

        Saved messages that are no longer at the end of ``messages`` are marked as withdrawn. If its
        beginning was replaced, this does what :meth:`save_shortened` does.

        Raises:
            OSError: the disk is full; earlier messages stay saved.
            ConfigError: the directory cannot be created.
        """
        if self._is_replaced():
            self.save_shortened()
            return
        withdrawn = len(self._saved) - self._unchanged()
        if withdrawn > 0:
            append(self._opened(), Withdrawn(self._clock.now(), withdrawn))
            self._cut_history(max(0, len(self._history) - withdrawn))
            del self._saved[-withdrawn:]
        for message in self.messages[len(self._saved) :]:
            append(self._opened(), Line(self._clock.now(), message))
            self._saved.append(message)
            self._add_history([message])

    def save_shortened(self) -> None:
        """Save that ``messages`` replaces everything that was sent to the model so far.

        New messages must be saved before they are replaced.

        Raises:
            OSError, ConfigError: as for :meth:`save`.
        """
        append(self._opened(), Shortened(self._clock.now(), self.messages))
        self._saved = [*self.messages]

    def note_spent(self, spent: Spent) -> None:
        """Save what requests of this session cost.

        Raises:
            OSError: the disk is full.
        """
        self.spent.join(spent)
        if self._file is not None:
            append(self._file, Used(self._clock.now(), spent))

    def rewind(self, turn: int) -> str:
        """Rewind the conversation to before prompt number ``turn``, counted from 0.

        Changes ``messages`` in place. If the conversation was shortened after that prompt, the full
        messages of that time are restored. The file keeps the messages that are taken back.

        Returns:
            The text of the prompt.

        Raises:
            UsageError: there is no such prompt.
            OSError, ConfigError: as for :meth:`save`; then the conversation is unchanged.
        """
        self.save()
        if not 0 <= turn < len(self._starts):
            raise UsageError(
                f"there is no prompt number {turn + 1}: this conversation has {len(self._starts)}"
            )
        start = self._starts[turn]
        prompt = words_of(self._history[start])
        messages = self._sent_before(turn)
        if messages is None:
            messages = _repaired(self._history[:start])
        append(self._opened(), Rewound(self._clock.now(), messages, start))
        self.messages[:] = messages
        self._saved = [*messages]
        self._cut_history(start)
        return prompt

    def _sent_before(self, turn: int) -> list[dict[str, Any]] | None:
        """The messages that were sent before a prompt; ``None`` if they have been shortened."""
        texts = self.prompts()[turn:]
        sent = [index for index, message in enumerate(self.messages) if is_prompt(message)]
        sent = sent[-len(texts) :]
        if [words_of(self.messages[index]) for index in sent] != texts:
            return None
        return self.messages[: sent[0]]

    def claim(self) -> None:
        """Open the file now, and keep other processes from resuming the same session.

        Raises:
            UsageError: another process has it.
            OSError, ConfigError: as for :meth:`save`.
        """
        self._opened()

    def close(self) -> None:
        """Release the file. Can be called again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    @property
    def path(self) -> Path:
        """Its file."""
        return self._path

    @property
    def is_claimed(self) -> bool:
        """Whether this process holds the file."""
        return self._file is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _load(self) -> None:
        """Claim the file and load its messages."""
        self.claim()
        end_torn_line(self._opened(), self._path)
        replayed = replay(self._path)
        lost = [each for each in replayed.history if each is not None and not _is_usable(each)]
        self.left_out = replayed.damaged + len(lost)
        self._add_history(replayed.history)
        self.messages = _repaired(replayed.messages)
        self._saved = [*self.messages]
        self.spent = replayed.spent
        self.channel = replayed.channel

    def _begin_with(self, history: Sequence[Any], messages: Sequence[Any], damaged: int) -> None:
        """Begin as a copy of another session, whose file stays as it is. What that has cost is not
        this one's."""
        lost = [each for each in history if each is not None and not _is_usable(each)]
        self.left_out = damaged + len(lost)
        self.messages = _repaired(history)
        self.save()
        if messages != history:
            self.messages[:] = _repaired(messages)
            self.save_shortened()

    def _add_history(self, messages: Sequence[Any]) -> None:
        first = len(self._history)
        self._history += messages
        self._starts += [first + i for i, message in enumerate(messages) if is_prompt(message)]

    def _cut_history(self, length: int) -> None:
        del self._history[length:]
        while self._starts and self._starts[-1] >= length:
            self._starts.pop()

    def _in_force(self) -> list[Any]:
        if self._is_replaced():
            return self._history
        unchanged = self._unchanged()
        withdrawn = len(self._saved) - unchanged
        history = self._history[: max(0, len(self._history) - withdrawn)]
        return [*history, *self.messages[unchanged:]]

    def _is_replaced(self) -> bool:
        """Whether ``messages`` was shortened, but a stop came before that was saved."""
        return bool(self.messages and self._saved) and self._unchanged() == 0

    def _unchanged(self) -> int:
        """How many messages at the beginning are already saved."""
        shorter = min(len(self.messages), len(self._saved))
        if shorter == 0 or self.messages[shorter - 1] is self._saved[shorter - 1]:
            return shorter
        pairs = zip(self.messages, self._saved, strict=False)
        return next(i for i, (message, saved) in enumerate(pairs) if message is not saved)

    def _opened(self) -> IO[bytes]:
        if self._file is None and not self.is_recorded:
            self._file = Path(os.devnull).open("ab", buffering=0)  # noqa: SIM115 see close()
        if self._file is None:
            make_private_dir(self._path.parent)
            is_new = not self._path.exists()
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            file = os.fdopen(os.open(self._path, flags, 0o600), "ab", buffering=0)
            lock(file, self.id)
            self._file = file
            if is_new:
                cwd = os.fsencode(self._cwd).decode("utf-8", "replace")
                append(file, Head(self.id, cwd, self._clock.now(), self.channel))
        return self._file


class SessionStore:
    """The sessions of one project, in one directory.

    ``root`` is the project's directory, whose sessions of Node Qwen Code are offered as well; each
    goes on as a copy. Without it there are none. Unless ``is_recording``, new sessions are kept in
    memory, and none goes on.
    """

    def __init__(
        self,
        directory: Path,
        cwd: Path,
        clock: Clock,
        root: Path | None = None,
        *,
        is_recording: bool = True,
    ) -> None:
        self._directory = directory
        self._cwd = cwd
        self._clock = clock
        self._root = root
        self._is_recording = is_recording

    def check_recording(self) -> None:
        """
        Raises:
            UsageError: conversations are not recorded, so none can go on.
        """
        if not self._is_recording:
            raise UsageError(
                "conversations are not recorded, so none can be continued",
                hint="Leave out --chat-recording=false, or general.chatRecording in settings.",
            )

    def begin(self, session_id: str | None = None, channel: str | None = None) -> Session:
        """A new session with this or a new UUID; its file is created with the first message.
        ``channel`` is the kind of program that begins it.

        Raises:
            UsageError: there is a session with that id.
        """
        path = self._directory / f"{session_id or new_uuid()}.jsonl"
        if session_id is not None and path.exists():
            raise UsageError(
                f"the session {session_id} exists already",
                hint=f"To continue it: --resume {session_id}",
            )
        return Session(path, self._cwd, self._clock, channel, is_recorded=self._is_recording)

    def resume(self, id_or_beginning: str | None = None) -> Session:
        """Resume a session: the one with that id, or the latest.

        Raises:
            UsageError: there is none, several ids begin so, or another process has it open; or
                sessions are not recorded.
            InputError: its file cannot be read.
        """
        self.check_recording()
        chat = self._chat(id_or_beginning)
        if chat is not None:
            return self._copy_of_chat(chat)
        session = self._existing(self._find(id_or_beginning))
        try:
            session._load()
        except BaseException:
            session.close()
            raise
        return session

    def fork(self, id_or_beginning: str | None = None) -> Session:
        """Continue a session in a copy with a new id. Its own file is only read, so another process
        may have it open.

        Raises:
            UsageError: there is none, or several ids begin so; or sessions are not recorded.
            InputError: its file cannot be read.
        """
        self.check_recording()
        chat = self._chat(id_or_beginning)
        if chat is not None:
            return self._copy_of_chat(chat)
        replayed = replay(self._find(id_or_beginning))
        return self._copy(replayed.history, replayed.messages, replayed.damaged)

    def _copy_of_chat(self, chat: Path) -> Session:
        read = self._read(chat)
        converted = read.converted
        session = self._copy(converted.history, converted.messages, read.damaged)
        session.copied_from = chat
        return session

    def _copy(self, history: Sequence[Any], messages: Sequence[Any], damaged: int) -> Session:
        session = self.begin()
        try:
            session._begin_with(history, messages, damaged)
        except BaseException:
            session.close()
            raise
        return session

    def summaries(self) -> list[Summary]:
        """All sessions, the latest first; unreadable ones are skipped."""
        from qwen_code.agent.session_list import session_files, summaries_of, with_chats

        own = summaries_of(session_files(self._directory))
        return own if self._root is None else with_chats(own, self._projects, self._root)

    def messages(self, id_or_beginning: str) -> list[dict[str, Any]]:
        """All messages in force in a session, including those no longer sent to the model.

        Raises:
            UsageError, InputError: as for :meth:`resume`.
        """
        if chat := self._chat(id_or_beginning):
            return _repaired(self._read(chat).converted.history)
        return _repaired(replay(self._find(id_or_beginning)).history)

    def delete(self, id_or_beginning: str) -> str:
        """Delete a session; returns its id.

        Raises:
            UsageError: there is none with that id, or it is another program's.
        """
        if chat := self._chat(id_or_beginning):
            raise UsageError(
                f"the session {chat.stem} is Node Qwen Code's, and is not changed here",
                hint=f"Delete it there, or its file: {chat}",
            )
        path = self._find(id_or_beginning)
        path.unlink()
        return path.stem

    @property
    def _projects(self) -> Path:
        return self._directory.parent.parent

    def _existing(self, path: Path) -> Session:
        return Session(path, self._cwd, self._clock)

    def _read(self, chat: Path) -> Read:
        from qwen_code.agent.node_chats import read_chat

        return read_chat(chat)

    def _chat(self, beginning: str | None) -> Path | None:
        """The file of the session of Node Qwen Code that is meant, if it is not one of ours.

        Raises:
            UsageError: several ids begin so.
        """
        if self._root is None:
            return None
        from qwen_code.agent.node_chats import find_chat
        from qwen_code.agent.session_list import session_files

        own = session_files(self._directory)
        if beginning is not None:
            if any(path.stem.startswith(beginning.lower()) for path in own):
                return None
            return find_chat(self._projects, self._root, beginning.lower())
        latest = next((path for path in own if _has_messages(path)), None)
        since = latest.stat().st_mtime if latest else 0.0
        return find_chat(self._projects, self._root, since=since)

    def _find(self, beginning: str | None) -> Path:
        from qwen_code.agent.session_list import find_elsewhere, session_files

        paths = session_files(self._directory)
        if beginning is None:
            if not paths:
                raise UsageError(
                    "there is no session to resume in this project", hint="Start one: qwen"
                )
            return next((path for path in paths if _has_messages(path)), paths[0])
        fitting = [path for path in paths if path.stem.startswith(beginning.lower())]
        if not fitting and (found := find_elsewhere(self._directory, beginning.lower())):
            raise found
        if len(fitting) != 1:
            what = "no session" if not fitting else f"{len(fitting)} sessions"
            raise UsageError(
                f"{what} here begin{'s' if not fitting else ''} with {beginning!r}",
                hint="See them: qwen sessions",
            )
        return fitting[0]


def _repaired(messages: Sequence[Any]) -> list[dict[str, Any]]:
    if not messages:
        return []
    from qwen_code.agent.transcript import repaired  # not needed for a new session

    return repaired(messages)


def _is_usable(message: Any) -> bool:
    from qwen_code.agent.transcript import is_usable  # not needed for a new session

    return is_usable(message)


def _has_messages(path: Path) -> bool:
    """Whether a session has messages in force. One that cannot be read counts as if it had, so
    that it is reported."""
    try:
        return bool(replay(path).history)
    except InputError:
        return True
