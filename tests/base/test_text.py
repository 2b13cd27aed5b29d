from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_code.base.text import safe_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[Hgone", "gone"),
        ("\x1b]52;c;ZXZpbA==\x07x", "x"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bP1$r\x1b\\x", "x"),
        ("\x9b31mx", "31mx"),
        ("a\u202eb\u2066c\u061cd", "abcd"),
        ("a\rb\x08c\x00", "abc"),
        ("tab\tand\nline", "tab\tand\nline"),
        ("naïve → 中 👩‍💻", "naïve → 中 👩‍💻"),
    ],
)
def test_what_a_terminal_is_shown(text: str, expected: str) -> None:
    assert safe_text(text) == expected


@pytest.mark.parametrize("opening", ["\x1b]0;", "\x1bP", "\x1b_", "\x1b^"])
def test_a_sequence_without_an_end_does_not_swallow_the_answer(opening: str) -> None:
    assert "the answer" in safe_text(f"{opening}title\nthe answer")


@given(st.text(alphabet="\x1b[]P\\;0m52c\x07\x9b\x90\u202e\nab", max_size=40), st.integers(0, 40))
def test_nothing_that_controls_is_left_however_it_is_cut(text: str, cut: int) -> None:
    out = safe_text(text[:cut]) + safe_text(text[cut:])
    assert not any((ord(c) < 32 and c != "\n") or 0x7F <= ord(c) < 0xA0 for c in out)
    assert "\u202e" not in out
