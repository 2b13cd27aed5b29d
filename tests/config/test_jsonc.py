from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_code.config.jsonc import JsoncError, loads, locate, remove_value, set_value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        (" \n", {}),
        ("// nothing yet", {}),
        ("{}", {}),
        ("\ufeff{}", {}),
        ('{"a": 1, // one\n "b": 2 /* two\n lines */}', {"a": 1, "b": 2}),
        ('{"a": [1, 2,], "b": {"c": 1,},}', {"a": [1, 2], "b": {"c": 1}}),
        ('{"a": 1, // c\n}', {"a": 1}),
        ('{"url": "https://x/*y*/,}"}', {"url": "https://x/*y*/,}"}),
        (r'{"a": "\"//\\"} // "', {"a": '"//\\'}),
        ('{"a": 1, "a": 2}', {"a": 2}),
        ('{"a": 123456789012345678901234567890}', {"a": 123456789012345678901234567890}),
    ],
)
def test_loads(text: str, expected: dict[str, Any]) -> None:
    assert loads(text.encode()) == expected


@pytest.mark.parametrize(
    ("text", "line", "column", "said"),
    [
        ('{\n  "a": }', 2, 8, "invalid character"),
        ('{\n  "a": 1\n  "b": 2\n}', 3, 3, "expected"),
        ('{"a": 1', 1, 8, "too early"),
        ('{"a": "x\n"}', 1, 9, "invalid character"),
        ('{"a": 1} x', 1, 10, "trailing characters"),
        (r'{"a": "\q"}', 1, 9, "escape"),
        (r'{"a": "\u12G4"}', 1, 12, "escape"),
        ("\n [1]", 2, 2, "not an object"),
        ('"text"', 1, 1, "not an object"),
        ("{,}", 1, 2, "must be strings"),
        ('{"a": [1,,]}', 1, 10, "invalid character"),
        ('/* ä */ {"ä": !}', 1, 15, "invalid character"),
        ('\ufeff{"a": !}', 1, 7, "invalid character"),
        ('{"a": 1 /* open', 1, 9, "expected"),
        ("{" * 5000, 1, 2, "must be strings"),
        ('{"a":' * 200_000, 1, 1, "nested too deeply"),
        ("{'a': 1}", 1, 2, "must be strings"),
        ('{"a": NaN}', 1, 7, "invalid character"),
        ('{"a": 1e999}', 1, 1, "out of range"),
    ],
)
def test_errors_have_their_place(text: str, line: int, column: int, said: str) -> None:
    with pytest.raises(JsoncError) as caught:
        loads(text.encode())
    assert (caught.value.line, caught.value.column) == (line, column)
    assert said in caught.value.message


def test_bytes_that_are_no_text() -> None:
    with pytest.raises(JsoncError) as caught:
        loads(b'{\n"a": "\xff"}')
    assert (caught.value.line, caught.value.column) == (2, 7)


