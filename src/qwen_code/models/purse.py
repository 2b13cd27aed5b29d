"""What the requests of a process cost, and the limits of that."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from qwen_code.base.errors import ExitCode, QwenError
from qwen_code.models.events import Usage
from qwen_code.models.facts import Prices

if TYPE_CHECKING:
    import sqlite3

_SCHEMA = """
CREATE TABLE IF NOT EXISTS cost (
    day TEXT PRIMARY KEY,  -- local, as 2026-01-31
    usd REAL NOT NULL
);
"""

PriceOf = Callable[[str], Prices | None]


class CostLimitReached(QwenError):
    """A limit of money is reached, or cannot be held because a price is not known."""

    exit_code = ExitCode.BUDGET


class Spent(msgspec.Struct):
    """Sums over requests. ``usd`` has only those whose price is known; ``unpriced`` counts the
    others."""

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    usd: float = 0.0
    unpriced: int = 0

    def add(self, usage: Usage) -> None:
        """Add one request."""
        self.requests += 1
        self.prompt_tokens += usage.prompt_tokens
        self.completion_tokens += usage.completion_tokens
        self.cached_tokens += usage.cached_tokens
        if usage.cost is None:
            self.unpriced += 1
        else:
            self.usd += usage.cost

    def join(self, other: Spent) -> None:
        """Add other sums."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def since(self, before: Spent) -> Spent:
        """What was added since ``before``."""
        pairs = zip(msgspec.structs.astuple(self), msgspec.structs.astuple(before), strict=True)
        return Spent(*(now - then for now, then in pairs))


class CostOfTheDay:
    """The cost of all processes of a user today, in a file that they share."""

    def __init__(self, path: Path) -> None:
        from qwen_code.models.database import Database  # only with a limit for the day

        self._database = Database(path, _SCHEMA, "the cost of the day")

    def add(self, usd: float) -> None:
        def work(db: sqlite3.Connection) -> None:
            db.execute(
                "INSERT INTO cost VALUES (?, ?) ON CONFLICT (day) DO UPDATE SET usd = usd + ?",
                (_today(), usd, usd),
            )

        self._database.run(work, otherwise=None)

    def total(self) -> float:
        """In US dollars."""

        def work(db: sqlite3.Connection) -> float:
            row = db.execute("SELECT usd FROM cost WHERE day = ?", (_today(),)).fetchone()
            return float(row[0]) if row else 0.0

        return self._database.run(work, otherwise=0.0, begin="BEGIN")


class Purse:
    """Prices each answer, and adds it up. ``run_limit`` and ``day_limit`` are in US dollars.

    A limit is checked before each request, so the answer that reaches it is still complete.
    """

    def __init__(
        self,
        price_of: PriceOf = lambda _: None,
        *,
        run_limit: float | None = None,
        day_limit: float | None = None,
        day: CostOfTheDay | None = None,
    ) -> None:
        self.spent = Spent()
        self.day = day
        self.price_of = price_of
        self._counting = threading.Lock()
        self._run_limit = run_limit
        self._day_limit = day_limit

    def check(self) -> None:
        """
        Raises:
            CostLimitReached: the next request must not be sent.
        """
        limit = self._run_limit
        if limit is None and self._day_limit is None:
            return
        if self.spent.unpriced:
            raise CostLimitReached(
                "the price of this model is not known, so the limit of costs cannot be held",
                hint='Set it: {"qwen_code": {"prices": {"MODEL": {"input": USD, "output": USD}}}} '
                "in settings.json, for a million tokens.",
            )
        if limit is not None and self.spent.usd >= limit:
            raise CostLimitReached(
                f"the limit of costs is reached: ${self.spent.usd:.4f} of ${limit:g}",
                hint="Go on with --continue, and a higher --max-cost.",
            )
        if self._day_limit is not None and self.day is not None:
            today = self.day.total()
            if today >= self._day_limit:
                raise CostLimitReached(
                    f"today's limit of costs is reached: ${today:.4f} of ${self._day_limit:g}",
                    hint="It is set in quota.costPerDay of your settings, and ends at midnight.",
                )

    def take(self, model: str, usage: Usage) -> Usage:
        """Count an answer of ``model``; returns its usage with its price, if that is known."""
        prices = self.price_of(model) if usage.cost is None else None
        if prices is not None:
            cost = prices.cost(usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens)
            usage = msgspec.structs.replace(usage, cost=cost)
        with self._counting:  # helpers get answers at the same time
            self.spent.add(usage)
        if self.day is not None and usage.cost:
            self.day.add(usage.cost)
        return usage


def _today() -> str:
    return time.strftime("%Y-%m-%d")
