"""Time as an argument, so that a test moves it by hand."""

from __future__ import annotations

import time
from typing import Protocol

from qwen_code.base.stop import Stop


class Clock(Protocol):
    """The three things code may ask of time. All values are seconds."""

    def now(self) -> float:
        """Seconds since the epoch: for dates that others gave us. It may jump."""

    def monotonic(self) -> float:
        """Seconds since some start: for deadlines. It never goes back."""

    def sleep(self, seconds: float, stop: Stop | None = None) -> None:
        """Let ``seconds`` pass.

        Raises:
            Stopped: ``stop`` was set meanwhile.
        """


class BlockingClock:
    """The machine's clock."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float, stop: Stop | None = None) -> None:
        (stop or Stop()).wait(seconds)
