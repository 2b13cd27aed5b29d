"""Only tests with the mark ``process`` can start processes; ``make test-fast`` leaves them out.

A pytest plugin, loaded by ``conftest.py``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_END_TO_END = Path(__file__).parent.parent / "e2e"
_FIXTURES = {"emulate", "open_servers", "real_server", "start_http", "start_oidc_provider"}
"""Fixtures that start processes; a test that uses one gets the mark."""

_EVENTS = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"}
"""Python's audit events: https://docs.python.org/3/library/audit_events.html"""


class _Guard:
    """Fails the running test when it starts a process and does not have the mark.

    An audit hook sees every way to start a process; a patch would see one.
    """

    def __init__(self) -> None:
        self.is_on = False
        self.started: list[str] = []

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.is_on and event in _EVENTS:
            self.started.append(f"{event} {arguments[:2]}")
            self.fail()

    def fail(self) -> None:
        pytest.fail(
            f"starts a process ({self.started[0]}): mark it with @pytest.mark.process, "
            "so that make test-fast leaves it out"
        )


_guard = _Guard()
sys.addaudithook(_guard.hook)


@pytest.hookimpl(tryfirst=True)  # before -m is applied
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        fixtures: set[str] = set(getattr(item, "fixturenames", ()))
        is_real = item.get_closest_marker("local_model") is not None
        if is_real or _END_TO_END in item.path.parents or fixtures & _FIXTURES:
            item.add_marker("process")


@pytest.fixture(autouse=True)
def no_process_without_the_mark(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that starts a process without the mark ``process``, in any thread."""
    _guard.is_on = request.node.get_closest_marker("process") is None
    _guard.started.clear()
    yield
    _guard.is_on = False
    if _guard.started:
        _guard.fail()
