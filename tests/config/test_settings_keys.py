from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from qwen_code.config.settings import Layer
from qwen_code.config.settings_keys import (
    is_known,
    is_secret,
    known_keys,
    leaves,
    may_be_in_project,
    near_keys,
    takes_list,
    takes_text,
    wrong_value,
)


@pytest.mark.parametrize(
    "key",
    [
        *("model.name", "model", "tools.approvalMode", "permissions.deny", "env.ANY", "env"),
        *("modelProviders.openai", "security.auth.oauth.issuer", "security", "hooks.PreToolUse"),
        *("mcpServers.time.command", "model.generationConfig.samplingParams.temperature"),
        "qwen_code.prices.some-model",
    ],
)
def test_known(key: str) -> None:
    assert is_known(key)


@pytest.mark.parametrize("key", ["ui.theme", "tools.aprovalMode", "model.name.x", "permisions", ""])
def test_not_known(key: str) -> None:
    assert not is_known(key)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("tools.aprovalMode", "tools.approvalMode"),
        ("tools.approvalmode", "tools.approvalMode"),
        ("approvalMode", "tools.approvalMode"),
        ("sandbox", "tools.sandbox"),
        ("models.name", "model.name"),
        ("permissions.denied", "permissions.deny"),
    ],
)
def test_near(typed: str, meant: str) -> None:
    assert meant in near_keys(typed)


def test_nothing_is_near() -> None:
    assert near_keys("zzz.qqq") == []


@pytest.mark.parametrize(
    ("key", "tree", "words"),
    [
        ("tools.approvalMode", {"tools": {"approvalMode": "yes"}}, "one of plan"),
        ("quota.perDay", {"quota": {"perDay": -1}}, "a whole number"),
        ("quota", {"quota": 3}, "an object"),
        ("quota.perDay", {"quota": 3}, "an object"),
        ("permissions.deny", {"permissions": {"deny": [1]}}, "a list of texts"),
        ("security.auth.baseUrl", {"security": {"auth": {"baseUrl": 1}}}, "a text"),
        ("security.auth.selectedType", {"security": {"auth": {"selectedType": []}}}, "a text"),
        ("env.X", {"env": {"X": 1}}, "a text"),
    ],
)
def test_wrong_values(key: str, tree: dict[str, Any], words: str) -> None:
    found = wrong_value(Layer(Path("f"), b"", tree), key)
    assert found is not None and words in found.words


def test_a_wrong_value_elsewhere_is_no_reason() -> None:
    layer = Layer(Path("f"), b"", {"quota": {"perDay": "x"}, "model": {"name": "m"}})
    assert wrong_value(layer, "model.name") is None


def test_kinds() -> None:
    assert takes_text("model.name") and takes_text("env.X") and not takes_text("quota.perDay")
    assert takes_list("permissions.deny") and not takes_list("model.name")
    assert "model.name" in known_keys() and "selectedAuthType" not in known_keys()


@pytest.mark.parametrize(
    "key", ["env.A_API_KEY", "security.auth.apiKey", "mcpServers.x.headers.Authorization"]
)
def test_secrets(key: str) -> None:
    assert is_secret(key)


def test_no_secrets() -> None:
    assert not is_secret("model.name") and not is_secret("permissions.deny")


def test_leaves() -> None:
    tree = {"a": {"b": 1, "c": {}}, "d": [1]}
    assert list(leaves(tree)) == [("a.b", 1), ("a.c", {}), ("d", [1])]


def test_what_a_project_may_set() -> None:
    assert may_be_in_project("model.name") and not may_be_in_project("tools.approvalMode")
