from __future__ import annotations

import ast
from pathlib import Path

import msgspec
import pytest

from qwen_code.base import json_text
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


def test_nothing_else_decodes_json_from_outside() -> None:
    source = Path(json_text.__file__).parents[1]
    own = {
        "base/json_text.py",
        "agent/session_file.py",  # each line as its type, and what is no such line costs itself
        *("config/node_names.py", "config/providers.py"),  # tables of this package
        "models/stream.py",  # each chunk as its type; `decode_json` reads what is no such chunk
        *("auth/oauth/poll.py", "auth/oauth/renewer.py", "auth/enrolment.py"),  # from their parent
        *("local/server.py", "local/serve_main.py"),  # from their own processes
    }
    found = []
    for path in source.rglob("*.py"):
        name = path.relative_to(source).as_posix()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and name not in own:
                called = ast.unparse(node.func)
                if called.endswith(("json.decode", "json.loads", "json.load", "json.Decoder")):
                    found.append(f"{name}:{node.lineno}")
    assert found == []
