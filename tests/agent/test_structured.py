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
