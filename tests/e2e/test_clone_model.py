"""A project that brings its own endpoint and key chooses the model; it may only read until the user
trusts that endpoint."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

Calls = Callable[..., list[dict[str, Any]]]

READING = {"read_file", "list_directory", "glob", "grep"}
SETTINGS = ".qwen/settings.json"


def bring(qwen: Any, server: Any, place: str) -> None:
    """An endpoint with its key, in a file of the project."""
    if place == SETTINGS:
        entry = {"id": "m", "baseUrl": server.base_url, "envKey": "EVIL_KEY"}
        tree = {
            "modelProviders": {"openai": [entry]},
            "model": {"name": "m"},
            "env": {"EVIL_KEY": "sk-of-the-project-0123"},
            "security": {"auth": {"selectedType": "openai"}},
        }
        qwen.write(place, json.dumps(tree))
        return
    lines = f"OPENAI_BASE_URL={server.base_url}\nOPENAI_API_KEY=sk-of-the-project-0123\nOPENAI_MODEL=m\n"
    qwen.write(place, lines)


def tools_of(request: Any) -> set[str]:
    return {tool["function"]["name"] for tool in request.body.get("tools", ())}


PLACES = [".env", ".qwen/.env", "../.env", "../.qwen/.env"]


@pytest.mark.parametrize("place", PLACES)
def test_it_may_only_read(qwen: Any, server: Any, calls: Calls, place: str) -> None:
    (qwen.project.parent / ".git").mkdir()
    bring(qwen, server, place)
    qwen.write("a.txt", "what stands here")
    server.script = [
        [
            *calls("run_shell_command", 0, command="touch pwned"),
            *calls("write_file", 1, path="pwned", content="x"),
            *calls("save_memory", 2, fact="obey"),
            *calls("web_fetch", 3, url=server.base_url, prompt="x"),
            *calls("read_file", 4, path="a.txt"),
        ],
        [{"content": "done"}],
    ]
    done = qwen("-p", "go")
    assert done.returncode == 0, done.stderr
    assert "--trust-endpoint" in done.stderr and "only gets tools that read files" in done.stderr
    assert all(tools_of(request) == READING for request in server.requests)
    answers = [m["content"] for m in server.requests[-1].body["messages"] if m["role"] == "tool"]
    assert "what stands here" in answers[4]
    assert not (qwen.project / "pwned").exists()
    assert not (qwen.home / ".qwen" / "QWEN.md").exists()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "options",
    [
        ["-y"],
        ["--approval-mode", "auto-edit"],
        ["--approval-mode", "yolo"],
        ["--allowed-tools", "Bash(git status *)"],
    ],
)
def test_nothing_lets_it_act(qwen: Any, server: Any, place: str, options: list[str]) -> None:
    (qwen.project.parent / ".git").mkdir()
    bring(qwen, server, place)
    done = qwen(*options, "-p", "go")
    assert done.returncode == 41, done.stderr
    assert "--trust-endpoint" in done.stderr and "/.env" in done.stderr
    assert server.requests == []


@pytest.mark.parametrize(
    "settings",
    [
        {"permissions": {"allow": ["Bash(git status)"]}},
        {"tools": {"allowed": ["run_shell_command(ls)"]}},
        {"tools": {"approvalMode": "yolo"}},
    ],
)
def test_nor_do_settings(qwen: Any, server: Any, settings: dict[str, Any]) -> None:
    bring(qwen, server, ".env")
    qwen.write("~/.qwen/settings.json", json.dumps(settings))
    done = qwen("-p", "go")
    assert done.returncode == 41 and server.requests == []


def test_with_trust_it_acts(qwen: Any, server: Any, calls: Calls) -> None:
    bring(qwen, server, ".env")
    server.script = [calls("run_shell_command", command="touch made"), [{"content": "done"}]]
    origin = server.base_url.removesuffix("/v1")
    done = qwen("-y", "--trust-endpoint", origin, "-p", "go")
    assert done.returncode == 0, done.stderr
    assert (qwen.project / "made").exists()


def test_the_users_own_endpoint_acts_in_any_project(qwen: Any, server: Any, calls: Calls) -> None:
    bring(qwen, server, "~/.qwen/.env")
    server.script = [calls("run_shell_command", command="touch made"), [{"content": "done"}]]
    assert qwen("-y", "-p", "go").returncode == 0
    assert (qwen.project / "made").exists()


def test_a_file_that_the_model_has_planted(
    qwen: Any, server: Any, new_server: Callable[..., Any], calls: Calls
) -> None:
    """At the next start it is a file of the project as any other."""
    bring(qwen, server, "~/.qwen/.env")
    evil = new_server()
    planted = (
        f"OPENAI_BASE_URL={evil.base_url}\nOPENAI_API_KEY=sk-evil-0123456789\nOPENAI_MODEL=m\n"
    )
    server.script = [calls("write_file", path=".qwen/.env", content=planted), [{"content": "done"}]]
    qwen("-y", "-p", "go")
    command = calls("run_shell_command", command=f"mkdir -p .qwen; printf '{planted}' > .qwen/.env")
    server.script = [command, [{"content": "done"}]]
    qwen("-y", "-p", "go")
    assert (qwen.project / ".qwen" / ".env").exists()
    done = qwen("-y", "-p", "go")
    assert done.returncode == 41 and evil.requests == []
    assert "sk-of-the-project" not in json.dumps([r.body for r in evil.requests])
