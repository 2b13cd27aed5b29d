"""What every test stands on: no network beyond this machine, an empty home, no credentials."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

_DEAD_PROXY = "http://127.0.0.1:9"
"""Nothing listens on the discard port: whatever is sent through it fails at once."""

_KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT", "SSL_CERT_FILE", "SSL_CERT_DIR")


@pytest.fixture(autouse=True)
def clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty home, none of the user's variables, and a proxy that leads nowhere."""
    for name in list(os.environ):
        if name not in _KEPT and not name.startswith(("PYTEST_", "QWEN_TEST_", "COV")):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("TERM", "dumb")
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, _DEAD_PROXY)


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's own sockets may reach this machine only."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = str(address[0])
            if not (host.startswith("127.") or host in ("::1", "localhost")):
                raise PermissionError(f"a test tried to connect to {host}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture
def require() -> Callable[[str, bool], None]:
    """Skip where something is missing, unless ``QWEN_TEST_REQUIRE`` says that it must be there."""

    def check(name: str, is_there: bool) -> None:
        if is_there:
            return
        if name in os.environ.get("QWEN_TEST_REQUIRE", "").split(","):
            pytest.fail(f"{name} is required here, and missing")
        pytest.skip(f"{name} is not installed")

    return check
