from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_code.agent.refused_tools import blamed, plain_schema
from qwen_code.models.errors import BadRequest

NAMES = ["read_file", "grep", "mcp__a__go", "mcp__a__go-2", "mcp__b__x"]


@pytest.mark.parametrize(
    ("message", "parameter", "expected"),
    [
        ("Invalid schema for function 'mcp__a__go': In context=(), …", "tools[2].function.parameters", ["mcp__a__go"]),
        ("Invalid schema for function 'mcp__a__go-2': array schema missing items", None, ["mcp__a__go-2"]),
        ("Invalid 'tools[4].function.parameters'", None, ["mcp__b__x"]),
        ("tools.3.custom.input_schema: JSON schema is invalid", None, ["mcp__a__go-2"]),
        ("* GenerateContentRequest.tools[0].function_declarations[4].parameters.properties[a].enum: only allowed for STRING type", None, ["read_file", "mcp__b__x"]),
        ("invalid JSON schema for tool mcp__b__x, tools[4].function.parameters: `/properties/a`", None, ["mcp__b__x"]),
        ("[{'loc': ('body', 'tools', 2, 'function', 'parameters')}]", None, ["mcp__a__go"]),
        ("tools.function.parameters is not a valid moonshot flavored json schema", None, []),
        ("Unsupported schema in function parameters", None, []),
        ("wrong", "tools", []),
        ("Invalid 'tools': array too long. Expected maximum length 4, got 5", "tools", ["mcp__b__x"]),
        ("Invalid value for 'temperature'", "temperature", None),
        ("messages.3: tool_call_id not found", "messages[3]", None),
        ("the model does not exist", None, None),
        ("tools[99] is wrong", None, None),
    ],
)  # fmt: skip
def test_who_is_blamed(message: str, parameter: str | None, expected: list[str] | None) -> None:
    error = BadRequest(message, hint=None, code=None, parameter=parameter)
    assert blamed(error, NAMES) == expected


@pytest.mark.parametrize(
    ("schema", "plain"),
    [
        ({}, {"type": "object", "properties": {}}),
        (
            {
                "type": "object",
                "properties": {
                    "a": {"anyOf": [{"type": "null"}, {"type": "string", "format": "x"}]},
                    "b": {"type": ["integer", "null"], "exclusiveMinimum": 0},
                    "c": {"$ref": "#/$defs/C", "description": "it is C"},
                    "d": {"type": "array"},
                    "e": {"enum": [1, "two", None], "default": 1},
                    "f": {"properties": {"g": True}},
                    "h": {"const": "x"},
                },
                "required": ["a", "zzz"],
                "$defs": {"C": {"type": "object", "properties": {"n": {"$ref": "#/$defs/C"}}}},
                "additionalProperties": False,
            },
            {
                "type": "object",
                "properties": {
                    "a": {"type": "string"},
                    "b": {"type": "integer"},
                    "d": {"type": "array", "items": {"type": "string"}},
                    "e": {"type": "string", "enum": ["two"]},
                    "f": {"type": "object", "properties": {"g": {"type": "string"}}},
                    "h": {"type": "string"},
                },
                "required": ["a"],
            },
        ),
    ],
)
def test_plain_schemas(schema: dict[str, Any], plain: dict[str, Any]) -> None:
    made = plain_schema(schema)
    recursive = made["properties"].pop("c", None)
    assert made == plain
    if recursive is not None:
        assert recursive["description"] == "it is C" and recursive["type"] == "object"


SCHEMAS = st.recursive(
    st.none() | st.booleans() | st.text(max_size=5) | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "properties", "items", "anyOf", "$ref", "enum", "required", "a"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@given(st.dictionaries(st.sampled_from(["properties", "$defs", "anyOf", "$ref", "type"]), SCHEMAS))
def test_any_schema_becomes_a_valid_one(schema: dict[str, Any]) -> None:
    made = plain_schema(schema)
    assert made["type"] == "object"
    jsonschema_rs.validator_for(made)
