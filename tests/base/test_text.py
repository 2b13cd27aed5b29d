from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_code.base.text import safe_text, visible_text


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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("git push\n\tx é 名 😀", "git push\n\tx é 名 😀"),
        ("a\x1b[31mb\x07", "a<U+001B>[31mb<U+0007>"),
        ("a\rb\x0b\x0c\x85", "a<U+000D>b<U+000B><U+000C><U+0085>"),
        ("\u202e\u2066\u200b\ufeff\u00ad", "<U+202E><U+2066><U+200B><U+FEFF><U+00AD>"),
        ("\u00a0\u3000\u2028", "<U+00A0><U+3000><U+2028>"),
        ("\u3164\u2800\ufe0f\U000e0100\U000e0041", "<U+3164><U+2800><U+FE0F><U+E0100><U+E0041>"),
        ("\ud800", "<U+D800>"),
    ],
)
def test_what_someone_approves_can_be_seen(text: str, shown: str) -> None:
    assert visible_text(text) == shown
