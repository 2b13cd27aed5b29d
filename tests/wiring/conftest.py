from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conversations import Talk
from model_server import FakeModelServer


@pytest.fixture
def model() -> Iterator[FakeModelServer]:
    server = FakeModelServer()
    yield server
    server.close()


@pytest.fixture
def talks(tmp_path: Path, model: FakeModelServer) -> Iterator[Callable[..., Talk]]:
    """Make places for conversations; all are closed at the end."""
    made: list[Talk] = []

    def make(name: str = "one", **options: Any) -> Talk:
        made.append(Talk(tmp_path / name, model.base_url, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def talk(talks: Callable[..., Talk]) -> Talk:
    return talks()
