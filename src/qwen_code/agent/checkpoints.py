"""What files were before a turn changed them, so that it can be undone.

Kept outside of the project and of its git history: contents by their SHA-256, and for each turn a
list of files. Everything is on disk before the change itself is made. What a shell command changes
is not known here.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import msgspec

from qwen_code.base.clock import Clock
from qwen_code.base.errors import UsageError
from qwen_code.base.files import make_private_dir, read_bounded, write_atomic
from qwen_code.tools.workspace import Place, Workspace

__all__ = ["Checkpoint", "Checkpoints", "Undone"]

_MOST_BYTES = 64 << 20
_MOST_KEPT = 50


class _Kept(msgspec.Struct):
    """One file: its content before and after the turn (``None``: there was none)."""

    root: str
    names: tuple[str, ...]
    before: str | None
    after: str | None


class Checkpoint(msgspec.Struct):
    """One turn's changes. ``at`` is seconds since the epoch."""

    id: str
    at: float
    title: str
    files: list[_Kept] = msgspec.field(default_factory=list)

    @property
    def paths(self) -> list[str]:
        """The files, from their roots."""
        return ["/".join(kept.names) for kept in self.files]


class Undone(msgspec.Struct, frozen=True):
    """What an undo did: files put back, and those that somebody has changed since."""

    restored: tuple[str, ...]
    left: tuple[str, ...]


class Checkpoints:
    """The checkpoints of one project, in a directory of their own."""

    def __init__(self, directory: Path, workspace: Workspace, clock: Clock) -> None:
        self._directory = directory
        self._workspace = workspace
        self._clock = clock
        self._current: Checkpoint | None = None
        self._title = ""

    def begin_turn(self, title: str) -> None:
        """From now on changes belong to another turn; one without any leaves nothing."""
        self._current, self._title = None, title

    def keep(self, place: Place, data: bytes | None) -> None:
        """Keep what ``place`` holds now, which is about to become ``data`` (``None``: removed).

        Raises:
            ConfigError: it cannot be kept; then the change should not be made.
            ToolFailed: what is there cannot be read.
        """
        current = self._current
        if current is None:
            current = self._current = self._new()
        after = self._digest(data)
        for kept in current.files:
            if (kept.root, kept.names) == (str(place.root), place.names):
                kept.after = after
                break
        else:
            before = self._content(place)
            if before is not None:
                self._store(before)
            current.files.append(_Kept(str(place.root), place.names, self._digest(before), after))
        write_atomic(self._directory / f"{current.id}.json", msgspec.json.encode(current))

    def all(self) -> Sequence[Checkpoint]:
        """All checkpoints, the latest first; what cannot be read is left out."""
        found = []
        for path in self._directory.glob("*.json"):
            with suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
                found.append(msgspec.json.decode(read_bounded(path, _MOST_BYTES), type=Checkpoint))
        return sorted(found, key=lambda checkpoint: checkpoint.id, reverse=True)

    def undo(self, checkpoint_id: str | None = None) -> Undone:
        """Put the files of a turn, or of the latest, back to what they were before it.

        A file that somebody has changed since is left as it is. The undoing is a turn of its own,
        so it can be undone as well.

        Raises:
            UsageError: there is no such checkpoint.
            ConfigError, ToolFailed: a file cannot be written.
        """
        found = next((c for c in self.all() if checkpoint_id in (None, c.id)), None)
        if found is None:
            raise UsageError("there is nothing to undo", hint="See them: qwen checkpoints")
        self.begin_turn(f"undo of: {found.title}")
        restored, left = [], []
        for kept in reversed(found.files):
            place = Place(Path(kept.root), tuple(kept.names))
            if self._digest(self._content(place)) != kept.after:
                left.append(place.shown)
                continue
            self._put_back(place, kept.before)
            restored.append(place.shown)
        return Undone(tuple(restored), tuple(left))

    def _put_back(self, place: Place, digest: str | None) -> None:
        if digest is None:
            self.keep(place, None)
            self._workspace.remove(place)
            return
        data = read_bounded(self._directory / "contents" / digest, _MOST_BYTES)
        self.keep(place, data)
        self._workspace.write(place, data)

    def _new(self) -> Checkpoint:
        make_private_dir(self._directory / "contents")
        self._forget_old()
        now = self._clock.now()
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
        # The number keeps those of one second in order.
        taken = [int(path.stem[-3:]) for path in self._directory.glob(f"{stamp}-[0-9]*.json")]
        return Checkpoint(f"{stamp}-{max(taken, default=-1) + 1:03}", now, self._title)

    def _forget_old(self) -> None:
        for checkpoint in self.all()[_MOST_KEPT - 1 :]:
            (self._directory / f"{checkpoint.id}.json").unlink(missing_ok=True)
        needed = {kept.before for checkpoint in self.all() for kept in checkpoint.files}
        for content in (self._directory / "contents").iterdir():
            if content.name not in needed:
                content.unlink(missing_ok=True)

    def _content(self, place: Place) -> bytes | None:
        if not os.path.lexists(place.path):
            return None
        return self._workspace.read(place, _MOST_BYTES)

    def _store(self, data: bytes) -> None:
        path = self._directory / "contents" / sha256(data).hexdigest()
        if not path.exists():
            write_atomic(path, data)

    def _digest(self, data: bytes | None) -> str | None:
        return None if data is None else sha256(data).hexdigest()
