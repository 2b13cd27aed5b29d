"""``--output-style``, ``general.outputStyle`` and styles in files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Calls = Callable[..., list[dict[str, Any]]]
pytestmark = pytest.mark.usefixtures("endpoint")
MARK = "# How you write: "


def system(server: Any, index: int = -1) -> str:
    return str(server.requests[index].body["messages"][0]["content"])


def style(server: Any) -> str:
    return system(server).partition(MARK)[2].partition("\n")[0]


def settings(qwen: Any, name: str) -> None:
    qwen.write("~/.qwen/settings.json", json.dumps({"general": {"outputStyle": name}}))


@pytest.mark.parametrize(
    ("options", "setting", "used"),
    [
        ([], None, ""),
        (["--output-style", "Concise"], None, "Concise"),
        (["--output-style=concise"], None, "Concise"),
        (["--outputStyle", "EXPLANATORY"], None, "Explanatory"),
        ([], "proactive", "Proactive"),
        (["--output-style", "Concise"], "Proactive", "Concise"),
        (["--output-style", "default"], "Proactive", ""),
        ([], "default", ""),
        ([], "", ""),
        (["--output-style", "mine"], None, "Mine"),
        (["--output-style", "projects"], None, "projects"),
        ([], "projects", "projects"),
    ],
)
def test_which_style_is_used(
    qwen: Any, server: Any, options: list[str], setting: str | None, used: str
) -> None:
    qwen.write("~/.qwen/output-styles/a.md", "---\nname: Mine\n---\nMINE-TEXT")
    qwen.write(".qwen/output-styles/projects.md", "PROJECT-TEXT")
    if setting is not None:
        settings(qwen, setting)
    done = qwen(*options, "-p", "hi")
    assert done.returncode == 0, done.stderr
    assert style(server) == used
    assert ("MINE-TEXT" in system(server)) is (used == "Mine")
    assert ("PROJECT-TEXT" in system(server)) is (used == "projects")
    assert "# Safety" in system(server) and "Where you are" in system(server)
    is_own = used in ("Mine", "projects")
    assert ("Prove it" not in system(server)) is is_own, "only built-in ones keep that by default"


@pytest.mark.parametrize("front", ["text", "json"])
def test_a_name_on_the_command_line_must_exist(qwen: Any, server: Any, front: str) -> None:
    done = qwen("--output-style", "Nonsense", "-p", "hi", "-o", front)
    assert done.returncode == 2
    assert "no output style 'Nonsense'" in done.stderr and "Concise" in done.stderr
    assert server.requests == []
    assert qwen("--output-style=", "-p", "hi").returncode == 2


def test_a_name_in_settings_that_does_not_exist_is_said(qwen: Any, server: Any) -> None:
    settings(qwen, "Nonsense")
    done = qwen("-p", "hi")
    assert done.returncode == 0 and "general.outputStyle" in done.stderr
    assert style(server) == ""


def test_a_project_does_not_choose(qwen: Any, server: Any) -> None:
    qwen.write(".qwen/settings.json", json.dumps({"general": {"outputStyle": "Concise"}}))
    assert qwen("-p", "hi").returncode == 0
    assert style(server) == ""


def test_where_none_is_used(qwen: Any, server: Any) -> None:
    settings(qwen, "Concise")
    for option in ("--bare", "--safe-mode"):
        assert qwen(option, "-p", "hi").returncode == 0
        assert style(server) == ""
    assert qwen("--system-prompt", "Only this.", "-p", "hi").returncode == 0
    assert system(server).startswith("Only this.") and style(server) == ""
    settings(qwen, "Learning")
    done = qwen("-p", "hi")
    assert "needs a person" in done.stderr and style(server) == ""


def test_a_style_is_given_in_every_request_and_to_no_helper(
    qwen: Any, server: Any, calls: Calls
) -> None:
    server.script = [calls("task", description="look", prompt="Look around.")]
    done = qwen("--output-style", "Concise", "-y", "-p", "hi")
    assert done.returncode == 0, done.stderr
    with_style = [MARK in system(server, n) for n in range(len(server.requests))]
    assert with_style == [True, False, True]


def test_a_folder_without_trust_has_no_styles(qwen: Any, server: Any, tmp_path: Path) -> None:
    qwen.write("~/.qwen/settings.json", '{"security": {"folderTrust": {"enabled": true}}}')
    qwen.write(".qwen/output-styles/projects.md", "PROJECT-TEXT")
    done = qwen("--output-style", "projects", "-p", "hi")
    assert done.returncode == 2 and "no output style" in done.stderr
