"""What settings say about the built-in tools."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from qwen_code.config.load import Config
from qwen_code.config.settings import Settings
from qwen_code.tools.closed import Closed
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.workspace import Workspace
from qwen_code.wiring.tool_settings import (
    command_timeout_s,
    ignore_files,
    respects_git_ignore,
    switched_off,
)


def load(tmp_path: Path, own: object, of_project: object = None) -> Settings:
    project = tmp_path / "app"
    (project / ".qwen").mkdir(parents=True)
    (project / ".git").mkdir()
    (tmp_path / ".qwen").mkdir()
    (tmp_path / ".qwen" / "settings.json").write_text(json.dumps(own))
    if of_project is not None:
        (project / ".qwen" / "settings.json").write_text(json.dumps(of_project))
    return Config.load({"HOME": str(tmp_path)}, project).settings


def filtering(**values: object) -> dict[str, object]:
    return {"context": {"fileFiltering": values}}


@pytest.mark.parametrize(
    ("own", "of_project", "expected"),
    [
        ({}, None, ()),
        (filtering(customIgnoreFiles=[".cursorignore"]), None, (".cursorignore",)),
        (filtering(customIgnoreFiles=".cursorignore"), None, (".cursorignore",)),
        (filtering(customIgnoreFiles=["a", " ", "a", "b/c"]), None, ("a", "b/c")),
        (filtering(customIgnoreFiles=["a", 1]), None, ("a",)),
        (filtering(customIgnoreFiles=["a"]), filtering(customIgnoreFiles=["b"]), ("b", "a")),
        ({"fileFiltering": {"customIgnoreFiles": ["old"]}}, None, ("old",)),
        (filtering(customIgnoreFiles=[]), None, ()),
    ],
)
def test_more_ignore_files(
    tmp_path: Path, own: object, of_project: object, expected: tuple[str, ...]
) -> None:
    assert ignore_files(load(tmp_path, own, of_project)) == expected


@pytest.mark.parametrize(
    ("own", "of_project", "expected"),
    [
        ({}, None, True),
        (filtering(respectGitIgnore=True), None, True),
        (filtering(respectGitIgnore=False), None, False),
        ({"fileFiltering": {"respectGitIgnore": False}}, None, False),
        (filtering(respectGitIgnore="no"), None, True),
        ({}, filtering(respectGitIgnore=False), True),
    ],
)
def test_what_git_ignores(tmp_path: Path, own: object, of_project: object, expected: bool) -> None:
    assert respects_git_ignore(load(tmp_path, own, of_project)) is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, None), (5000, 5.0), (1500.5, 1.5005), (0, math.inf), (-1, None), ("9", None)],
)
def test_the_time_of_a_command(tmp_path: Path, value: object, expected: float | None) -> None:
    settings = load(tmp_path, {"tools": {"shell": {"defaultTimeoutMs": value}}})
    assert command_timeout_s(settings) == expected


@pytest.mark.parametrize(
    ("tools", "expected"),
    [
        ({}, []),
        ({"listDirectory": {"enabled": True}}, []),
        ({"listDirectory": {"enabled": False}}, ["list_directory"]),
        ({"todoWrite": {"enabled": False}}, ["todo_write"]),
        ({"todoWrite": {"enabled": "off"}}, ["todo_write"]),
    ],
)
def test_tools_that_are_taken_away(tmp_path: Path, tools: object, expected: list[str]) -> None:
    assert [tool for tool, _ in switched_off(load(tmp_path, {"tools": tools}))] == expected


@pytest.mark.parametrize("name", [".cursorignore", "config/closed"])
def test_a_named_ignore_file_closes_what_it_names(tmp_path: Path, name: str) -> None:
    (tmp_path / ".git").mkdir()
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("secret/\n/top.txt\n")
    (tmp_path / "secret").mkdir()
    for each in ("secret/a", "top.txt", "open.txt"):
        (tmp_path / each).write_text("")
    closed = Closed([tmp_path], [], ignore_files=[name])
    assert closed.reason(tmp_path / "secret" / "a")
    assert closed.reason(tmp_path / "top.txt")
    assert not closed.reason(tmp_path / "open.txt")
    assert not Closed([tmp_path], []).reason(tmp_path / "top.txt")
    workspace = Workspace(tmp_path, ignore_files=[name])
    with pytest.raises(ToolFailed, match="only the user can change it"):
        workspace.write(workspace.locate(name), b"")
    workspace.write(workspace.locate("open.txt"), b"1")
