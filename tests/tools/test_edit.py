from __future__ import annotations

import codecs
import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from qwen_code.tools.edit import replace
from qwen_code.tools.encodings import detect
from qwen_code.tools.errors import ToolFailed

ENCODINGS = {
    "utf-8": b"",
    "utf-8-sig": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
}


def written(text: str, encoding: str) -> bytes:
    name = encoding.removesuffix("-sig")
    return ENCODINGS[encoding] + text.encode(name)


def test_one_place_is_replaced() -> None:
    edited = replace(b"a = 1\nb = 2\n", "b = 2", "b = 3")
    assert (edited.data, edited.count) == (b"a = 1\nb = 3\n", 1)


def test_several_places_need_to_be_asked_for() -> None:
    with pytest.raises(ToolFailed, match=re.escape("2 times (lines 1, 3)")):
        replace(b"x\ny\nx\n", "x", "z")
    assert replace(b"x\ny\nx\n", "x", "z", replace_all=True).data == b"z\ny\nz\n"


@pytest.mark.parametrize(("old", "new"), [("", "x"), ("a", "a"), ("a\nb", "a\r\nb")])
def test_what_would_change_nothing(old: str, new: str) -> None:
    with pytest.raises(ToolFailed):
        replace(b"a\nb", old, new)


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_the_files_line_endings_stay(newline: str) -> None:
    data = newline.join(["one", "two", "three", ""]).encode()
    edited = replace(data, "one\ntwo", "1\n2\n2a").data
    assert edited == newline.join(["1", "2", "2a", "three", ""]).encode()


def test_mixed_line_endings_stay_where_they_are() -> None:
    assert replace(b"a\r\nb\nc\r\nd\n", "b\nc", "B\nC").data == b"a\r\nB\nC\r\nd\n"
    assert replace(b"a\r\nb\nc\nd\n", "a\nb", "A\nB").data == b"A\r\nB\nc\nd\n"


def test_a_near_miss_in_blanks_shows_the_lines_as_they_are() -> None:
    with pytest.raises(ToolFailed, match="differ from it only in whitespace") as caught:
        replace(b"def f():\n\treturn 1\n", "def f():\n    return 1", "x")
    assert "\treturn 1" in caught.value.message and "lines 1–2" in caught.value.message


def test_a_near_miss_in_words_shows_what_is_most_like_it() -> None:
    data = b"import os\n\n\ndef total(items):\n    return sum(items)\n"
    with pytest.raises(ToolFailed, match="The most similar lines are 4–5") as caught:
        replace(data, "def total(item):\n    return sum(item)", "x")
    assert "def total(items):" in caught.value.message


def test_nothing_like_it() -> None:
    with pytest.raises(ToolFailed, match="nothing is similar to it"):
        replace(b"alpha\n", "completely different\nlines of text", "x")


def test_a_character_that_the_encoding_lacks_is_named() -> None:
    data = "prix: 5 \xa3\nd\xe9j\xe0 vu\n".encode("latin-1")
    assert detect(data).name == "cp1252"
    with pytest.raises(ToolFailed, match="windows-1252 cannot represent .*U.4EF7.*write_file"):
        replace(data, "prix", "\u4ef7\u683c")
    assert replace(data, "d\xe9j\xe0", "d\xe8").data == "prix: 5 \xa3\nd\xe8 vu\n".encode("latin-1")


def test_utf_16_matches_only_whole_characters() -> None:
    # "\u6100\u0062" holds the bytes of "a" between two characters.
    data = codecs.BOM_UTF16_LE + "\u6100\u0062 a".encode("utf-16-le")
    edited = replace(data, "a", "c").data
    assert edited == codecs.BOM_UTF16_LE + "\u6100\u0062 c".encode("utf-16-le")


characters = st.characters(exclude_categories=["Cs"]) | st.sampled_from("ab\n\r\t ")
texts = st.text(characters, max_size=40)


@given(texts, st.text(characters, min_size=1), texts, texts, st.sampled_from(sorted(ENCODINGS)))
def test_whatever_is_not_named_stays_byte_for_byte(
    before: str, old: str, after: str, new: str, encoding: str
) -> None:
    text = before + old + after
    data = written(text, encoding)
    assume(not text.startswith("\ufeff") and not {"\n", "\r"} & {*old})
    assume(text.count(old) == 1 and old not in (text[1:].replace(old, "", 1)))
    assume(detect(data).name == encoding.removesuffix("-sig"))
    wanted = re.sub("\r\n|\r", "\n", new)
    assume(wanted != old)
    newline = detect(data).newline
    assert replace(data, old, new).data == written(
        text.replace(old, wanted.replace("\n", newline)), encoding
    )


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["\n", "\r\n", "\r"])), max_size=8)
)
def test_line_endings_outside_the_place_stay(lines: list[tuple[str, str]]) -> None:
    head = "".join(word + ending for word, ending in lines)
    data = f"{head}old line\r\nsecond\n{head}".encode()
    edited = replace(data, "old line\nsecond", "new\nlines\nhere").data
    assert edited == f"{head}new\r\nlines\r\nhere\n{head}".encode()


@given(st.binary(max_size=60), st.text("ab\n", min_size=1, max_size=3), st.text("ab\n", max_size=3))
def test_any_bytes_are_edited_or_refused_and_never_garbled(data: bytes, old: str, new: str) -> None:
    try:
        edited = replace(data, old, new)
    except ToolFailed:
        return
    assert edited.count == 1
    common = 0
    while common < min(len(data), len(edited.data)) and data[common] == edited.data[common]:
        common += 1
    tail = 0
    while (
        tail < min(len(data), len(edited.data)) - common
        and data[-1 - tail] == edited.data[-1 - tail]
    ):
        tail += 1
    changed = data[common : len(data) - tail]
    assert len(changed) <= len(detect(data).encode(old)) * 2
