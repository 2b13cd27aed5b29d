from __future__ import annotations

import json

import pytest

from qwen_code.agent.structured import StructuredOutput
from qwen_code.base.errors import UsageError
from qwen_code.base.stop import Stop
from qwen_code.tools.errors import ToolFailed

OBJECT = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def test_an_object_is_taken_as_it_is() -> None:
    made = StructuredOutput(json.dumps(OBJECT))
    assert made.definition.parameters == OBJECT
    made.run(made.parse('{"n": 3}'), lambda _: None, Stop())
    assert (made.is_over, made.value) == (True, '{"n":3}')


def test_anything_else_is_wrapped() -> None:
    made = StructuredOutput('{"type": "array"}')
    assert made.definition.parameters["required"] == ["value"]
    made.run(made.parse('{"value": [1]}'), lambda _: None, Stop())
    assert made.value == "[1]"
    with pytest.raises(ToolFailed, match="value"):
        made.parse("[1]")


def test_the_model_is_told_what_does_not_fit() -> None:
    made = StructuredOutput(json.dumps(OBJECT))
    with pytest.raises(ToolFailed, match="n: .*integer"):
        made.parse('{"n": "x"}')
    with pytest.raises(ToolFailed, match="not JSON"):
        made.parse("{")
    assert not made.is_over


@pytest.mark.parametrize("text", ["", "3", '{"type": 3}', '{"$ref": "http://127.0.0.1:9/s"}'])
def test_what_is_no_schema(text: str) -> None:
    with pytest.raises(UsageError, match="--json-schema"):
        StructuredOutput(text)


def test_references_of_a_schema_that_is_wrapped_lead_somewhere() -> None:
    """pydantic writes a list of models so."""
    schema = {
        "type": "array",
        "items": {"$ref": "#/$defs/Point"},
        "$defs": {"Point": {"type": "integer"}},
    }
    tool = StructuredOutput(json.dumps(schema))
    assert tool.definition.parameters["$defs"] == schema["$defs"]
    assert tool.parse('{"value": [1]}') == [1]
    with pytest.raises(ToolFailed):
        tool.parse('{"value": ["x"]}')


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', '{"a":1}'),
        ('\n```json\n{"a": 1}\n```\n', '{"a":1}'),
        ('```\n{"a": 1}```', '{"a":1}'),
        ('the answer is {"a": 1}', None),
        ("a" + " " * 200_000 + "b", None),
    ],
    ids=["plain", "fenced", "fenced-tightly", "words", "blanks"],
)
def test_an_answer_in_words_is_taken_where_it_is_json(text: str, value: str | None) -> None:
    """Blanks without end, as some models write them, took minutes to look at."""
    tool = StructuredOutput('{"type": "object"}')
    reminder = tool.remind(text)
    assert (reminder is None, tool.value) == (value is not None, value)
