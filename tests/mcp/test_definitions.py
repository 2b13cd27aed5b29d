from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qwen_code.config.paths import Paths
from qwen_code.config.settings import Settings
from qwen_code.config.trust import TrustStore
from qwen_code.mcp.definitions import ServerDefinition, find_definitions


class Folder:
    """A project and a home, and what is found from the project."""

    def __init__(self, root: Path) -> None:
        self.home, self.project = root / "home", root / "project"
        (self.project / ".git").mkdir(parents=True)
        (self.project / "deep").mkdir()
        self.said: list[str] = []

    def write(self, name: str, content: Any) -> None:
        path = self.home.parent / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))

    def paths(self, cwd: Path | None = None) -> Paths:
        return Paths.of({"HOME": str(self.home)}, cwd or self.project)

    def find(self, cwd: Path | None = None) -> dict[str, ServerDefinition]:
        paths = self.paths(cwd)
        found = find_definitions(paths, Settings.load(paths), self.said.append)
        return {definition.spec.name: definition for definition in found}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def _table(**commands: str) -> dict[str, Any]:
    return {"mcpServers": {n: {"command": c, "trust": True} for n, c in commands.items()}}


def test_the_users_own_are_used_and_a_projects_are_not(folder: Folder) -> None:
    folder.write("home/.qwen/settings.json", _table(mine="a", both="a"))
    folder.write("project/.qwen/settings.json", _table(both="evil", theirs="b"))
    folder.write("project/.mcp.json", _table(file="c"))
    found = folder.find(folder.project / "deep")
    assert {n: (d.scope, d.is_trusted, d.spec.command, d.spec.trust) for n, d in found.items()} == {
        "mine": ("user", True, "a", True),
        "both": ("user", True, "a", True),
        "theirs": ("project", False, "b", False),
        "file": ("project", False, "c", False),
    }
    assert folder.said == []


def test_trust_is_in_exactly_one_definition_and_folder(folder: Folder) -> None:
    folder.write("project/.mcp.json", _table(file="c"))
    found = folder.find()["file"]
    assert found.folder == folder.project
    TrustStore.load(folder.paths()).trust_definition(folder.project, found.digest)
    assert folder.find()["file"].is_trusted
    folder.write("project/.mcp.json", _table(file="d"))
    assert not folder.find()["file"].is_trusted
    folder.write("elsewhere/.mcp.json", _table(file="c"))
    assert not folder.find(folder.home.parent / "elsewhere")["file"].is_trusted


def test_what_a_project_breaks_costs_a_notice(folder: Folder) -> None:
    folder.write("project/.mcp.json", "{")
    folder.write("project/.qwen/settings.json", {"mcpServers": {"a/b": {}, "ok": {"command": "x"}}})
    assert list(folder.find()) == ["ok"]
    assert len(folder.said) == 2
    folder.write("project/.mcp.json", {"mcpServers": ["x"]})
    assert list(folder.find()) == ["ok"]


@pytest.mark.parametrize("bad", [{}, 5, {"command": 3}, {"url": "ftp://host"}])
def test_a_server_that_cannot_be_used_costs_a_notice(folder: Folder, bad: Any) -> None:
    folder.write(
        "home/.qwen/settings.json", {"mcpServers": {"bad": bad, **_table(good="a")["mcpServers"]}}
    )
    assert list(folder.find()) == ["good"]
    [notice] = folder.said
    assert "mcpServers.bad in " in notice


def test_a_table_that_is_a_list_costs_a_notice(folder: Folder) -> None:
    folder.write("home/.qwen/settings.json", {"mcpServers": ["npx"]})
    assert not folder.find() and "it is not an object" in folder.said[0]


def test_a_broken_trust_file_trusts_nobody(folder: Folder) -> None:
    folder.write("project/.mcp.json", _table(file="c"))
    folder.write("home/.qwen/trusted_folders.json", "{")
    assert not folder.find()["file"].is_trusted
    assert len(folder.said) == 1


@pytest.mark.parametrize(
    ("user", "project", "expected"),
    [
        ({"allowed": ["mine"]}, {}, {"mine"}),
        ({"allowed": ["*i*"]}, {}, {"mine", "theirs"}),
        ({"allowed": []}, {}, set()),
        ({"excluded": ["the*"]}, {}, {"mine"}),
        ({"allowed": ["mine", "theirs"], "excluded": ["mine"]}, {}, {"theirs"}),
        ({"excluded": ["mine"]}, {"excluded": ["theirs"]}, set()),
        ({"excluded": ["mine"]}, {"excluded": []}, {"theirs"}),
        ({}, {"allowed": ["theirs"]}, {"mine", "theirs"}),
        ({"allowed": ["mine"]}, {"allowed": ["theirs"]}, {"mine"}),
    ],
)
def test_which_servers_may_be_used(
    folder: Folder, user: dict[str, Any], project: dict[str, Any], expected: set[str]
) -> None:
    folder.write("home/.qwen/settings.json", {**_table(mine="a"), "mcp": user})
    folder.write("project/.qwen/settings.json", {**_table(theirs="b"), "mcp": project})
    assert set(folder.find()) == expected
    assert len(folder.said) == 2 - len(expected)


@pytest.mark.parametrize("excluded", ["mine", 5, {"a": 1}])
def test_a_list_of_another_type_excludes_too(folder: Folder, excluded: Any) -> None:
    folder.write("home/.qwen/settings.json", {**_table(mine="a"), "mcp": {"excluded": excluded}})
    assert not folder.find()
