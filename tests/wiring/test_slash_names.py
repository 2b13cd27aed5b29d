"""Slash commands by the names of Node Qwen Code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qwen_code.config.load import Config
from qwen_code.wiring.slash_names import (
    disabled_commands,
    instead_of,
    instead_of_argument,
    is_disabled,
)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/theme", "plain text terminal"),
        ("/export html", "qwen sessions export"),
        ("/stats model", "use /stats"),
        ("/directory add x", "--include-directories"),
        ("/arena start a b", "worktrees"),
        ("/vim", "inputrc"),
        ("/dir show", "--include-directories"),
        ("/tag x", "first prompt"),
        ("/compact", ""),
        ("/model", ""),
        ("/nonsense", ""),
        ("/", ""),
    ],
)
def test_what_to_do_instead(line: str, said: str) -> None:
    name, _, argument = line.partition(" ")
    found = instead_of(name, argument)
    assert said in found and bool(found) is bool(said)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/stats model", "use /stats"),
        ("/usage daily", "use /stats"),
        ("/status paths", "use /status"),
        ("/about paths", "use /status"),
        ("/context detail", "use /context"),
        ("/agents create", "~/.qwen/agents"),
        ("/language ui zh-CN", "in English"),
        ("/agents list", ""),
        ("/language output German", ""),
        ("/language German", ""),
        ("/stats", ""),
        ("/model stats", ""),
        ("/export html", ""),  # a command of the user can have this name
    ],
)
def test_subcommands_that_are_not_here(line: str, said: str) -> None:
    name, _, argument = line.partition(" ")
    found = instead_of_argument(name, argument)
    assert said in found and bool(found) is bool(said)


@pytest.mark.parametrize(
    ("names", "line", "expected"),
    [
        ([], "/model", False),
        (["model"], "/model", True),
        (["/model"], "/model", True),
        (["MODEL"], "/model", True),
        (["model"], "/Model", True),
        (["model"], "/models", False),
        (["login"], "/auth", True),
        (["auth"], "/login", True),
        (["approval-mode"], "/approvals", True),
        (["git:commit"], "/git:commit", True),
        (["*"], "/anything", True),
        (["*", "quit", "help"], "/quit", False),
        (["exit", "help"], "/help", False),
    ],
)
def test_what_is_disabled(names: list[str], line: str, expected: bool) -> None:
    disabled = frozenset(f"/{name.removeprefix('/').lower()}" for name in names)
    assert is_disabled(line, disabled) is expected


def test_all_lists_count(tmp_path: Path) -> None:
    project = tmp_path / "app"
    for folder, names in ((tmp_path, ["auth"]), (project, ["Model", " "])):
        (folder / ".qwen").mkdir(parents=True)
        text = json.dumps({"slashCommands": {"disabled": names}})
        (folder / ".qwen" / "settings.json").write_text(text)
    environ = {"HOME": str(tmp_path), "QWEN_DISABLED_SLASH_COMMANDS": "mcp, /stats,"}
    config = Config.load(environ, project)
    found = disabled_commands(config.settings, config.environment, ("quota,undo", "redo"))
    assert found == {"/auth", "/model", "/mcp", "/stats", "/quota", "/undo", "/redo"}


@pytest.mark.parametrize("value", [5, {"a": 1}, True])
def test_a_list_that_cannot_be_read_disables_all(tmp_path: Path, value: object) -> None:
    (tmp_path / ".qwen").mkdir()
    text = json.dumps({"slashCommands": {"disabled": value}})
    (tmp_path / ".qwen" / "settings.json").write_text(text)
    config = Config.load({"HOME": str(tmp_path)}, tmp_path)
    assert disabled_commands(config.settings, config.environment) == {"/*"}
