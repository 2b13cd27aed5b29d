from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from fake_oauth import FakeAuthorizationServer

pytestmark = pytest.mark.process

SERVER = Path(__file__).parent.parent / "support" / "mcp_server.py"


class Remote:
    """A server that believes the tests' authorization server, and the real command."""

    def __init__(self, root: Path, auth: FakeAuthorizationServer) -> None:
        self.auth = auth
        self.cwd = root / "project"
        self.cwd.mkdir()
        self.store = root / "home" / ".qwen" / "mcp"
        base = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
        }
        self.environ = {**base, "HOME": str(root / "home")}
        self.process = subprocess.Popen(
            [sys.executable, SERVER, "--http"],
            stdout=subprocess.PIPE,
            env={**base, "ISSUER": auth.base_url},
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().decode().strip()
        auth.resource = self.url

    def qwen(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        with self.start(*arguments) as process:
            out, err = process.communicate(timeout=30)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "qwen_code.cli.main", "mcp", *arguments],
            cwd=self.cwd,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def login(self, name: str) -> tuple[str, str, int]:
        with self.start("login", name, "--no-browser") as process:
            assert process.stdout is not None
            seen = ""
            while not (code := re.search(r"Code: (\S+)", seen)):
                line = process.stdout.readline()
                assert line, process.stderr and process.stderr.read()
                seen += line
            self.auth.approve(code[1])
            out, err = process.communicate(timeout=30)
        return seen + out, err, process.returncode

    def states(self) -> dict[str, Any]:
        lines = json.loads(self.qwen("list", "--json").stdout)
        return {line["name"]: (line["state"], line["reason"]) for line in lines}


@pytest.fixture
def remote(
    tmp_path: Path, auth_server: FakeAuthorizationServer, require: Callable[[str, bool], None]
) -> Iterator[Remote]:
    require("mcp", find_spec("mcp") is not None)
    each = Remote(tmp_path, auth_server)
    yield each
    each.process.kill()
    each.process.communicate()


def test_sign_in_use_renew_and_sign_out(remote: Remote) -> None:
    remote.qwen("add", "ours", remote.url)
    assert remote.states() == {
        "ours": ("failed", "it requires a sign-in; run: qwen mcp login ours")
    }
    out, err, code = remote.login("ours")
    assert code == 0 and "Signed in" in out and remote.url in out, err
    file = remote.store / "ours.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert not (remote.store / "ours.pending.json").exists()
    assert remote.states() == {"ours": ("connected", None)}
    remote.auth.revoke_access_tokens()
    assert remote.states() == {"ours": ("connected", None)}
    (renewal,) = remote.auth.entries("refresh")
    assert renewal.form["resource"] == remote.url and renewal.form["client_id"] == "registered"
    assert remote.auth.entries("device")[0].form["resource"] == remote.url
    # What is called the same and is elsewhere gets nothing.
    remote.qwen("add", "ours", remote.url.replace("127.0.0.1", "localhost"))
    assert remote.states()["ours"][0] == "failed"
    assert "revoked at" in remote.qwen("logout", "ours").stdout
    assert not file.exists()
    assert "not signed in" in remote.qwen("logout", "ours").stdout
    assert "not signed in" in remote.qwen("logout", "../oauth_creds").stdout


def test_without_the_device_grant_the_way_out_is_named(remote: Remote) -> None:
    remote.auth.has_device_grant = False
    remote.qwen("add", "ours", remote.url)
    ended = remote.qwen("login", "ours")
    assert ended.returncode == 52 and "device grant" in ended.stderr
    assert "-H 'Authorization: Bearer $TOKEN'" in ended.stderr


def test_a_model_signs_in_nowhere(remote: Remote) -> None:
    remote.qwen("add", "ours", remote.url)
    remote.environ["QWEN_CODE"] = "1"
    ended = remote.qwen("login", "ours", "--scope", "admin")
    assert ended.returncode == 2 and "by a command that the model runs" in ended.stderr
    assert remote.auth.log == []


def test_what_cannot_be_signed_in_to(remote: Remote) -> None:
    remote.qwen("add", "command", "true")
    assert "needs no sign-in" in remote.qwen("login", "command").stderr
    assert remote.qwen("login", "nobody").returncode == 52
    table = {"mcpServers": {"theirs": {"httpUrl": remote.url}}}
    (remote.cwd / ".mcp.json").write_text(json.dumps(table))
    assert "qwen mcp trust theirs" in remote.qwen("login", "theirs").stderr
    assert remote.auth.entries("device") == []
