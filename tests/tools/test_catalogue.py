from __future__ import annotations

from typing import Any

import msgspec
import pytest

from qwen_code.agent.task import Task
from qwen_code.tools import catalogue
from qwen_code.tools.ask import AskUser
from qwen_code.tools.base import Definition, Todo, parameters_of
from qwen_code.tools.files import Edit, ListDirectory, ReadFile, WriteFile
from qwen_code.tools.memory import SaveMemory
from qwen_code.tools.search import Glob, Grep
from qwen_code.tools.shell import RunShellCommand
from qwen_code.tools.todo import TodoWrite
from qwen_code.tools.web import WebFetch

TOOLS: list[Any] = [
    *(ReadFile, WriteFile, Edit, ListDirectory, Glob, Grep, RunShellCommand),
    *(WebFetch, TodoWrite, SaveMemory, AskUser, Task),
]


def bare(schema: Any) -> Any:
    """A schema without the words for the model."""
    if isinstance(schema, dict) and "$ref" in schema:
        return bare(parameters_of(Todo))
    if isinstance(schema, dict):
        return {key: bare(value) for key, value in schema.items() if key != "description"}
    return schema


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.definition.name)
def test_what_the_model_is_told_is_what_is_understood(tool: Any) -> None:
    assert bare(tool.definition.parameters) == bare(parameters_of(tool.arguments))


def test_every_definition_is_valid_and_short() -> None:
    definitions = [each for each in vars(catalogue).values() if isinstance(each, Definition)]
    assert len({each.name for each in definitions}) == len(definitions)
    for each in definitions:
        assert set(each.parameters["required"]) <= set(each.parameters["properties"])
        assert len(msgspec.json.encode(each)) < 900, each.name
