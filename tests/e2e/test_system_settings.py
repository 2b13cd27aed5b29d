"""The settings of the machine: above the user's, and never from a project."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

Calls = Callable[..., list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def signed_in(qwen: Any, server: Any) -> None:
    lines = f"OPENAI_BASE_URL={server.base_url}\nOPENAI_API_KEY=sk-0123456789\nOPENAI_MODEL=m\n"
    qwen.write("~/.qwen/.env", lines)


def system(qwen: Any, tree: Any, name: str = "SETTINGS") -> Any:
    text = tree if isinstance(tree, str) else json.dumps(tree)
    path = qwen.write(
        "~/../system/settings.json" if name == "SETTINGS" else "~/../system/d.json", text
    )
    qwen.environ[f"QWEN_CODE_SYSTEM_{name}_PATH"] = str(path)
    return path


def user(qwen: Any, tree: Any) -> None:
    qwen.write("~/.qwen/settings.json", json.dumps(tree))


def test_what_it_denies_is_denied(qwen: Any, server: Any, calls: Calls) -> None:
    system(qwen, {"permissions": {"deny": ["Bash(touch *)"]}, "tools": {"exclude": ["web_fetch"]}})
    user(qwen, {"permissions": {"allow": ["Bash(touch *)"], "deny": ["Bash(mkdir *)"]}})
    commands = ["touch a", "mkdir b", "echo c > c"]
    server.script = [
        [c for n, line in enumerate(commands) for c in calls("run_shell_command", n, command=line)],
        [{"content": "ok"}],
    ]
    assert qwen("-y", "-p", "go").returncode == 0
    assert [p.name for p in qwen.project.iterdir()] == ["c"]
    assert "web_fetch" not in json.dumps(server.requests[0].body["tools"])
    listed = qwen("permissions", "list").stdout
    assert "system/settings.json" in listed and ".qwen/settings.json" in listed


@pytest.mark.parametrize("tools", [["read_file"], ["read_file", "Bash"]])
def test_the_only_tools_are_those_of_every_list(qwen: Any, server: Any, tools: list[str]) -> None:
    system(qwen, {"tools": {"core": tools}})
    user(qwen, {"tools": {"core": ["read_file", "edit"]}})
    qwen("-p", "go")
    offered = [tool["function"]["name"] for tool in server.requests[0].body["tools"]]
    assert offered == ["read_file"]


def test_the_method_that_it_enforces(qwen: Any, server: Any) -> None:
    system(qwen, {"security": {"auth": {"enforcedType": "qwen-oauth"}}})
    user(qwen, {"security": {"auth": {"enforcedType": "openai", "selectedType": "openai"}}})
    done = qwen("-p", "go")
    assert done.returncode == 41 and server.requests == []
    assert "system/settings.json" in qwen("auth", "explain").stdout
    done = qwen("-p", "go", "--auth-type", "openai")
    assert done.returncode in (41, 52) and "allows only qwen-oauth" in done.stderr
    assert server.requests == []


@pytest.mark.parametrize("where", ["user", "flag"])
def test_the_endpoints_that_it_allows(qwen: Any, server: Any, where: str) -> None:
    path = system(qwen, {"security": {"allowedEndpoints": ["https://gateway.corp"]}})
    user(qwen, {"security": {"allowedEndpoints": ["*"]}})
    options = (
        ["--base-url", server.base_url, "--api-key", "sk-1234567890"] if where == "flag" else []
    )
    done = qwen(*options, "-p", "go")
    assert done.returncode == 41, done.stderr
    assert f"is not allowed by security.allowedEndpoints in {path}" in done.stderr
    assert "https://gateway.corp" in done.stderr and server.requests == []
    system(qwen, {"security": {"allowedEndpoints": ["127.0.0.1"]}})
    assert qwen(*options, "-p", "go", "-m", "m").returncode == 0


def test_the_models_that_it_allows(qwen: Any, server: Any) -> None:
    system(qwen, {"model": {"allowed": ["good-*"]}})
    done = qwen("-p", "go")
    assert done.returncode == 41 and "the model m is not allowed" in done.stderr
    assert qwen("-p", "go", "-m", "good-1").returncode == 0
    user(qwen, {"model": {"fallbacks": ["bad-1"]}})
    done = qwen("-p", "go", "-m", "good-1")
    assert done.returncode == 41 and "bad-1" in done.stderr


@pytest.mark.parametrize("by", ["system", "user", "variable"])
def test_a_store_that_there_is_not(qwen: Any, server: Any, by: str) -> None:
    """Never the plain file instead."""
    tree = {"security": {"auth": {"store": "keyring"}}}
    if by == "variable":
        qwen.environ["QWEN_STORE"] = "redis://:password-of-redis@127.0.0.1/1"
    elif by == "system":
        system(qwen, tree)
    else:
        user(qwen, tree)
    for command in (["-p", "go"], ["auth", "login", "--with-api-key"], ["auth", "status"]):
        done = qwen(*command, stdin=b"sk-0123456789")
        assert done.returncode == 52 and "is not supported" in done.stderr, (command, done.stderr)
        assert "password-of-redis" not in done.stderr + done.stdout
    assert server.requests == []


@pytest.mark.parametrize("text", ["{", "[]", '{"permissions": {"deny": "x"}}', '{"security": 1}'])
def test_one_that_is_broken_is_an_error(qwen: Any, server: Any, text: str) -> None:
    system(qwen, text)
    done = qwen("-p", "go")
    assert done.returncode == 52 and server.requests == []


def test_one_that_anyone_can_change_is_an_error(qwen: Any, server: Any) -> None:
    system(qwen, {}).chmod(0o666)
    done = qwen("-p", "go")
    assert done.returncode == 52 and "chmod o-w" in done.stderr


def test_defaults_are_below_all_others(qwen: Any, server: Any) -> None:
    system(qwen, {"context": {"fileName": ["DEFAULT.md"]}, "model": {"name": "d"}}, "DEFAULTS")
    qwen.write("DEFAULT.md", "by default")
    qwen("-p", "go")
    assert "by default" in json.dumps(server.requests[-1].body)
    user(qwen, {"context": {"fileName": ["OWN.md"]}})
    qwen("-p", "go")
    assert "by default" not in json.dumps(server.requests[-1].body)


def test_a_project_cannot_say_where_they_are(qwen: Any, server: Any) -> None:
    qwen.write("evil.json", '{"permissions": {"allow": ["run_shell_command"]}}')
    qwen.write(".qwen/.env", f"QWEN_CODE_SYSTEM_SETTINGS_PATH={qwen.project}/evil.json\n")
    assert "evil" not in qwen("permissions", "list").stdout
