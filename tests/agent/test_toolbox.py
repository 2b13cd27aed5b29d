"""Calls of models that learned other names, and other forms of arguments."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qwen_code.agent.toolbox import Toolbox
from qwen_code.tools.base import Definition
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.files import Edit, ReadFile
from qwen_code.tools.seen import Seen
from qwen_code.tools.workspace import Workspace


@pytest.fixture
def toolbox(tmp_path: Path) -> Toolbox:
    workspace, seen = Workspace(tmp_path), Seen()
    tools: dict[str, Any] = {
        "read_file": ReadFile(workspace, seen),
        "edit": Edit(workspace, seen),
    }

    def make(definition: Definition) -> Any:
        return tools[definition.name]

    return Toolbox([tool.definition for tool in tools.values()], make)


@pytest.mark.parametrize(
    "name",
    ["read_file", "functions.read_file", "Read_File", "READ_FILE", "read-file", "tools:read_file"],
)
def test_names(toolbox: Toolbox, name: str) -> None:
    assert toolbox.prepare(name, '{"path": "a.txt"}').definition.name == "read_file"


def test_names_of_other_agents(toolbox: Toolbox) -> None:
    read = toolbox.prepare("Read", '{"file_path": "a.txt"}')
    assert (read.definition.name, read.arguments.path) == ("read_file", "a.txt")
    edit = toolbox.prepare("Edit", '{"file_path": "a", "old_str": "x", "new_str": "y"}')
    assert (edit.arguments.old_string, edit.arguments.new_string) == ("x", "y")


@pytest.mark.parametrize("name", ["", "read", "files.read", "read_file_x", "."])
def test_other_names_are_unknown(toolbox: Toolbox, name: str) -> None:
    if name in ("read", "files.read"):  # an alias, in any case
        assert toolbox.definition(name) is not None
        return
    with pytest.raises(ToolFailed, match="there is no tool"):
        toolbox.prepare(name, "{}")


@pytest.mark.parametrize(
    ("arguments", "path", "offset", "limit"),
    [
        ({"path": "a", "limit": None, "offset": None}, "a", 1, 2000),
        ({"path": "a", "limit": "", "offset": ""}, "a", 1, 2000),
        ({"path": "a", "limit": "10", "offset": "3"}, "a", 3, 10),
        ({"path": "a", "limit": 10.0}, "a", 1, 10),
        ({"path": "a", "offset": 0, "limit": 0}, "a", 1, 2000),
        ({"file_path": "a"}, "a", 1, 2000),
        ({"absolute_path": "a", "start_line": 4}, "a", 4, 2000),
        ({"path": "a", "file_path": "b"}, "a", 1, 2000),
        ({"path": "a", "explanation": "because"}, "a", 1, 2000),
    ],
)
def test_arguments_whose_meaning_is_clear(
    toolbox: Toolbox, arguments: dict[str, Any], path: str, offset: int, limit: int
) -> None:
    once, twice = json.dumps(arguments), json.dumps(json.dumps(arguments))
    for text in (once, twice, f" {once}\n"):
        found = toolbox.prepare("read_file", text).arguments
        assert (found.path, found.offset, found.limit) == (path, offset, limit)


@pytest.mark.parametrize(
    "arguments", ["{", "[]", "5", '"x"', "null", "{}", '{"path": null}', '{"path": 5}', "{'path'}"]
)
def test_arguments_that_are_not_clear(toolbox: Toolbox, arguments: str) -> None:
    with pytest.raises(ToolFailed, match="arguments"):
        toolbox.prepare("read_file", arguments)
