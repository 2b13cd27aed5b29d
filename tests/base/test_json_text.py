from __future__ import annotations

import msgspec
import pytest

from qwen_code.base.json_text import MAX_DEPTH, decode_json


class Named(msgspec.Struct):
    name: str = ""


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ("", "truncated"),
        ("{", "truncated"),
        (b'"\xff"', "utf-8"),
        ('"\ud800"', "surrogates"),
        ("1" + "0" * 5000, "out of range"),
        *(("[" * depth + "]" * depth, "nested too deeply") for depth in (101, 900, 3000, 100_000)),
        ('{"a":' * 200 + "1" + "}" * 200, "nested too deeply"),
        ('[{"a":' * 60 + "1" + "}]" * 60, "nested too deeply"),
    ],
)
def test_whatever_is_wrong_is_one_kind_of_error(data: bytes | str, problem: str) -> None:
    with pytest.raises(msgspec.DecodeError, match=problem):
        decode_json(data)


@pytest.mark.parametrize(
    "data",
    [
        "[" * MAX_DEPTH + "]" * MAX_DEPTH,
        "[" + "[]," * 500 + "[]]",
        '"' + "[" * 5000 + '"',
        '{"text": "' + "{" * 5000 + '"}',
    ],
)
def test_brackets_that_do_not_nest_are_no_reason(data: str) -> None:
    assert decode_json(data) == msgspec.json.decode(data)
    assert decode_json(data.encode()) == msgspec.json.decode(data)


def test_a_shape_is_held_to() -> None:
    assert decode_json(b'{"name": "a", "more": [1]}', Named) == Named("a")
    with pytest.raises(msgspec.DecodeError, match="Expected `str`"):
        decode_json('{"name": 1}', Named)
    with pytest.raises(msgspec.DecodeError, match="nested too deeply"):
        decode_json('{"more": ' + "[" * 3000 + "]" * 3000 + "}", Named)
