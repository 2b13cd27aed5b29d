"""File contents before and after each turn, so that a turn can be undone and redone.

They are stored outside of the project and of its git history: contents by SHA-256, and one JSON
file per turn. A content is on disk before the file that holds it is replaced. What a shell command
changes is not recorded.

An undo that was killed is finished by the next undo: a turn is marked as undone after its files are
written, and a file that has the wanted content already counts as written. The same goes for a redo.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from hashlib import sha256
from itertools import takewhile
from pathlib import Path
from typing import Literal

import msgspec

from qwen_code.base.clock import Clock
from qwen_code.base.errors import UsageError
from qwen_code.base.files import make_private_dir, read_bounded, write_atomic
from qwen_code.base.secret import redact
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.workspace import Place, Workspace

__all__ = ["Checkpoint", "Checkpoints", "Undone"]

MAX_BYTES = 64 << 20
MAX_CHECKPOINTS = 50


class _File(msgspec.Struct):
    """The SHA-256 of one file before and after the turn (``None``: there was no file).

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
        return Place(Path(self.root), self.names)


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


_Outcome = Literal["restored", "removed", "left", "missing"]


class Checkpoints:
    """The checkpoints of one project, in a directory of their own."""

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
        self._title, self._session_id, self._turn = redact(title), session_id, turn

    def keep(self, place: Place, data: bytes | None) -> None:
        """Store what ``place`` holds now, before it becomes ``data`` (``None``: is removed).

        Raises:
            ConfigError: it cannot be stored; then the change must not be made.
            ToolFailed: the present content cannot be read.
        """
        current = self._current
        if current is None:
            current = self._current = self._new()
        after = _digest(data)
        for file in current.files:
            if file.place == place:
                file.superseded.append(file.after)
                file.after = after
                break
        else:
            before = self._content(place)
            if before is not None:
                self._store(before)
            current.files.append(_File(str(place.root), place.names, _digest(before), after))
        self._save(current)

    def all(self) -> Sequence[Checkpoint]:
        """All checkpoints, the latest first; unreadable ones are skipped."""
        found = []
        for path in self._directory.glob("*.json"):
            with suppress(OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                found.append(msgspec.json.decode(read_bounded(path, MAX_BYTES), type=Checkpoint))
        return sorted(found, key=lambda checkpoint: checkpoint.id, reverse=True)

    # -- undo and redo ----------------------------------------------------------------------------

    def undo(self, checkpoint_id: str | None = None) -> Undone:
        """Put the files of a turn back to what they were before it.

        Without an id it is the latest turn that is not undone, so that each undo steps back one
        turn further.

        Raises:
            UsageError: there is no such checkpoint, or it is undone already.
            ConfigError, ToolFailed: a file cannot be written; another undo goes on from there.
        """
        found = self._named(checkpoint_id, "done") if checkpoint_id else self._next_undo()
        return self._undo([found])

    def redo(self, checkpoint_id: str | None = None) -> Undone:
        """Put the files of an undone turn to what they were after it.

        Without an id it is the turn that was undone last. A turn that has changed files since the
        undo leaves nothing to redo; the older one can still be redone by its id.

        Raises:
            UsageError: there is no such checkpoint, or it is not undone.
            ConfigError, ToolFailed: a file cannot be written; another redo goes on from there.
        """
        found = self._named(checkpoint_id, "undone") if checkpoint_id else self._next_redo()
        self._current = None
        outcomes = {f.place: self._replace(f, f.before, f.after) for f in found.files}
        found.undo_number = 0
        self._save(found)
        return _result(outcomes)

    def undo_back_to(self, session_id: str, turn: int) -> Undone:
        """Undo all turns of a session from prompt number ``turn`` on, the latest first.

        Turns that are undone already are skipped, so that a killed call can be repeated. For a
        file of several turns the result tells what became of it in the end.

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
        outcomes: dict[Place, _Outcome] = {}
        for checkpoint in checkpoints:
            for file in reversed(checkpoint.files):
                self._note_failed_write(checkpoint, file)
                outcomes[file.place] = self._replace(file, file.after, file.before)
            number += 1
            checkpoint.undo_number = number
            self._save(checkpoint)
        return _result(outcomes)

    def _note_failed_write(self, checkpoint: Checkpoint, file: _File) -> None:
        """Take what the turn really left in a file as its ``after``, so that a redo finds it."""
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

    def _next_undo(self) -> Checkpoint:
        found = next((each for each in self.all() if each.state == "done"), None)
        if found is None:
            raise UsageError("there is nothing to undo", hint="See the turns: qwen checkpoints")
        return found

    def _next_redo(self) -> Checkpoint:
        newer = list(takewhile(lambda each: each.state == "undone", self.all()))
        if not newer:
            raise UsageError(
                "there is nothing to redo: no turn was undone since files were last changed",
                hint="Redo an earlier one: qwen checkpoints, then qwen --redo ID",
            )
        return max(newer, key=lambda each: each.undo_number)

    # -- files ------------------------------------------------------------------------------------

    def _replace(self, file: _File, expected: str | None, wanted: str | None) -> _Outcome:
        """Give a file the content with the digest ``wanted`` if it has the expected one."""
        place = file.place
        try:
            data = self._content(place)
        except ToolFailed:  # a directory, a link, or unreadable: the turn did not leave it so
            return "left"
        new = None if wanted is None else self._stored(wanted)
        if _digest(data) == wanted:
            pass  # an undo that was killed came this far, or it was done by hand
        elif _digest(data) != expected:
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

    def _content(self, place: Place) -> bytes | None:
        if not os.path.lexists(place.path):
            return None
        return self._workspace.read(place, MAX_BYTES)

    # -- storage ----------------------------------------------------------------------------------

    def _new(self) -> Checkpoint:
        make_private_dir(self._directory / "contents")
        self._forget_old()
        now = self._clock.now()
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
        # The number keeps those of one second in order.
        taken = [int(path.stem[-3:]) for path in self._directory.glob(f"{stamp}-[0-9]*.json")]
        return Checkpoint(
            f"{stamp}-{max(taken, default=-1) + 1:03}",
            now,
            self._title,
            session_id=self._session_id,
            turn=self._turn,
        )

    def _save(self, checkpoint: Checkpoint) -> None:
        path = self._directory / f"{checkpoint.id}.json"
        write_atomic(path, msgspec.json.encode(checkpoint))

    def _forget_old(self) -> None:
        for checkpoint in self.all()[MAX_CHECKPOINTS - 1 :]:
            (self._directory / f"{checkpoint.id}.json").unlink(missing_ok=True)
        needed = {
            digest
            for checkpoint in self.all()
            for file in checkpoint.files
            for digest in (file.before, file.after)
        }
        for content in (self._directory / "contents").iterdir():
            if content.name not in needed:
                content.unlink(missing_ok=True)

    def _store(self, data: bytes | None) -> None:
        if data is None:
            return
        path = self._directory / "contents" / sha256(data).hexdigest()
        if not path.exists():
            write_atomic(path, data)

    def _stored(self, digest: str) -> bytes | None:
        """A content; ``None`` where it is not stored, or is damaged."""
        try:
            data = read_bounded(self._directory / "contents" / digest, MAX_BYTES)
        except OSError:
            return None
        return data if _digest(data) == digest else None


def _digest(data: bytes | None) -> str | None:
    return None if data is None else sha256(data).hexdigest()


def _result(outcomes: dict[Place, _Outcome]) -> Undone:
    def those(outcome: _Outcome) -> tuple[str, ...]:
        return tuple(place.shown for place, each in outcomes.items() if each == outcome)

    return Undone(those("restored"), those("removed"), those("left"), those("missing"))
