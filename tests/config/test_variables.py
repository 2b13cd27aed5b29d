from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from qwen_code.config.load import Config
from qwen_code.config.paths import Paths
from qwen_code.config.variables import expanded, variables_for

ENVIRON = {"HOST": "h.example", "EMPTY": ""}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("https://$HOST/v1", "https://h.example/v1"),
        ("https://${HOST}/v1", "https://h.example/v1"),
        ("$HOST$HOST", "h.exampleh.example"),
        ("a$EMPTY", "a"),
        ("$MISSING", "$MISSING"),
        ("${MISSING}", "${MISSING}"),
        ("5$ and $5", "5$ and $5"),
        ("$$HOST", "$h.example"),
        ("no dollar", "no dollar"),
    ],
)
def test_names_of_variables(text: str, value: str) -> None:
    tree: dict[str, Any] = {"model": {"baseUrl": text, "list": [text, 5, None]}}
    assert expanded(tree, ENVIRON) == {"model": {"baseUrl": value, "list": [value, 5, None]}}


def test_rules_and_commands_keep_theirs() -> None:
    tree = {"hooks": {"x": "$HOST"}, "mcpServers": {"x": "$HOST"}, "tools": "$HOST"}
    assert expanded(tree, ENVIRON) == tree


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Read($DIR/**)", ["Read($DIR/**)", "Read(/secret/**)"]),
        ("Bash(echo $OTHER)", ["Bash(echo $OTHER)"]),
        ("Bash(ls)", ["Bash(ls)"]),
    ],
)
@pytest.mark.parametrize("key", ["allow", "ask", "deny"])
def test_a_rule_counts_as_it_is_and_with_its_variables(
    key: str, text: str, value: list[str]
) -> None:
    tree = {"permissions": {key: [text]}, "tools": {"exclude": [text], "core": [text]}}
    found = expanded(tree, {"DIR": "/secret"})
    assert found["permissions"][key] == value
    assert found["tools"] == {"exclude": value, "core": [text]}


def test_the_users_own_files_are_asked_after_the_shell(tmp_path: Path) -> None:
    (tmp_path / ".qwen").mkdir()
    (tmp_path / ".qwen" / ".env").write_text("A=qwen\nA=last\nB=qwen\n")
    (tmp_path / ".env").write_text("B=home\nC=home\nD=home\n")
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / ".env").write_text("E=project\n")
    paths = Paths.of({"HOME": str(tmp_path)}, tmp_path / "app")
    found = variables_for({"D": "shell"}, paths)
    assert found == {"A": "last", "B": "qwen", "C": "home", "D": "shell"}


def test_settings_name_what_the_home_file_sets(tmp_path: Path) -> None:
    (tmp_path / ".qwen").mkdir()
    (tmp_path / ".qwen" / ".env").write_text("GATEWAY=https://model.example/v1\n")
    text = '{"modelProviders": {"openai": [{"id": "a", "baseUrl": "${GATEWAY}"}]}}'
    (tmp_path / ".qwen" / "settings.json").write_text(text)
    config = Config.load({"HOME": str(tmp_path)}, tmp_path)
    found = config.settings.usable("modelProviders")
    assert found is not None
    assert found.value["openai"][0]["baseUrl"] == "https://model.example/v1"
