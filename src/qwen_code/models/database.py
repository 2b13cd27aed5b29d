"""A SQLite file that many processes share, whose data is not critical.

Each operation opens the file and is one transaction. With a rollback journal and without waiting
for the disk, that takes 0.15 ms (a write-ahead log 0.27 ms, waiting for the disk 0.7 ms and more).
A power cut can damage the file: then it is moved aside, and a new one is created.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from qwen_code.base.errors import ConfigError
from qwen_code.base.files import make_private_dir, process_lock
from qwen_code.base.stop import Stop, Stopped

if TYPE_CHECKING:
    import sqlite3

T = TypeVar("T")

_BUSY_S = 2.0
"""How long to wait for the file. Processes hold it for less than a millisecond."""

_MIN_PAUSE_S = 0.001
_MAX_PAUSE_S = 0.025

_OF_THE_FILE = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_ERROR", "SQLITE_CONSTRAINT")
"""Errors that a new file fixes. Others are about the disk, permissions or a busy file."""


class Database:
    """The file at ``path``, which is created private. Problems with it never raise.

    ``schema`` are statements that create missing tables; their text is compared with that in the
    file, so changing it replaces existing files. ``what`` describes the data for the user.
    """

    def __init__(self, path: Path, schema: str, what: str) -> None:
        self._path = path
        self._schema = schema
        self._what = what
        self._notices: list[str] = []
        self._said: set[str] = set()

    def run(
        self,
        work: Callable[[sqlite3.Connection], T],
        *,
        otherwise: T,
        begin: str = "BEGIN IMMEDIATE",
        stop: Stop | None = None,
    ) -> T:
        """The result of ``work`` as one transaction; ``otherwise`` if the file cannot be used, or
        if others hold it and ``stop`` is set."""
        try:
            import sqlite3  # 5 ms to import; needed only for accounts with a quota
        except ImportError:
            return self._without("this Python has no sqlite3", otherwise)
        for is_last in (False, True):
            try:
                return self._patiently(work, begin, stop or Stop())
            except Stopped:
                return otherwise
            except (sqlite3.Error, UnicodeDecodeError) as error:
                if is_last or not _is_of_the_file(error):
                    return self._without(str(error), otherwise)
            except ConfigError as error:
                return self._without(error.message, otherwise)
            except OSError as error:
                return self._without(error.strerror or str(error), otherwise)
            self._move_aside()
        raise AssertionError("unreachable")

    def take_notices(self) -> list[str]:
        """Notices for the user since the last call, each only once."""
        notices, self._notices = self._notices, []
        return notices

    def _patiently(self, work: Callable[[sqlite3.Connection], T], begin: str, stop: Stop) -> T:
        """As :meth:`_transact`, retried while the file is busy; SQLite's wait ignores ``stop``."""
        deadline, pause_s = time.monotonic() + _BUSY_S, _MIN_PAUSE_S
        while True:
            try:
                return self._transact(work, begin)
            except Exception as error:
                if not _is_busy(error) or time.monotonic() > deadline:
                    raise
            stop.wait(pause_s)
            pause_s = min(2 * pause_s, _MAX_PAUSE_S)

    def _transact(self, work: Callable[[sqlite3.Connection], T], begin: str) -> T:
        with closing(self._open()) as db:
            db.execute(begin)
            result = work(db)
            db.execute("COMMIT")  # closing rolls back what failed before this
            return result

    def _open(self) -> sqlite3.Connection:
        import sqlite3

        if not os.path.exists(self._path):  # noqa: PTH110 this one never raises
            make_private_dir(self._path.parent)
            with suppress(FileExistsError):
                os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        db = sqlite3.connect(self._path, timeout=0, isolation_level=None)
        db.text_factory = lambda text: text.decode(errors="replace")  # it may be damaged
        try:
            db.execute("PRAGMA synchronous = OFF")
            if not db.execute("PRAGMA user_version").fetchone()[0]:
                db.executescript(
                    f"BEGIN IMMEDIATE; {self._schema} PRAGMA user_version = 1; COMMIT;"
                )
        except BaseException:
            db.close()
            raise
        return db

    def _move_aside(self) -> None:
        """Move a damaged file aside, unless another process has done so meanwhile."""
        lock = self._path.with_name(f"{self._path.name}.lock")
        aside = f".corrupt-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
        try:
            with process_lock(lock, timeout_s=_BUSY_S):
                if self._is_sound():
                    return
                # The journal first: it must not be applied to the new file.
                for ending in ("-journal", ""):
                    old = self._path.with_name(self._path.name + ending)
                    with suppress(FileNotFoundError):
                        os.replace(old, f"{old}{aside}")
        except (ConfigError, OSError):
            return  # the next attempt fails again, and reports why
        self._say(
            f"{self._what} was damaged and is reset; the old file is {self._path.name}{aside}"
        )

    def _is_sound(self) -> bool:
        """Whether the file is intact and has the tables of ``schema``."""
        import sqlite3

        query = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"
        try:
            with closing(self._open()) as db, closing(sqlite3.connect(":memory:")) as model:
                model.executescript(self._schema)
                (verdict,) = db.execute("PRAGMA integrity_check").fetchone()
                form = db.execute(query).fetchall()
                return bool(verdict == "ok" and form == model.execute(query).fetchall())
        except (sqlite3.Error, UnicodeDecodeError) as error:
            return not _is_of_the_file(error)

    def _without(self, reason: str, otherwise: T) -> T:
        self._say(f"{self._what} cannot be saved at the moment: {self._path}: {reason}")
        return otherwise

    def _say(self, notice: str) -> None:
        if notice not in self._said:
            self._said.add(notice)
            self._notices.append(notice)


def _is_busy(error: Exception) -> bool:
    name = getattr(error, "sqlite_errorname", None) or ""
    return name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def _is_of_the_file(error: Exception) -> bool:
    if isinstance(error, UnicodeDecodeError):  # text of the file, quoted in an error message
        return True
    name = getattr(error, "sqlite_errorname", None) or ""
    return name.startswith(_OF_THE_FILE)
