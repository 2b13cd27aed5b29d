"""The tokens of a sign-in are seen nowhere: not in outputs, logs, arguments or environments."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

FAILURES: dict[str, list[tuple[int, dict[str, str], bytes]]] = {
    "none": [],
    "server": [(500, {}, b"<html>")] * 3,
    "echo": [(400, {}, b'{"error":"invalid_grant","error_description":"%b is unknown"}')],
    "unknown": [(400, {}, b'{"error":"%b"}')],
    "redirect": [(302, {"location": "http://127.0.0.1:9/?token=%b"}, b"")],
    "garbage": [(200, {}, b'{"access_token":"%b"')] * 3,
}
COMMANDS = [
    ("-p", "hi"),
    ("-p", "hi", "-o", "stream-json"),
    ("auth", "status", "--check"),
    ("auth", "explain", "--json"),
    ("auth", "list"),
    ("auth", "doctor"),
    ("auth", "logout"),
]


def sign_in(qwen: Any, server: Any, expires_in_s: float) -> dict[str, str]:
    answer = server.issue()
    creds = {k: v for k, v in answer.items() if k != "expires_in"}
    creds["expiry_date"] = round((time.time() + expires_in_s) * 1000)
    qwen.write("~/.qwen/oauth_creds.json", json.dumps(creds)).chmod(0o600)
    return {name: str(creds[name]) for name in ("access_token", "refresh_token")}


@pytest.mark.parametrize("failure", FAILURES)
def test_no_command_shows_a_token(qwen: Any, auth_server: Any, failure: str) -> None:
    env = {"QWEN_OAUTH_BASE_URL": auth_server.base_url}
    for command in COMMANDS:
        tokens = sign_in(qwen, auth_server, -60)
        auth_server.answers = [
            (
                status,
                {k: v.replace("%b", tokens["refresh_token"]) for k, v in headers.items()},
                body.replace(b"%b", tokens["refresh_token"].encode()),
            )
            for status, headers, body in FAILURES[failure]
        ]
        done = qwen(*command, "--debug", env=env)
        auth_server.answers = []
        logs = "".join(p.read_text() for p in Path(qwen.home).rglob("*.log"))
        stored = Path(qwen.home, ".qwen", "oauth_creds.json")
        now = json.loads(stored.read_text()) if stored.exists() else tokens
        for token in {*tokens.values(), now["access_token"], now["refresh_token"]}:
            assert token not in done.stdout + done.stderr + logs, (command, failure)
        assert "Traceback" not in done.stderr


def test_the_renewing_process_shows_none(qwen: Any, auth_server: Any) -> None:
    tokens = sign_in(qwen, auth_server, -60)
    was_looked_at = threading.Event()
    auth_server.on_refresh = lambda: was_looked_at.wait(30)
    env = {"QWEN_OAUTH_BASE_URL": auth_server.base_url, "LLAMA_API_KEY": ""}
    process = qwen.start("-p", "hi", env=env, output=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while not auth_server._used:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    state = Path(qwen.home, ".qwen", "oauth_creds.state.json")
    pid = json.loads(state.read_text())["holder"]["pid"]
    seen = b"".join(Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ"))
    was_looked_at.set()
    assert b"qwen_code.auth.oauth.renewer" in seen
    assert not any(token.encode() in seen for token in tokens.values())
    assert process.wait(30) == 0
