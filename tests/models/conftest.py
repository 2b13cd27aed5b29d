"""A clock that a test moves by hand."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest


class FakeClock:
    """Time that passes only by sleeping, or where a test says so."""

    def __init__(self, start: float = 1_750_000_000.0) -> None:
        self.time = start
        self.slept: list[float] = []
        self.on_sleep: Callable[[], None] = lambda: None

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.on_sleep()
        self.time += seconds


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The local time is UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()
