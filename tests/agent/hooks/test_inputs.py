from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qwen_code.agent.hooks.inputs import arguments_of, input_of
from qwen_code.agent.toolbox import Prepared
from qwen_code.tools import catalogue
from qwen_code.tools.base import BuiltInTool, Definition, Effect
from qwen_code.tools.files import Edit, ReadFile, WriteFile
from qwen_code.tools.listing import ListDirectory
from qwen_code.tools.search import Glob, Grep
from qwen_code.tools.shell import RunShellCommand
from qwen_code.tools.todo import TodoWrite
from qwen_code.tools.web import WebFetch

CWD = Path("/work")
CASES: list[tuple[type[BuiltInTool[Any]], dict[str, Any], dict[str, Any]]] = [
    (ReadFile, {"path": "a"}, {"file_path": "/work/a"}),
    (ReadFile, {"path": "/x"}, {"file_path": "/x"}),
    (
        ReadFile,
        {"path": "a", "offset": 11, "limit": 5},
        {"file_path": "/work/a", "offset": 10, "limit": 5},
    ),
    (WriteFile, {"path": "a", "content": "x"}, {"file_path": "/work/a", "content": "x"}),
    (
        Edit,
        {"path": "a", "old_string": "x", "new_string": ""},
        {"file_path": "/work/a", "old_string": "x", "new_string": ""},
    ),
    (
        Edit,
        {"path": "a", "old_string": "x", "new_string": "y", "replace_all": True},
        {"file_path": "/work/a", "old_string": "x", "new_string": "y", "replace_all": True},
    ),
    (ListDirectory, {"path": "src"}, {"path": "/work/src"}),
    (Glob, {"pattern": "*.py"}, {"pattern": "*.py"}),
    (Glob, {"pattern": "*.py", "path": "src"}, {"path": "/work/src", "pattern": "*.py"}),
    (
        Grep,
        {"pattern": "x", "path": "src", "glob": "*.py"},
        {"path": "/work/src", "pattern": "x", "glob": "*.py"},
    ),
    (RunShellCommand, {"command": "ls"}, {"command": "ls", "is_background": False}),
    (
        RunShellCommand,
        {"command": "ls", "background": True, "timeout_s": 5, "directory": "src"},
        {"command": "ls", "is_background": True, "timeout": 5000, "directory": "src"},
    ),
    (
        TodoWrite,
        {"todos": [{"content": "a", "status": "pending"}]},
        {"todos": [{"id": "1", "content": "a", "status": "pending"}]},
    ),
    (WebFetch, {"url": "https://x.example/"}, {"url": "https://x.example/"}),
]


def prepared(tool: type[BuiltInTool[Any]], arguments: dict[str, Any]) -> Prepared:
    made: Any = tool.__new__(tool)
    return Prepared(tool.definition, made, made.parse(json.dumps(arguments)))


@pytest.mark.parametrize(("tool", "ours", "nodes"), CASES)
def test_the_names_of_node_qwen_code(
    tool: type[BuiltInTool[Any]], ours: dict[str, Any], nodes: dict[str, Any]
) -> None:
    assert input_of(prepared(tool, ours), CWD) == nodes


@pytest.mark.parametrize(("tool", "ours", "nodes"), CASES)
def test_what_comes_back_is_the_same_call(
    tool: type[BuiltInTool[Any]], ours: dict[str, Any], nodes: dict[str, Any]
) -> None:
    again = prepared(tool, json.loads(arguments_of(tool.definition.name, nodes)))
    assert input_of(again, CWD) == nodes


def test_a_change_of_one_field_is_a_change_of_the_call() -> None:
    told = input_of(prepared(RunShellCommand, {"command": "rm -r x"}), CWD)
    again = prepared(
        RunShellCommand,
        json.loads(arguments_of("run_shell_command", {**told, "command": "ls", "timeout": 2500})),
    )
    assert (again.arguments.command, again.arguments.timeout_s) == ("ls", 2)


@pytest.mark.parametrize("value", ["x", None, {}])
def test_values_of_the_wrong_type_are_left_to_the_tool(value: Any) -> None:
    arguments = arguments_of(catalogue.READ_FILE.name, {"file_path": "/a", "offset": value})
    assert json.loads(arguments) == {"path": "/a", "offset": value}


def test_tools_of_other_programs_keep_their_names() -> None:
    definition = Definition("mcp__a__b", "", {}, effect=Effect.ANYTHING, verb="", implementation="")
    tool: Any = None
    arguments = {"path": "x", "offset": 3, "file_path": None}
    assert input_of(Prepared(definition, tool, arguments), CWD) == arguments
    assert json.loads(arguments_of("mcp__a__b", arguments)) == arguments
