"""What every test stands on: no network beyond this machine, an empty home, no credentials."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.parse
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from emulator_process import EmulatorProcess
from fake_oauth import FakeAuthorizationServer
from hypothesis import HealthCheck, settings
from plain_browser import follow_forms

pytest_plugins = ["conversations", "prerequisites", "processes", "pytester"]

# No time limit per example: a busy machine exceeds any. Each run uses the same examples;
# `make fuzz` looks for new ones.
_PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("test", _PATIENT, derandomize=True)
settings.register_profile(
    "fuzz", _PATIENT, max_examples=int(os.environ.get("QWEN_TEST_FUZZ_EXAMPLES") or 2000)
)
settings.load_profile("test")

_DEAD_PROXY = "http://127.0.0.1:9"
"""Nothing listens on the discard port: whatever is sent through it fails at once."""

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Shells ignore SIGINT in background jobs, and child processes inherit that: without this, tests
    # that interrupt a process would fail there.
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGQUIT") and signal.getsignal(signal.SIGQUIT) is signal.SIG_IGN:
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)  # likewise
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # so it is under nohup

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


_OAUTH_SERVER = Path(__file__).parent / "oauth_server"
# Wherever it is, it has to be called node_modules: node looks for packages in nothing else.
_NODE_MODULES = Path(os.environ.get("QWEN_TEST_NODE_MODULES") or _OAUTH_SERVER / "node_modules")


class OidcProvider:
    """``oidc-provider`` in a separate process, and the user who signs in at its pages.

    ``issuer`` and ``client_id`` are what a client needs; the client is public and may use the
    device grant and refresh tokens, which rotate: using one twice ends the whole family.
    """

    def __init__(self, log: Path, *arguments: str) -> None:
        self._log = log
        self._log_start = 0
        with log.open("wb") as stderr:
            self._process = subprocess.Popen(
                ["node", "server.mjs", "--modules", str(_NODE_MODULES.resolve()), *arguments],
                cwd=_OAUTH_SERVER,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
            )
        assert self._process.stdout is not None
        told = self._process.stdout.readline()
        if not told:
            self.close()
            raise RuntimeError(log.read_text())
        self.issuer: str = json.loads(told)["issuer"]
        self.client_id: str = json.loads(told)["client_id"]

    @property
    def log(self) -> list[dict[str, Any]]:
        """What clients asked since this test began, oldest first.

        ``at`` (seconds since the server started), ``endpoint``, ``grant_type``, ``outcome``
        (``ok`` or the OAuth error), ``status``, ``detail``, and ``presented``: a digest of the
        token or device code that was sent, to see whether one was sent twice.
        """
        lines = self._log.read_text()[self._log_start :].splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def begin_log(self) -> None:
        """Forget what was asked until now."""
        self._log_start = len(self._log.read_text())

    def approve(self, user_code: str, login: str = "alice") -> None:
        """Sign in, confirm the code and consent, as a browser would: form after form."""
        typed = {"login": login, "password": "any"}
        page = follow_forms(self._device_page(user_code), typed)
        assert "Sign-in Success" in page, page

    def deny(self, user_code: str) -> None:
        """Press "Abort" on the page that shows the code."""
        page = follow_forms(self._device_page(user_code), {}, abort=True)
        assert "was interrupted" in page, page

    def close(self) -> None:
        """End it: it stops when its stdin does."""
        with self._process as process:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()

    def _device_page(self, user_code: str) -> str:
        return f"{self.issuer}/device?{urllib.parse.urlencode({'user_code': user_code})}"


@pytest.fixture(scope="session")
def running_oidc_providers(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[..., OidcProvider]]:
    """One server for each set of arguments; all are ended when the tests are."""
    running: dict[tuple[str, ...], OidcProvider] = {}

    def run(*arguments: str) -> OidcProvider:
        if arguments not in running:
            log = tmp_path_factory.mktemp("oidc_provider") / "log"
            running[arguments] = OidcProvider(log, *arguments)
        return running[arguments]

    yield run
    for each in running.values():
        each.close()


@pytest.fixture
def start_oidc_provider(
    require: Callable[[str, bool], None], running_oidc_providers: Callable[..., OidcProvider]
) -> Callable[..., OidcProvider]:
    """An authorization server that others wrote, its lifetimes in seconds."""
    installed = (_NODE_MODULES / "oidc-provider" / "package.json").is_file()
    require("oidc-provider", installed and shutil.which("node") is not None)

    def start(*, access_token_ttl: int = 3600, device_code_ttl: int = 600) -> OidcProvider:
        lifetimes = [
            f"--access-token-ttl={access_token_ttl}",
            f"--device-code-ttl={device_code_ttl}",
        ]
        provider = running_oidc_providers(*lifetimes)
        provider.begin_log()
        return provider

    return start


@pytest.fixture
def oidc_provider(start_oidc_provider: Callable[..., OidcProvider]) -> OidcProvider:
    return start_oidc_provider()


@pytest.fixture
def auth_server() -> Iterator[FakeAuthorizationServer]:
    """An authorization server of the tests' own."""
    server = FakeAuthorizationServer()
    yield server
    server.close()


@pytest.fixture
def emulate(
    tmp_path: Path, require: Callable[[str, bool], None]
) -> Iterator[Callable[..., EmulatorProcess]]:
    """Start emulators; all are ended with the test."""
    require("emulator", find_spec("authlib") is not None)
    running: list[EmulatorProcess] = []

    def start(*arguments: str) -> EmulatorProcess:
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
        }
        running.append(EmulatorProcess(environ, *arguments))
        return running[-1]

    yield start
    for process in running:
        process.close()
