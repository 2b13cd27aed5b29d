"""The count of requests in a SQLite file that all processes of a user share.

It uses ``sqlite3`` because ``pyrate-limiter`` imports ``asyncio``, which takes longer than
everything else that ``qwen -p`` does before its first request.

If the clock is set back, requests are wrongly allowed or delayed for at most one window. If it is
set forward, the count is lost, and the server's own limits apply, which are recorded as well.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from qwen_code.base.clock import Clock
from qwen_code.base.stop import Stop
from qwen_code.models.database import Database
from qwen_code.models.errors import QuotaExhausted, RateLimited
from qwen_code.models.quota import (
    ARRIVAL_S,
    Go,
    Limits,
    ServerWord,
    Snapshot,
    Wait,
    decide,
    take_snapshot,
)

if TYPE_CHECKING:
    import sqlite3

_LATE_S = 5.0
"""A process that asks again later than this after its wait loses its place in the queue."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS request (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,
    at REAL,       -- when it reaches the server at the latest; NULL while it waits for its turn
    back_at REAL   -- when whoever waits asks again
);
CREATE INDEX IF NOT EXISTS request_at ON request (account, at);
CREATE TABLE IF NOT EXISTS word (
    account TEXT NOT NULL,
    model TEXT NOT NULL,
    at REAL NOT NULL,
    until REAL,
    said TEXT NOT NULL,
    is_exhausted INTEGER NOT NULL,
    PRIMARY KEY (account, model)
);
"""


class SqliteLedger:
    """One account's requests, in a file that holds those of all accounts.

    ``account`` is from :func:`~qwen_code.models.quota.account_key`.
    """

    def __init__(self, path: Path, account: str, limits: Limits, clock: Clock) -> None:
        self._path = path
        self._database = Database(path, _SCHEMA, "the count of requests")
        self._account = account
        self._limits = limits
        self._clock = clock

    def reserve(self, model: str, ticket: int | None = None, stop: Stop | None = None) -> Go | Wait:
        def work(db: sqlite3.Connection) -> Go | Wait | QuotaExhausted | RateLimited:
            now = self._clock.now()
            self._tidy(db, now)
            word = self._words(db).get(model)
            try:
                verdict = decide(self._times(db), self._ahead(db, ticket), word, self._limits, now)
            except (QuotaExhausted, RateLimited) as refusal:
                self._drop(db, ticket)
                return refusal
            if isinstance(verdict, Wait):
                wait_s = verdict.wait_s
                place = self._put(db, ticket, at=None, back_at=now + wait_s)
                return Wait(wait_s, verdict.reason, place)
            if word is not None and word.is_in_force(now):
                # This process asks the server again; the others rely on its last response.
                self._write_word(db, model, word, at=now)
            return Go(self._put(db, ticket, at=now + ARRIVAL_S, back_at=None))

        uncounted: Go | Wait | QuotaExhausted | RateLimited = Go()
        verdict = self._database.run(work, otherwise=uncounted, stop=stop)
        if isinstance(verdict, Exception):
            raise verdict
        return verdict

    def arrived(
        self, ticket: int, model: str, *, is_welcome: bool, stop: Stop | None = None
    ) -> None:
        def work(db: sqlite3.Connection) -> None:
            now = self._clock.now()
            db.execute("UPDATE request SET at = min(at, ?) WHERE id = ?", (now, ticket))
            if is_welcome:
                db.execute(
                    "DELETE FROM word WHERE account = ? AND model = ?", (self._account, model)
                )

        self._database.run(work, otherwise=None, stop=stop)

    def give_back(self, ticket: int, stop: Stop | None = None) -> None:
        self._database.run(lambda db: self._drop(db, ticket), otherwise=None, stop=stop)

    def note(self, model: str, word: ServerWord, stop: Stop | None = None) -> None:
        self._database.run(
            lambda db: self._write_word(db, model, word, at=word.at), otherwise=None, stop=stop
        )

    def snapshot(self) -> Snapshot | None:
        def work(db: sqlite3.Connection) -> Snapshot:
            words = list(self._words(db).values())
            return take_snapshot(self._times(db), words, self._limits, self._clock.now())

        if not os.path.exists(self._path):  # noqa: PTH110 this one never raises
            return take_snapshot((), (), self._limits, self._clock.now())
        return self._database.run(work, otherwise=None, begin="BEGIN")

    def take_notices(self) -> list[str]:
        return self._database.take_notices()

    # -- rows -------------------------------------------------------------------------------------

    def _tidy(self, db: sqlite3.Connection, now: float) -> None:
        """Remove requests that no longer count, and processes that no longer wait.

        A request cannot arrive later than `ARRIVAL_S` from now: one that would was recorded before
        the clock was set back, and counts as on its way. Processes that waited by that clock get a
        new place in the queue.
        """
        mine = self._account
        db.execute(
            "DELETE FROM request WHERE account = ? AND (at <= ? OR back_at < ?)",
            (mine, now - self._limits.day_s, now - _LATE_S),
        )
        put_back = db.execute(
            "UPDATE request SET at = ? WHERE account = ? AND at > ?",
            (now + ARRIVAL_S, mine, now + ARRIVAL_S),
        )
        if put_back.rowcount:
            db.execute("DELETE FROM request WHERE account = ? AND at IS NULL", (mine,))

    def _times(self, db: sqlite3.Connection) -> list[float]:
        rows = db.execute(
            "SELECT at FROM request WHERE account = ? AND typeof(at) = 'real' ORDER BY at",
            (self._account,),
        )
        return [at for (at,) in rows]

    def _ahead(self, db: sqlite3.Connection, ticket: int | None) -> int:
        before = "" if ticket is None else f" AND id < {ticket:d}"
        (count,) = db.execute(
            f"SELECT count(*) FROM request WHERE account = ? AND at IS NULL{before}",  # noqa: S608 a number
            (self._account,),
        ).fetchone()
        return int(count)

    def _put(
        self, db: sqlite3.Connection, ticket: int | None, *, at: float | None, back_at: float | None
    ) -> int | None:
        return db.execute(
            "INSERT OR REPLACE INTO request (id, account, at, back_at) VALUES (?, ?, ?, ?)",
            (ticket, self._account, at, back_at),
        ).lastrowid

    def _drop(self, db: sqlite3.Connection, ticket: int | None) -> None:
        db.execute("DELETE FROM request WHERE id = ?", (ticket,))

    def _words(self, db: sqlite3.Connection) -> dict[str, ServerWord]:
        rows = db.execute(
            "SELECT model, at, until, said, is_exhausted FROM word WHERE account = ?"
            " AND typeof(at) = 'real' AND typeof(until) IN ('real', 'null')"
            " AND typeof(said) = 'text'",
            (self._account,),
        )
        return {model: ServerWord(at, until, said, bool(e)) for model, at, until, said, e in rows}

    def _write_word(
        self, db: sqlite3.Connection, model: str, word: ServerWord, *, at: float
    ) -> None:
        db.execute(
            "INSERT OR REPLACE INTO word (account, model, at, until, said, is_exhausted)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (self._account, model, at, word.until, word.said, word.is_exhausted),
        )
