from __future__ import annotations

import pytest

from qwen_code.base.braces import without_braces


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", ["a"]),
        ("{a}", ["{a}"]),
        ("*.{ts,tsx}", ["*.ts", "*.tsx"]),
        ("{a,b}{c,}", ["ac", "a", "bc", "b"]),
        ("{a,{b,c}}", ["a", "b", "c"]),
    ],
)
def test_what_braces_stand_for(text: str, expected: list[str]) -> None:
    assert set(without_braces(text, 100)) == set(expected)


@pytest.mark.parametrize("text", ["{a,b}" * 40, "{" + "a," * 200 + "}"])
def test_there_can_be_too_many(text: str) -> None:
    with pytest.raises(ValueError, match="more than 100"):
        without_braces(text, 100)
