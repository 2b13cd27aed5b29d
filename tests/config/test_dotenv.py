from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_code.config.dotenv import parse


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"A=1", [("A", "1", 1)]),
        (b"A=1\nB=2\n", [("A", "1", 1), ("B", "2", 2)]),
        (b"\xef\xbb\xbfA=1\n", [("A", "1", 1)]),
        (b"A=1\r\n\r\nB=2\r\n", [("A", "1", 1), ("B", "2", 3)]),
        (b"A=1\rB=2\r", [("A", "1", 1), ("B", "2", 2)]),
        (b"export A=1", [("A", "1", 1)]),
        (b"\n\n# c\n\n  A = 1  # c\n", [("A", "1", 5)]),
        (b"A=", [("A", "", 1)]),
        (b"A=''", [("A", "", 1)]),
        (b"A=1\nA=2\n", [("A", "1", 1), ("A", "2", 2)]),
        (b"A=1\nB=2\nA=\n", [("A", "1", 1), ("B", "2", 2), ("A", "", 3)]),
        (b'A="one\ntwo"\nB=2', [("A", "one\ntwo", 1), ("B", "2", 3)]),
        (b'A="one\\ntwo"', [("A", "one\ntwo", 1)]),
        (b"A='one\\ntwo'", [("A", "one\\ntwo", 1)]),
        (b"A=a#b", [("A", "a#b", 1)]),
        (b"A=k=v==", [("A", "k=v==", 1)]),
        ("A=schlüssel".encode(), [("A", "schlüssel", 1)]),
        (b"", []),
        (b"# only a comment", []),
    ],
)
def test_pairs(data: bytes, expected: list[tuple[str, str, int]]) -> None:
    parsed = parse(data)
    assert [(p.name, p.value, p.line) for p in parsed.pairs] == expected
    assert parsed.problems == ()


@pytest.mark.parametrize("value", ["$HOME", "${HOME}", "a$b", "$", "${", "$$", "${A:-x}", "\\$"])
@pytest.mark.parametrize("quote", ["", "'", '"'])
def test_a_dollar_is_a_dollar(value: str, quote: str) -> None:
    (pair,) = parse(f"HOME=/h\nKEY={quote}{value}{quote}".encode()).pairs[1:]
    assert pair.value == value


@pytest.mark.parametrize(
    ("data", "line", "said"),
    [
        (b'A=1\nKEY="sk-secret\nB=2\n', 2, "NAME=value"),
        (b"sk-secret\n", 1, "no ="),
        (b"A=1\n\n\nKEY: sk-secret\n", 4, "NAME=value"),
        (b"A=1\r\nKEY: sk-secret\r\nB=2\r\n", 2, "NAME=value"),
        (b"A=1\nKEY=sk-secret\xff\n", 2, "UTF-8"),
        (b"A=1\nKEY=sk-secret\x00\n", 2, "UTF-8"),
        (b'A=1\nKEY="sk-\nsecret\xff"\n', 3, "UTF-8"),
        ("A=sk-secret".encode("utf-16"), 1, "UTF-16"),
        (b"A=1\nKEY=sk-secret" + b" " * 500 + b"x", 2, "blanks"),
    ],
)
def test_problems_name_the_line_and_never_its_content(data: bytes, line: int, said: str) -> None:
    parsed = parse(data)
    assert parsed.problems[0].line == line
    assert said in parsed.problems[0].message
    assert "secret" not in repr(parsed)


def test_the_lines_around_a_broken_one_still_count() -> None:
    parsed = parse(b"A=1\r\nKEY: x\r\nB=2\r\n\r\nC=3")
    assert [(p.name, p.line) for p in parsed.pairs] == [("A", 1), ("B", 3), ("C", 5)]


def test_a_file_of_another_kind_does_not_flood() -> None:
    assert len(parse(b"word\n" * 5000).problems) == 20


def test_repr_leaves_the_value_out() -> None:
    assert "sk-canary" not in repr(parse(b"KEY=sk-canary"))


@given(st.binary(max_size=200))
def test_any_bytes_are_pairs_or_problems(data: bytes) -> None:
    parsed = parse(data)
    lines = data.count(b"\n") + data.count(b"\r") + 1
    assert all(1 <= pair.line <= lines for pair in parsed.pairs)
    assert all(problem.line is not None for problem in parsed.problems)


_NAMES = st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True)
_VALUES = st.text(st.characters(codec="utf-8", exclude_characters="'\\\x00\r"), max_size=20)


@given(st.dictionaries(_NAMES, _VALUES, max_size=5))
def test_single_quoted_values_come_back(pairs: dict[str, str]) -> None:
    text = "\n".join(f"export {name}='{value}'" for name, value in pairs.items())
    parsed = parse(text.encode())
    assert {pair.name: pair.value for pair in parsed.pairs} == pairs
    assert parsed.problems == ()
