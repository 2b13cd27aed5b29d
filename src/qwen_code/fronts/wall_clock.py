"""The time limit of a prompt: when it is over, its `Stop` is set."""

from __future__ import annotations

import math
import time
from threading import Timer
from types import TracebackType
from typing import Self

from qwen_code.agent.errors import WallTimeExceeded
from qwen_code.base.stop import Stop
from qwen_code.fronts.signals import Received
from qwen_code.wiring.time_limits import MAX_S, Limit


class WallClock:
    """Begins to count when it is made. Use it as a context manager, or the timer stays.

    ``received`` are the signals of a run whose output may not be read: once the time is over,
    that is not waited for either.
    """

    def __init__(self, stop: Stop, received: Received | None = None) -> None:
        self._stop = stop
        self._received = received
        self._began = time.monotonic()
        self._timer: Timer | None = None

    def limit(self, limit: Limit) -> None:
        """Let the prompt take this long, from when the clock was made."""
        if math.isinf(limit.seconds):
            return
        left_s = self._began + min(limit.seconds, MAX_S) - time.monotonic()
        self._timer = Timer(max(0.0, left_s), self._end, [limit])
        self._timer.daemon = True
        self._timer.start()

    def _end(self, limit: Limit) -> None:
        if self._received is not None:
            self._received.expire()
        self._stop.set(WallTimeExceeded(limit.seconds, limit.set_by))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
