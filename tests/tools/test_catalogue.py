from __future__ import annotations

from importlib import import_module
from typing import Any

import msgspec
import pytest

from qwen_code.agent.small import possible_calls
from qwen_code.agent.toolbox import Toolbox
from qwen_code.tools import catalogue
from qwen_code.tools.base import Audience, Definition, Effect, Subject, Todo, parameters_of
from qwen_code.tools.catalogue import BUILT_IN

EACH = pytest.mark.parametrize("definition", BUILT_IN, ids=lambda each: each.name)


def implementation(definition: Definition) -> Any:
    module, _, name = definition.implementation.partition(":")
    return getattr(import_module(module), name)


def names(audience: Audience) -> list[str]:
    return [each.name for each in BUILT_IN if audience in each.audience]


def bare(schema: Any) -> Any:
    """A schema without the words for the model."""
    if isinstance(schema, dict) and "$ref" in schema:
        return bare(parameters_of(Todo))
    if isinstance(schema, dict):
        return {key: bare(value) for key, value in schema.items() if key != "description"}
    return schema


def test_the_table_lists_every_definition_once() -> None:
    defined = [each for each in vars(catalogue).values() if isinstance(each, Definition)]
    assert {each.name for each in BUILT_IN} == {each.name for each in defined}
    assert len({each.name for each in BUILT_IN}) == len(BUILT_IN) == len(defined)


@EACH
def test_it_names_the_class_that_implements_it(definition: Definition) -> None:
    assert implementation(definition).definition is definition


@EACH
def test_what_the_model_is_told_is_what_is_understood(definition: Definition) -> None:
    arguments = implementation(definition).arguments
    assert bare(definition.parameters) == bare(parameters_of(arguments))
    required = definition.parameters["required"]
    assert set(required) <= set(definition.parameters["properties"])
    assert "path" in required or definition.subject is not Subject.FILE


@EACH
def test_the_model_is_told_in_few_words(definition: Definition) -> None:
    told = Toolbox([definition], implementation, lambda: definition.audience).definitions
    assert len(msgspec.json.encode(told)) < 700


def test_helpers_only_read_and_are_not_seen() -> None:
    assert names("helpers") == ["read_file", "list_directory", "glob", "grep"]
    assert all(each.effect is Effect.NONE for each in BUILT_IN if "helpers" in each.audience)


def test_small_models_get_the_tools_whose_calls_can_be_found_for_them() -> None:
    found = possible_calls("", lambda _: "")
    assert set(names("small models")) == set(found)


def test_what_needs_no_approval() -> None:
    assert [each.name for each in BUILT_IN if each.effect.is_read_only] == [
        *("read_file", "list_directory", "glob", "grep", "shell_output", "shell_stop"),
        *("todo_write", "task", "skill", "ask_user", "exit_plan_mode"),
    ]


def test_a_tool_is_found_by_its_name() -> None:
    assert catalogue.find("grep") is catalogue.GREP
    assert catalogue.find("gerp") is None
