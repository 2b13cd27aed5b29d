"""A canary key shows up nowhere: no output, log, file or child of any command in any failure."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

CANARY = "sk-canary-7f3a9c1e5b2d8046"

COMMANDS = [
    ("-p", "hi"),
    ("--debug", "-p", "hi"),
    ("-p", "hi", "--output-format", "json"),
    ("-p", "hi", "--output-format", "stream-json", "--include-partial-messages"),
    ("auth", "status"),
    ("auth", "status", "--json", "--check"),
    ("auth", "explain"),
    ("auth", "explain", "--json", "--debug"),
    ("auth", "list"),
    ("auth", "list", "--json"),
    ("auth", "switch", "nobody"),
    ("auth", "logout"),
    ("auth", "nonsense"),
    ("local", "status"),
    ("completion", "bash"),
    ("--help",),
    ("auth", "login", "--help"),
    ("--no-such-option",),
]

FAILURES = ["none", "401", "echo", "html", "cut", "refused", "garbage", "redirect"]


def arrange(server: Any, failure: str) -> str:
    """Make the server fail so; the base URL to use."""
    echo = {"error": {"message": f"bad key {CANARY} \x1b[31m", "code": "invalid_request"}}
    if failure == "401":
        server.status, server.error_body = 401, json.dumps(echo).encode()
    elif failure == "echo":
        server.status, server.error_body = 400, json.dumps(echo).encode()
    elif failure == "html":
        server.status, server.error_body = 200, f"<html>{CANARY}</html>".encode()
        server.status = 404
    elif failure == "cut":
        server.after_first_word = lambda: (_ for _ in ()).throw(OSError())
    elif failure == "garbage":
        server.status, server.error_body = 418, b"\xff\xfe" + CANARY.encode()
    elif failure == "redirect":
        server.status = 302
        server.extra_headers = {"Location": f"http://127.0.0.1:9/{CANARY}"}
    elif failure == "refused":
        return "http://127.0.0.1:9/v1"
    return str(server.base_url)


def places(root: Path) -> str:
    """Everything that was written below ``root``, but the files that the user wrote the key into."""
    files = (p for p in root.rglob("*") if p.is_file())
    ours = (p for p in files if p.name not in (".env", "profiles.json"))
    return "\n".join(f"{path}: {path.read_bytes()!r}" for path in ours)


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("source", ["shell", "dotenv", "login", "flag"])
def test_the_key_is_seen_nowhere(qwen: Any, server: Any, failure: str, source: str) -> None:
    base_url = arrange(server, failure)
    env = {"LLAMA_API_BASE_URL": base_url, "LLAMA_API_MODEL": "m"}
    extra: tuple[str, ...] = ()
    if source == "shell":
        env["LLAMA_API_KEY"] = CANARY
    elif source == "dotenv":
        qwen.write("~/.qwen/.env", f"LLAMA_API_KEY={CANARY}\n")
    elif source == "login":
        profile = {"method": "openai", "apiKey": CANARY}
        saved = {"current": "p", "profiles": {"p": profile}}
        qwen.write("~/.qwen/profiles.json", json.dumps(saved))
    else:
        extra = ("--api-key", CANARY)
    commands = COMMANDS if failure in ("none", "401") and source == "shell" else COMMANDS[:4]
    if failure == "refused":
        commands = COMMANDS[1:2]  # each takes the time of its retries
    for command in commands:
        takes_flags = command[0] not in ("completion", "local") and command != ("--help",)
        done = qwen(*command, *(extra if takes_flags else ()), env=env)
        assert CANARY not in done.stdout, command
        assert CANARY not in done.stderr, command
        assert "Traceback" not in done.stderr, (command, done.stderr)
    assert CANARY not in places(qwen.home)


def test_a_crash_of_our_own_tells_nothing(qwen: Any, server: Any) -> None:
    """Even a mistake in this program: its traceback goes to the log, without the key."""
    code = (
        "import sys; from qwen_code.models import client\n"
        "def broken(*a, **k): raise ValueError(repr(k) + 'sk-canary-7f3a9c1e5b2d8046')\n"
        "client.chat_request = broken\n"
        "sys.argv = ['qwen', '--debug', '-p', 'hi']\n"
        "from qwen_code.cli.main import main; main()\n"
    )
    import subprocess

    env = {**qwen.environ, "LLAMA_API_KEY": CANARY, "LLAMA_API_BASE_URL": server.base_url}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**env, "LLAMA_API_MODEL": "m"},
        cwd=qwen.project,
        capture_output=True,
        text=True,
        timeout=20,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 1
    assert "internal error" in done.stderr
    assert "Traceback" not in done.stderr
    logs = places(qwen.home)
    assert "Traceback" in logs
    assert CANARY not in done.stdout + done.stderr + logs


def test_children_do_not_inherit_it(qwen: Any, server: Any) -> None:
    dump = qwen.home / "dump"
    helper = qwen.write("~/helper.sh", f'#!/bin/sh\nenv > "{dump}"\necho sk-other-key-0123456789\n')
    helper.chmod(0o755)
    settings = {"security": {"auth": {"apiKeyHelper": [str(helper)]}}}
    qwen.write("~/.qwen/settings.json", json.dumps(settings))
    env = dict.fromkeys(("DASHSCOPE_API_KEY", "OPENROUTER_API_KEY", "MODELSCOPE_API_KEY"), CANARY)
    done = qwen(
        "-p", "hi", env={**env, "LLAMA_API_BASE_URL": server.base_url, "LLAMA_API_MODEL": "m"}
    )
    assert done.returncode == 0, done.stderr
    assert CANARY not in dump.read_text()
    assert f"HOME={qwen.home}" in dump.read_text()


@pytest.mark.parametrize("command", ["token", "env"])
def test_the_commands_that_exist_to_print_it_do(qwen: Any, server: Any, command: str) -> None:
    env = {"LLAMA_API_KEY": CANARY, "LLAMA_API_BASE_URL": server.base_url}
    done = qwen("auth", command, env=env)
    assert CANARY in done.stdout
    assert done.stderr == ""


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="no /proc on this system")
def test_the_process_list_does_not_show_it(qwen: Any, server: Any) -> None:
    """A key from the environment is in no command line while a request is under way."""
    seen: list[bytes] = []

    def look() -> None:
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    seen.append((entry / "cmdline").read_bytes())
                except OSError:
                    continue

    server.after_first_word = look
    qwen(
        "-p",
        "hi",
        env={
            "LLAMA_API_KEY": CANARY,
            "LLAMA_API_BASE_URL": server.base_url,
            "LLAMA_API_MODEL": "m",
        },
    )
    assert any(b"qwen_code" in line for line in seen)
    assert not any(CANARY.encode() in line for line in seen)
