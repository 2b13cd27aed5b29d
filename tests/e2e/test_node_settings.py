"""Settings as Node Qwen Code's documents show them, each with the real ``qwen``: it starts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from node_documents import Block, blocks
from node_qwen import is_installed

SECTIONS = {
    *("agents", "channels", "context", "disableAllHooks", "dualOutput", "env", "experimental"),
    *("fastModel", "general", "hooks", "mcp", "mcpServers", "memory", "model", "modelProviders"),
    *("omni", "outboundCorrelation", "permissions", "privacy", "providerProtocol", "security"),
    *("slashCommands", "telemetry", "tools", "ui", "webhooks", "worktree"),
}
ELSEWHERE = ("features/channels/", "features/omni", "features/status-line", "qwen-serve")
"""Documents of what this program does not have: their examples run with the long tests."""

SHELL = {"OPENAI_API_KEY": "sk-shell-0123456789", "OPENAI_MODEL": "shell-model"}


def is_settings(block: Block) -> bool:
    tree = block.tree() if block.language in {"json", "jsonc"} else None
    return bool(tree) and set(tree or ()) <= SECTIONS


def cases() -> list[Any]:
    found = [block for block in blocks() if is_settings(block)]
    return [
        pytest.param(
            block,
            scope,
            id=f"{block.id}-{'user' if scope[0] == '~' else 'project'}",
            marks=[pytest.mark.long] if block.document.startswith(ELSEWHERE) else [],
        )
        for block in found
        for scope in ("~/.qwen", ".qwen")
    ]


@pytest.fixture(autouse=True)
def installed(require: Callable[[str, bool], None]) -> None:
    require("node-qwen", is_installed())


def at_stub(text: str, server: Any) -> str:
    """The same with every model endpoint at the test's server."""
    return re.sub(r'"baseUrl": "https?://[^"]*"', f'"baseUrl": "{server.base_url}"', text)


def keys_of(text: str) -> dict[str, str]:
    """A key for every variable that it names as holding one."""
    return {name: f"sk-{name}-0123" for name in re.findall(r'"envKey": "(\w+)"', text)}


def test_there_are_enough() -> None:
    found = [block for block in blocks() if is_settings(block)]
    assert len(found) >= 90 and len({block.document for block in found}) >= 30


@pytest.mark.parametrize(("block", "scope"), cases())
def test_it_starts(qwen: Any, server: Any, block: Block, scope: str) -> None:
    tree = block.tree() or {}
    qwen.write(f"{scope}/settings.json", at_stub(block.text, server))
    environ = {**SHELL, "OPENAI_BASE_URL": server.base_url, **keys_of(block.text)}
    done = qwen("-p", "hi", env=environ)
    assert "Traceback" not in done.stderr and "internal error" not in done.stderr
    if scope == "~/.qwen" and uses_responses(tree):
        assert done.returncode == 41 and "responses" in done.stderr
        return
    assert (done.returncode, done.stdout) == (0, "Hello from the model\n"), done.stderr
    chosen = chosen_model(tree) if scope == "~/.qwen" else None
    sent = next(r for r in server.requests if r.method == "POST")
    if chosen is not None:
        assert sent.body["model"] == chosen["id"]
        assert sent.key == environ[chosen["envKey"]]
    else:
        assert sent.body["model"] == "shell-model"
        assert sent.key == environ["OPENAI_API_KEY"]


def chosen_model(tree: dict[str, Any]) -> Any:
    name = tree.get("model", {}).get("name")
    models = tree.get("modelProviders", {}).get("openai", [])
    return next((model for model in models if model["id"] == name), None)


def uses_responses(tree: dict[str, Any]) -> bool:
    return (chosen_model(tree) or {}).get("wireApi") == "responses"


# -- what has an effect has it ------------------------------------------------------------------


def with_section(*path: str) -> list[Any]:
    found = []
    for block in blocks():
        tree: Any = block.tree() if is_settings(block) else None
        for name in path:
            tree = tree.get(name) if isinstance(tree, dict) else None
        if tree:
            found.append(pytest.param(block, tree, id=block.id))
    return found


@pytest.mark.parametrize(("block", "servers"), with_section("mcpServers"))
def test_servers_of_the_user_are_listed(qwen: Any, block: Block, servers: dict[str, Any]) -> None:
    qwen.write("~/.qwen/settings.json", block.text)
    done = qwen("mcp", "list")
    assert done.returncode == 0, done.stderr
    for name in servers:
        assert name in done.stdout


@pytest.mark.parametrize("kind", ["allow", "ask", "deny"])
def test_rules_of_the_user_are_listed(qwen: Any, kind: str) -> None:
    found = [each.values for each in with_section("permissions", kind)]
    assert found
    for block, rules in found:
        qwen.write("~/.qwen/settings.json", block.text)
        done = qwen("permissions", "list")
        assert done.returncode == 0, done.stderr
        for rule in rules:
            assert rule in done.stdout, (block.id, rule)


@pytest.mark.parametrize(("block", "mode"), with_section("tools", "approvalMode"))
def test_a_mode_of_the_user_is_used_or_named(
    qwen: Any, server: Any, block: Block, mode: str
) -> None:
    qwen.write("~/.qwen/settings.json", block.text)
    environ = {**SHELL, "OPENAI_BASE_URL": server.base_url}
    done = qwen("-p", "hi", "-o", "json", env=environ)
    assert done.returncode == 0, done.stderr
    used = json.loads(done.stdout)[0]["permission_mode"]
    is_named = "tools.approvalMode" in done.stderr or f"the mode {mode} is" in done.stderr
    assert used == mode or is_named


@pytest.mark.parametrize(("block", "hooks"), with_section("hooks"))
def test_hooks_of_the_user_are_listed_or_named(
    qwen: Any, server: Any, block: Block, hooks: dict[str, Any]
) -> None:
    qwen.write("~/.qwen/settings.json", block.text)
    listed = qwen("hooks", "list")
    assert listed.returncode == 0, listed.stderr
    environ = {**SHELL, "OPENAI_BASE_URL": server.base_url}
    said = listed.stdout + listed.stderr + qwen("-p", "hi", env=environ).stderr
    for event, groups in hooks.items():
        assert event in said or all(
            hook.get("command", hook["type"]) in said for group in groups for hook in group["hooks"]
        ), said


@pytest.mark.parametrize(("block", "providers"), with_section("modelProviders"))
def test_every_model_of_the_user_can_be_named(
    qwen: Any, server: Any, block: Block, providers: dict[str, Any]
) -> None:
    """With nothing but the settings and the key's variable, as the documents have it."""
    protocols = (block.tree() or {}).get("providerProtocol", {})
    qwen.write("~/.qwen/settings.json", at_stub(block.text, server))
    for provider, models in providers.items():
        if protocols.get(provider, provider) != "openai" or not isinstance(models, list):
            continue
        for model in models:
            if model.get("wireApi") == "responses" or "baseUrl" not in model:
                continue
            key = model.get("envKey", "OPENAI_API_KEY")
            done = qwen("-p", "hi", "-m", model["id"], env={key: f"sk-{key}-0123456"})
            assert done.returncode == 0, (model, done.stderr)
            assert server.requests[-1].body["model"] == model["id"]
            assert server.requests[-1].key == f"sk-{key}-0123456"
