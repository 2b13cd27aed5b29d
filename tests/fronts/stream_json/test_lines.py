from __future__ import annotations

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_code.fronts.stream_json.lines import encode_line, shortened


@given(st.text())
def test_a_line_has_no_character_that_ends_one(text: str) -> None:
    data = encode_line({"text": text})
    assert json.loads(data) == {"text": text}
    assert not {*"\n\r\u2028\u2029"} & {*data.decode()}


def test_what_is_not_utf8_is_replaced() -> None:
    assert encode_line(os.fsdecode(b"\xff\xe2\x80\xa8")) == b'"?\\u2028"'


@given(st.text(max_size=200), st.integers(20, 300))
def test_a_short_text_stays_and_a_long_one_fits(text: str, limit: int) -> None:
    shown = shortened(text, limit)
    if len(encode_line(text)) <= limit:
        assert shown == text
    else:
        assert len(encode_line(shown)) <= limit + 80
        assert "are left out here" in shown


@pytest.mark.parametrize("character", ["a", '"', "\n", "é", "\U0001f600", "\u2028"])
def test_both_ends_of_a_long_text_are_shown(character: str) -> None:
    shown = shortened(f"first{character * 1000}last", 100)
    assert shown.startswith("first")
    assert shown.endswith("last")
