from __future__ import annotations

from typing import Any

import pytest

from qwen_code.wiring.forms import Field, fields_of


def field(**rules: Any) -> Field:
    (made,) = fields_of({"properties": {"f": rules}})
    return made


@pytest.mark.parametrize(
    ("rules", "text", "value"),
    [
        ({}, "any", "any"),
        ({"type": "string"}, " spaces around ", "spaces around"),
        ({"type": "string", "format": "email"}, "a@b.example", "a@b.example"),
        ({"type": "string", "format": "uri"}, "https://b.example/x", "https://b.example/x"),
        ({"type": "string", "format": "date"}, "2026-11-27", "2026-11-27"),
        ({"type": "string", "format": "date-time"}, "2026-11-27T05:00:00+01:00", None),
        ({"type": "integer"}, "-5", -5),
        ({"type": "number"}, "2.5", 2.5),
        ({"type": "boolean"}, "Y", True),
        ({"type": "boolean"}, "false", False),
        ({"enum": ["a", "b"]}, "2", "b"),
        ({"enum": ["a", "b"]}, "B", "b"),
        ({"enum": ["a", "b"], "enumNames": ["First", "Second"]}, "first", "a"),
        ({"oneOf": [{"const": "x", "title": "Ex"}]}, "ex", "x"),
        ({"enum": [1, 2]}, "2", "2"),
        ({"type": "array", "items": {"enum": ["a", "b", "c"]}}, "3, a, 3", ["c", "a"]),
        ({"type": "array", "items": {"anyOf": [{"const": "x", "title": "Ex"}]}}, "1", ["x"]),
        ({"type": "integer", "default": 7}, "", 7),
        ({"type": "boolean", "default": False}, "", False),
        ({"type": "array", "items": {"enum": ["a"]}, "default": ["a"]}, "", ["a"]),
        ({"type": "string"}, "", None),
        ({"type": "object"}, "{}", "{}"),
    ],
)
def test_what_fits(rules: dict[str, Any], text: str, value: Any) -> None:
    read = field(**rules).read(text)
    assert read == (value if value is not None or not text else text)


@pytest.mark.parametrize(
    ("rules", "text", "said"),
    [
        ({"type": "integer"}, "2.5", "whole number"),
        ({"type": "integer", "minimum": 1, "maximum": 9}, "10", "1 to 9"),
        ({"type": "number"}, "much", "a number"),
        ({"type": "number", "maximum": 1}, "2", "at most 1"),
        ({"type": "boolean"}, "perhaps", "yes or no"),
        ({"enum": ["a", "b"]}, "3", "1 to 2"),
        ({"enum": ["a", "b"]}, "c", "1 to 2"),
        ({"type": "string", "minLength": 3}, "ab", "at least 3 characters"),
        ({"type": "string", "maxLength": 1}, "ab", "at most 1 characters"),
        ({"type": "string", "format": "email"}, "a.example", "valid email"),
        ({"type": "string", "format": "uri"}, "example", "valid uri"),
        ({"type": "string", "format": "uri"}, "http://[", "valid uri"),
        ({"type": "string", "format": "date"}, "27.11.2026", "valid date"),
        ({"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 1}, "1,2", "choose 0 to 1"),
    ],
)
def test_what_does_not(rules: dict[str, Any], text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        field(**rules).read(text)


def test_what_is_required_is_asked_for() -> None:
    (required,) = fields_of({"properties": {"f": {"title": "The F"}}, "required": ["f"]})
    assert required.label == "The F"
    with pytest.raises(ValueError, match="required"):
        required.read(" ")


@pytest.mark.parametrize("schema", [{}, {"properties": None}, {"properties": {"a": None}}])
def test_a_schema_that_says_little(schema: dict[str, Any]) -> None:
    assert [each.kind for each in fields_of(schema)] in ([], ["text"])