SAMPLE = """\
// mine
{
  "model": {
    "name": "m" // the model
  },
  /* "security": {"auth": {}}, */
  "security": {"auth": {"selectedType": "openai"}},
}
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (["model"], 3),
        (["model", "name"], 4),
        (["security", "auth", "selectedType"], 7),
        (["absent"], None),
        (["model", "absent"], None),
        (["model", "name", "deeper"], None),
        ([], None),
    ],
)
def test_locate(path: list[str], line: int | None) -> None:
    assert locate(SAMPLE.encode(), path) == line


def test_locate_takes_the_last_of_duplicates() -> None:
    assert locate(b'{"a": {"b": 1},\n"a": {"c": 1}}', ["a", "c"]) == 2
    assert locate(b'{"a": {"b": 1},\n"a": {"c": 1}}', ["a", "b"]) is None


@pytest.mark.parametrize(
    ("before", "path", "value", "after"),
    [
        ("", "a", 1, '{\n  "a": 1\n}\n'),
        ("", "a.b", 1, '{\n  "a": {\n    "b": 1\n  }\n}\n'),
        ("// c", "a", 1, '// c\n{\n  "a": 1\n}\n'),
        ("{}", "a", 1, '{\n  "a": 1\n}'),
        ("{}\n", "a.b", 1, '{\n  "a": {\n    "b": 1\n  }\n}\n'),
        ('{"a": 1}', "a", 2, '{"a": 2}'),
        ('{"a": 1}', "b", 2, '{"a": 1, "b": 2}'),
        ('{"a": 1,}', "b", 2, '{"a": 1, "b": 2,}'),
        ('{"a": 1 /* c */ }', "b", 2, '{"a": 1, /* c */ "b": 2 }'),
        ('{"a": 1 // c\r}', "b", 2, '{"a": 1, // c\n"b": 2\n}'),
        ('{\n  "a": 1 // c\n}', "b", 2, '{\n  "a": 1, // c\n  "b": 2\n}'),
        ('{\n  "a": 1, // c\n}', "b", 2, '{\n  "a": 1, // c\n  "b": 2,\n}'),
        ('{\r\n\t"a": 1\r\n}', "b.c", 2, '{\r\n\t"a": 1,\r\n\t"b": {\r\n\t\t"c": 2\r\n\t}\r\n}'),
        ('{\n    "a": {}\n}', "a.b", 1, '{\n    "a": {\n        "b": 1\n    }\n}'),
        ('{\n  "a": {\n  }\n}', "a.b", 1, '{\n  "a": {\n    "b": 1\n  }\n}'),
        ('{\n  "a": {\n    // c\n  }\n}', "a.b", 1, '{\n  "a": {\n    // c\n    "b": 1\n  }\n}'),
        ('{"a": 1, "a": 2}', "a", 3, '{"a": 1, "a": 3}'),
        ('{"a": {"b": [1, {"c": 2}]}}', "a.b", None, '{"a": {"b": null}}'),
    ],
)
def test_set_value(before: str, path: str, value: object, after: str) -> None:
    assert set_value(before.encode(), path.split("."), value).decode() == after


def test_set_value_does_not_replace_what_stands_in_the_way() -> None:
    with pytest.raises(JsoncError, match='"model" is not an object') as caught:
        set_value(b'{\n "model": "m"}', ["model", "name"], "x")
    assert (caught.value.line, caught.value.column) == (2, 11)


def test_set_value_leaves_a_broken_file_alone() -> None:
    with pytest.raises(JsoncError):
        set_value(b'{"a": ', ["a"], 1)


@pytest.mark.parametrize(
    ("before", "path", "after"),
    [
        ('{"a": 1}', "a", "{}"),
        ('{"a": 1, "b": 2}', "a", '{ "b": 2}'),
        ('{"a": 1, "b": 2}', "b", '{"a": 1 }'),
        ('{\n  "a": 1,\n  "b": 2\n}', "b", '{\n  "a": 1\n}'),
        ('{\n  "a": 1,\n  "b": 2\n}', "a", '{\n  "b": 2\n}'),
        ('{\n  "a": 1,\n  "b": 2,\n}', "b", '{\n  "a": 1,\n}'),
        ('{\n  "a": {\n    "b": 1\n  },\n  "c": 2\n}', "a", '{\n  "c": 2\n}'),
        ('{\n  "a": 1, // one\n  "b": 2 // two\n}', "a", '{\n   // one\n  "b": 2 // two\n}'),
        ('{"a": {"b": 1}}', "a.b", '{"a": {}}'),
        ('{"a": 1, "a": 2}', "a", "{ }"),
        ('{"a": 1}', "b", '{"a": 1}'),
        ('{"a": 1}', "a.b", '{"a": 1}'),
        ("", "a", ""),
    ],
)
def test_remove_value(before: str, path: str, after: str) -> None:
    assert remove_value(before.encode(), path.split(".")).decode() == after


# -- round trips --------------------------------------------------------------------------------

_KEYS = st.sampled_from(["a", "b", "c", "//", "/*", 'q"', ",}", "ü"])
_SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=6) | st.just("*/ // , }")
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=8,
)
_TREES = st.dictionaries(_KEYS, _VALUES, max_size=4)
_GAPS = st.sampled_from(
    ["", " ", "\n", "\n  ", "\t", "// c }\n", "/* , { */", " /**/ ", "\r\n", "// c\r"]
)


@st.composite
def documents(draw: st.DrawFn, trees: Any = _TREES) -> tuple[dict[str, Any], bytes]:
    """A tree and one of the many ways to write it down."""

    def gap() -> str:
        return draw(_GAPS)

    def text(value: object) -> str:
        if isinstance(value, dict):
            members = [f"{text(k)}{gap()}:{gap()}{text(v)}{gap()}" for k, v in value.items()]
            return "{" + gap() + joined(members) + gap() + "}"
        if isinstance(value, list):
            return "[" + gap() + joined([text(v) + gap() for v in value]) + gap() + "]"
        return msgspec.json.encode(value).decode()

    def joined(parts: list[str]) -> str:
        trailing = draw(st.sampled_from(["", ","])) if parts else ""
        return f",{gap()}".join(parts) + trailing

    tree = draw(trees)
    return tree, (gap() + text(tree) + gap()).encode()


_PATHS = st.lists(_KEYS, min_size=1, max_size=3)


def expected_after(tree: dict[str, Any], path: list[str], value: object) -> dict[str, Any] | None:
    """``tree`` with ``value`` at ``path``, or ``None`` if a parent is not an object."""
    copy: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(tree))
    inner: Any = copy
    for name in path[:-1]:
        inner = inner.setdefault(name, {})
        if not isinstance(inner, dict):
            return None
    inner[path[-1]] = value
    return copy


@given(documents())
def test_a_tree_comes_back(document: tuple[dict[str, Any], bytes]) -> None:
    tree, data = document
    assert loads(data) == tree


@given(documents(), _PATHS, _VALUES)
def test_set_value_changes_one_thing(
    document: tuple[dict[str, Any], bytes], path: list[str], value: object
) -> None:
    tree, data = document
    expected = expected_after(tree, path, value)
    if expected is None:
        with pytest.raises(JsoncError):
            set_value(data, path, value)
        return
    after = set_value(data, path, value)
    assert loads(after) == expected
    assert locate(after, path) is not None


@given(documents(), _PATHS)
def test_remove_value_takes_out_what_set_value_put_in(
    document: tuple[dict[str, Any], bytes], path: list[str]
) -> None:
    tree, data = document
    inner: Any = tree
    for name in path[:-1]:
        inner = inner.get(name) if isinstance(inner, dict) else None
    if not isinstance(inner, dict):
        assert remove_value(data, path) == data
        return
    was_there = path[-1] in inner
    inner.pop(path[-1], None)
    after = remove_value(data, path)
    assert loads(after) == tree
    assert was_there or after == data


@given(documents(), st.text(max_size=4))
def test_new_keys_keep_every_comment_and_byte(
    document: tuple[dict[str, Any], bytes], value: str
) -> None:
    _, data = document
    after = set_value(data, ["new"], value)
    pieces = iter(after)
    visible = b"".join(data.split())
    assert all(byte in pieces for byte in visible)  # a subsequence: nothing went missing


@given(st.binary(max_size=60))
def test_any_bytes_are_an_object_or_an_error_with_a_place(data: bytes) -> None:
    try:
        loads(data)
    except JsoncError as error:
        assert error.line >= 1
        assert error.column >= 1
