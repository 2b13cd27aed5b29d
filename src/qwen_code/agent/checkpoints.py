"""File contents before and after each turn, so that a turn can be undone and redone.

They are stored outside of the project and its git history: contents by SHA-256, and one JSON file
per turn. The old content is on disk before a file is replaced. If the user changes a file between
two edits of one turn, undo restores the user's version. Changes by shell commands are not recorded.

If an undo is killed, the next undo completes it: a turn is marked as undone after its files are
written, and a file that already has the target content counts as written. The same applies to redo.
If none of a turn's files could be restored, the turn is not marked.

Several processes can record in one directory: an id is claimed by creating its file, and
unreferenced contents are removed only when no process can be about to reference them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from hashlib import sha256
from itertools import count, permutations, takewhile
from pathlib import Path
from typing import Literal, Self

import msgspec

from qwen_code.base.clock import Clock
from qwen_code.base.errors import ConfigError, UsageError
from qwen_code.base.files import make_private_dir, read_bounded, write_atomic
from qwen_code.base.json_text import decode_json
from qwen_code.base.secret import redact
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.names import shown_name, true_name
from qwen_code.tools.workspace import Place, Workspace
from qwen_code.tools.writing import is_torn

MAX_BYTES = 64 << 20
MAX_CHECKPOINTS = 50

_UNUSED_S = 3600.0
"""Unreferenced contents are deleted at this age: another process may be about to use newer ones."""


class _File(msgspec.Struct):
    """The SHA-256 of one file before and after the turn (``None``: there was no file). Its names
    are written as `names` shows them, since JSON has no others than Unicode.

    ``superseded`` are contents that the turn gave the file before ``after``. The file still has the
    last of them if writing ``after`` failed.
    """

    root: str
    names: tuple[str, ...]
    before: str | None
    after: str | None
    superseded: list[str | None] = msgspec.field(default_factory=list)

    @property
    def place(self) -> Place:
        return Place(Path(true_name(self.root)), tuple(map(true_name, self.names)))

    @classmethod
    def of(cls, place: Place, before: str | None, after: str | None) -> Self:
        names = tuple(map(shown_name, place.names))
        return cls(shown_name(str(place.root)), names, before, after)


class Checkpoint(msgspec.Struct):
    """One turn's changes. ``at`` is seconds since the epoch.

    ``turn`` is the index of the user's prompt in the session. ``undo_number`` is 0 while the
    changes are in force; of undone checkpoints, the one undone last has the highest.
    """

    id: str
    at: float
    title: str
    files: list[_File] = msgspec.field(default_factory=list)
    session_id: str = ""
    turn: int = 0
    undo_number: int = 0

    @property
    def state(self) -> Literal["done", "undone"]:
        """Whether the changes are in force."""
        return "undone" if self.undo_number else "done"

    @property
    def paths(self) -> list[str]:
        """The files, relative to their roots."""
        return [file.place.shown for file in self.files]


class Undone(msgspec.Struct, frozen=True):
    """What an undo or a redo did with each file, by its path relative to its root.

    ``restored`` have the wanted content now, ``removed`` are gone because they did not exist at
    that point. ``left`` were not touched because something else has changed them since, ``missing``
    because the wanted content is not stored.
    """

    restored: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def is_futile(self) -> bool:
        """Whether no file could be given the wanted content."""
        return bool(self.left or self.missing) and not (self.restored or self.removed)


_FileOutcome = Literal["restored", "removed", "left", "missing"]


class Checkpoints:
    """The checkpoints of one project, in one directory."""

    def __init__(self, directory: Path, workspace: Workspace, clock: Clock) -> None:
        self._directory = directory
        self._workspace = workspace
        self._clock = clock
        self._current: Checkpoint | None = None
        self._title = ""
        self._session_id = ""
        self._turn = 0

    # -- recording --------------------------------------------------------------------------------

    def begin_turn(self, title: str, session_id: str = "", turn: int = 0) -> None:
        """Record changes under a new turn from now on; a turn without changes is not stored.

        ``turn`` is the index of the user's prompt in the session, from 0.
        """
        self._current = None
        self._title, self._session_id, self._turn = title, session_id, turn

    def keep(self, place: Place, data: bytes | None) -> None:
        """Store what ``place`` holds now, before it becomes ``data`` (``None``: is removed).

        Raises:
            ConfigError: it cannot be stored; then the change must not be made.
            ToolFailed: the present content cannot be read.
        """
        current = self._current
        if current is None:
            current = self._current = self._new()
        after, present = _digest(data), self._content(place)
        file = next((each for each in current.files if each.place == place), None)
        if file is not None and _digest(present) in (file.after, *file.superseded):
            file.superseded.append(file.after)
            file.after = after
        else:  # new to the turn, or changed by the user since: undo restores this version
            self._store(present)
            if file is not None:
                current.files.remove(file)
            current.files.append(_File.of(place, _digest(present), after))
        if self._workspace.stays_in_place(place):  # so that undo recognises a part of it
            self._store(data)
        self._save(current)

    def all(self) -> Sequence[Checkpoint]:
        """All checkpoints, the latest first; unreadable ones are skipped."""
        found = []
        for path in self._directory.glob("*.json"):
            with suppress(OSError, msgspec.DecodeError):
                found.append(decode_json(read_bounded(path, MAX_BYTES), Checkpoint))
        return sorted(found, key=lambda checkpoint: checkpoint.id, reverse=True)

    # -- undo and redo ----------------------------------------------------------------------------

    def undo(self, checkpoint_id: str | None = None, *, session_id: str | None = None) -> Undone:
        """Put the files of a turn back to what they were before it.

        Without an id it is the latest turn that is not undone, so that each undo steps back one
        turn further: of the whole project, or of one session.

        Raises:
            UsageError: there is no such checkpoint, or it is undone already.
            ConfigError, ToolFailed: a file cannot be written; another undo goes on from there.
        """
        found = self._named(checkpoint_id, "done") if checkpoint_id else self._next_undo(session_id)
        return self._undo([found])

    def redo(self, checkpoint_id: str | None = None, *, session_id: str | None = None) -> Undone:
        """Put the files of an undone turn to what they were after it.

        Without an id it is the turn that was undone last, of the whole project or of one session.
        A turn that has changed files since the undo leaves nothing to redo; the older one can still
        be redone by its id.

        Raises:
            UsageError: there is no such checkpoint, or it is not undone.
            ConfigError, ToolFailed: a file cannot be written; another redo goes on from there.
        """
        named = self._named(checkpoint_id, "undone") if checkpoint_id else None
        found = named or self._next_redo(session_id)
        self._current = None
        redone = _result({f.place: self._replace(f, f.before, f.after) for f in found.files})
        if not redone.is_futile:
            found.undo_number = 0
            self._save(found)
        return redone

    def undo_back_to(self, session_id: str, turn: int) -> Undone:
        """Undo all turns of a session from prompt number ``turn`` on, the latest first.

        Turns that are undone already are skipped, so that a killed call can be repeated. If
        several turns changed a file, the result tells its final state.

        Raises:
            ConfigError, ToolFailed: a file cannot be written.
        """

        def is_meant(checkpoint: Checkpoint) -> bool:
            is_of_session = bool(session_id) and checkpoint.session_id == session_id
            return is_of_session and checkpoint.turn >= turn and checkpoint.state == "done"

        return self._undo(filter(is_meant, self.all()))

    def _undo(self, checkpoints: Iterable[Checkpoint]) -> Undone:
        self._current = None
        number = max((each.undo_number for each in self.all()), default=0)
        outcomes: dict[Place, _FileOutcome] = {}
        for checkpoint in checkpoints:
            of_turn: dict[Place, _FileOutcome] = {}
            for file in reversed(checkpoint.files):
                self._note_failed_write(checkpoint, file)
                of_turn[file.place] = self._replace(file, file.after, file.before)
            outcomes |= of_turn
            if not _result(of_turn).is_futile:
                number += 1
                checkpoint.undo_number = number
                self._save(checkpoint)
        return _result(outcomes)

    def _note_failed_write(self, checkpoint: Checkpoint, file: _File) -> None:
        """Set ``after`` to the content that the turn actually left, so that redo recognises it."""
        with suppress(ToolFailed):
            now = _digest(self._content(file.place)) if file.superseded else file.after
            if now != file.after and now in file.superseded:
                file.after = now
                self._save(checkpoint)

    def _named(self, checkpoint_id: str, state: Literal["done", "undone"]) -> Checkpoint:
        found = next((each for each in self.all() if each.id == checkpoint_id), None)
        if found is None:
            raise UsageError(
                f"there is no checkpoint {checkpoint_id!r}", hint="See them: qwen checkpoints"
            )
        if found.state != state:
            is_undone = found.state == "undone"
            raise UsageError(
                f"checkpoint {checkpoint_id} is {'already' if is_undone else 'not'} undone",
                hint=f"{'Redo' if is_undone else 'Undo'} it: qwen "
                f"--{'redo' if is_undone else 'undo'} {checkpoint_id}",
            )
        return found

    def _next_undo(self, session_id: str | None) -> Checkpoint:
        found = next((each for each in self._of(session_id) if each.state == "done"), None)
        if found is None:
            where = "" if session_id is None else " in this conversation"
            raise UsageError(
                f"there is nothing to undo{where}", hint="See all turns: qwen checkpoints"
            )
        return found

    def _next_redo(self, session_id: str | None) -> Checkpoint:
        newer = list(takewhile(lambda each: each.state == "undone", self._of(session_id)))
        if not newer:
            raise UsageError(
                "there is nothing to redo: no turn was undone since files were last changed",
                hint="Redo an earlier one: qwen checkpoints, then qwen --redo ID",
            )
        return max(newer, key=lambda each: each.undo_number)

    def _of(self, session_id: str | None) -> Sequence[Checkpoint]:
        return [each for each in self.all() if session_id in (None, each.session_id)]

    # -- files ------------------------------------------------------------------------------------

    def _replace(self, file: _File, expected: str | None, wanted: str | None) -> _FileOutcome:
        """Give a file the content ``wanted`` if it has the content ``expected`` (both digests)."""
        place = file.place
        try:
            data = self._content(place)
        except ToolFailed:  # a directory, a link or unreadable: changed since the turn
            return "left"
        new = None if wanted is None else self._stored(wanted)
        if _digest(data) == wanted:
            pass  # done by an undo that was killed, or by the user
        elif _digest(data) != expected and not self._is_torn(file, data):
            return "left"
        elif wanted is None:
            self._store(data)
            self._workspace.remove(place)
        elif new is None:
            return "missing"
        else:
            self._store(data)
            self._workspace.write(place, new)
        return "removed" if wanted is None else "restored"

    def _is_torn(self, file: _File, data: bytes | None) -> bool:
        """Whether ``data`` is what a process leaves that is killed while it overwrites the file in
        place with one of the turn's contents."""
        if data is None or not self._workspace.stays_in_place(file.place):
            return False
        digests = {d for d in (file.before, *file.superseded, file.after) if d is not None}
        contents = [stored for digest in digests if (stored := self._stored(digest)) is not None]
        return any(is_torn(data, old, new) for old, new in permutations(contents, 2))

    def _content(self, place: Place) -> bytes | None:
        """The content of a file, ``None`` if it does not exist.

        Raises:
            ToolFailed: it is not a regular file, or a parent is not a directory.
        """
        path = place.path
        if os.path.lexists(path):
            return self._workspace.read(place, MAX_BYTES)
        nearest = next(each for each in path.parents if os.path.lexists(each))
        if place.root in nearest.parents and (nearest.is_symlink() or not nearest.is_dir()):
            raise ToolFailed(f"{place.shown}: part of the path is not a directory")
        return None

    # -- storage ----------------------------------------------------------------------------------

    def _new(self) -> Checkpoint:
        make_private_dir(self._directory / "contents")
        self._forget_old()
        now = self._clock.now()
        return Checkpoint(
            self._take_id(time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))),
            now,
            redact(self._title),  # only now are all secrets known
            session_id=self._session_id,
            turn=self._turn,
        )

    def _take_id(self, stamp: str) -> str:
        """The next free id of this second. Its number keeps ids in order."""
        taken = [int(path.stem[-3:]) for path in self._directory.glob(f"{stamp}-[0-9]*.json")]
        for number in count(max(taken, default=-1) + 1):
            checkpoint_id = f"{stamp}-{number:03}"
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            try:
                os.close(os.open(self._directory / f"{checkpoint_id}.json", flags, 0o600))
            except FileExistsError:
                continue
            except OSError as error:
                raise ConfigError(
                    f"the change cannot be recorded: {error.strerror}",
                    hint="Free some space, or set QWEN_HOME to a directory that you can write to.",
                ) from error
            return checkpoint_id
        raise AssertionError("there is always another number")

    def _save(self, checkpoint: Checkpoint) -> None:
        path = self._directory / f"{checkpoint.id}.json"
        write_atomic(path, msgspec.json.encode(checkpoint))

    def _forget_old(self) -> None:
        paths = sorted(self._directory.glob("*.json"), reverse=True)
        for path in paths[MAX_CHECKPOINTS - 1 :]:
            path.unlink(missing_ok=True)
        needed = {
            digest
            for checkpoint in self.all()
            for file in checkpoint.files
            for digest in (file.before, file.after)
        }
        unused_at = self._clock.now() - _UNUSED_S
        for content in (self._directory / "contents").iterdir():
            with suppress(FileNotFoundError):  # another process has removed it
                if content.name not in needed and content.stat().st_mtime < unused_at:
                    content.unlink()

    def _store(self, data: bytes | None) -> None:
        if data is None:
            return
        path = self._directory / "contents" / sha256(data).hexdigest()
        try:
            os.utime(path)  # in use again: `_forget_old` must not remove it
        except OSError:
            write_atomic(path, data)

    def _stored(self, digest: str) -> bytes | None:
        """A stored content; ``None`` if it is missing or damaged."""
        try:
            data = read_bounded(self._directory / "contents" / digest, MAX_BYTES)
        except OSError:
            return None
        return data if _digest(data) == digest else None


def _digest(data: bytes | None) -> str | None:
    return None if data is None else sha256(data).hexdigest()


def _result(outcomes: dict[Place, _FileOutcome]) -> Undone:
    def those(outcome: _FileOutcome) -> tuple[str, ...]:
        return tuple(place.shown for place, each in outcomes.items() if each == outcome)

    return Undone(those("restored"), those("removed"), those("left"), those("missing"))
