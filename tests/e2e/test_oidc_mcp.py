"""``qwen mcp login`` by authorization code, at an authorization server that others wrote."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

pytestmark = pytest.mark.timeout(180)  # each test runs the command several times

SUPPORT = Path(__file__).parents[1] / "support"
BROWSER = shlex.join([sys.executable, str(SUPPORT / "plain_browser.py")])
SECRET = quote("a secret of the resource")


class Tools:
    """A server of tools that accepts the provider's tokens for itself, and the real command."""

    def __init__(self, qwen: Any, provider: Any) -> None:
        self.qwen, self.provider = qwen, provider
        host = urlsplit(provider.issuer).netloc
        self.process = subprocess.Popen(
            [sys.executable, SUPPORT / "mcp_server.py", "--http"],
            stdout=subprocess.PIPE,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
                "ISSUER": provider.issuer,
                "INTROSPECTION": f"http://qwen-test-resource:{SECRET}@{host}/token/introspection",
            },
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().decode().strip()
        self.file = qwen.home / ".qwen" / "mcp" / "ours.json"
        self.mcp("add", "ours", self.url)

    def mcp(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        done: subprocess.CompletedProcess[str] = self.qwen("mcp", *arguments, env=env)
        return done

    def login(self, *options: str) -> subprocess.CompletedProcess[str]:
        typed = json.dumps({"login": "alice", "password": "any"})
        return self.mcp("login", "ours", *options, BROWSER=BROWSER, QWEN_TEST_TYPED=typed)

    def state(self) -> tuple[str, str | None]:
        (line,) = json.loads(self.mcp("list", "--json").stdout)
        return line["state"], line["reason"]

    @property
    def stored(self) -> dict[str, Any]:
        return dict(json.loads(self.file.read_text()))

    def asked(self, grant: str) -> list[dict[str, Any]]:
        return [line for line in self.provider.log if line.get("grant_type") == grant]


@pytest.fixture
def tools(qwen: Any, oidc_provider: Any, require: Callable[[str, bool], None]) -> Iterator[Tools]:
    require("mcp", find_spec("mcp") is not None)
    each = Tools(qwen, oidc_provider)
    yield each
    each.process.kill()
    each.process.communicate()


def test_sign_in_use_renew_and_sign_out(tools: Tools) -> None:
    assert tools.state() == ("failed", "it requires a sign-in; run: qwen mcp login ours")
    done = tools.login()
    assert done.returncode == 0, done.stderr
    assert f"Signed in at {tools.provider.issuer} for {tools.url}." in done.stdout
    (exchange,) = tools.asked("authorization_code")
    assert (exchange["outcome"], exchange["resource"]) == ("ok", tools.url)
    assert tools.stored["scope"] == "tools:read"
    assert tools.stored["qwen_code"]["requested_scope"] == "tools:read offline_access"
    assert tools.file.stat().st_mode & 0o777 == 0o600
    assert tools.state() == ("connected", None)

    first = tools.stored
    tools.file.write_text(json.dumps({**first, "expiry_date": 1}))
    assert tools.state() == ("connected", None)
    (renewal,) = tools.asked("refresh_token")
    assert (renewal["outcome"], renewal["resource"]) == ("ok", tools.url)
    assert tools.stored["refresh_token"] != first["refresh_token"]

    assert "revoked at" in tools.mcp("logout", "ours").stdout
    assert not tools.file.exists() and tools.state()[0] == "failed"


def test_more_scopes_can_be_asked_for(tools: Tools) -> None:
    assert tools.login().returncode == 0
    done = tools.login("--scope", "tools:write")
    assert done.returncode == 0, done.stderr
    assert tools.stored["scope"] == "tools:read tools:write"
    assert len([line for line in tools.provider.log if line["endpoint"] == "/reg"]) == 2


def test_a_sign_in_that_the_server_has_ended(tools: Tools) -> None:
    assert tools.login().returncode == 0
    first = tools.stored
    tools.file.write_text(json.dumps({**first, "expiry_date": 1}))
    assert tools.state() == ("connected", None)
    tools.file.write_text(json.dumps({**first, "expiry_date": 1}))  # an old copy was put back
    state, reason = tools.state()
    assert state == "failed" and "your sign-in has ended" in str(reason)
    assert str(reason).endswith("Run: qwen mcp login ours")
    assert tools.login().returncode == 0
    assert tools.state() == ("connected", None)
