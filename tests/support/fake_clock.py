"""A clock that tests control."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class FakeClock:
    """Time passes only in ``sleep`` and ``advance``. All values are seconds.

    Both clocks begin at ``start``. Each call of ``now`` advances them by ``tick_s``, so that no two
    times are equal.
    """

    def __init__(self, start: float = 1_750_000_000.0, *, tick_s: float = 0.0) -> None:
        self.time = start
        """What ``monotonic`` returns."""
        self.wall_jump = 0.0
        """How far the wall clock, ``now``, is ahead of ``monotonic``."""
        self.slept: list[float] = []
        self.on_sleep: Callable[[], None] = lambda: None
        """Called at the beginning of each sleep; an exception from it ends the sleep."""
        self._tick_s = tick_s

    def now(self) -> float:
        self.time += self._tick_s
        return self.time + self.wall_jump

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float, stop: Any = None) -> None:
        """Advance by ``seconds`` and record them; afterwards, check ``stop`` if it is set."""
        self.slept.append(seconds)
        self.on_sleep()
        self.advance(seconds)
        if stop is not None and stop.is_set:
            stop.check()

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass without recording a sleep."""
        self.time += seconds
