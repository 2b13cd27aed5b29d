"""Time as an argument, so that tests can set it."""

from __future__ import annotations

import time
from typing import Protocol

from qwen_code.base.stop import Stop


class Clock(Protocol):
    """Reads the time and waits. All values are in seconds."""

    def now(self) -> float:
        """Seconds since the epoch, for dates that come from elsewhere. It may jump."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary start, for deadlines. It never goes back."""

    def sleep(self, seconds: float, stop: Stop | None = None) -> None:
        """Wait for ``seconds``.

        Raises:
            Stopped: ``stop`` was set during the wait.
        """


class BlockingClock:
    """The machine's clock."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float, stop: Stop | None = None) -> None:
        (stop or Stop()).wait(seconds)
