from __future__ import annotations

import base64
from typing import Any

import pytest
from pictures import png

from qwen_code.mcp.content import read_answer
from qwen_code.tools.errors import ToolFailed


def _image(data: bytes, kind: str = "image/png") -> dict[str, Any]:
    return {"type": "image", "data": base64.b64encode(data).decode(), "mimeType": kind}


def test_texts_are_joined() -> None:
    result = read_answer({"content": [{"type": "text", "text": t} for t in ("a", "", "b")]})
    assert (result.text, result.summary, result.image) == ("a\nb", "2 lines", None)
    assert read_answer({"content": [{"type": "text", "text": "one"}]}).summary == "one"
    assert read_answer({}).text == "(empty result)"


def test_structured_content_stands_in_for_text() -> None:
    both = {"content": [{"type": "text", "text": "t"}], "structuredContent": {"a": 1}}
    assert read_answer(both).text == "t"
    assert read_answer({"content": [], "structuredContent": {"a": 1}}).text == '{"a":1}'


def test_the_first_image_is_shown_and_others_are_named() -> None:
    first, second = png(1, 1), png(2, 1)
    blocks = [
        {"type": "text", "text": "look"},
        _image(first, "image/jpg"),
        _image(second),
        _image(b"3", "image/x"),
    ]
    result = read_answer({"content": blocks})
    assert result.image is not None and result.image.data == first
    assert result.image.media_type == "image/png"
    assert result.text.splitlines() == [
        "look",
        "[image not shown: image/png]",
        "[image not shown: image/x]",
    ]


@pytest.mark.parametrize("data", [b"a", b"<svg/>", png(1, 1)[:30], b"\x89PNG\r\n\x1a\n"])
def test_a_broken_image_is_not_given_to_the_model(data: bytes) -> None:
    result = read_answer({"content": [_image(data)]})
    assert result.image is None and "not shown" in result.text
    assert read_answer({"content": [{"type": "image", "data": "a", "mimeType": "i"}]}).image is None


def test_resources_and_sounds_become_text() -> None:
    blocks = [
        {"type": "resource_link", "uri": "file:///a", "name": "a", "description": "notes"},
        {"type": "resource", "resource": {"uri": "file:///b", "text": "inside"}},
        {"type": "resource", "resource": {"uri": "file:///c", "blob": "AA==", "mimeType": "x/y"}},
        {"type": "audio", "data": "AA==", "mimeType": "audio/wav"},
        {"type": "hologram"},
    ]
    assert read_answer({"content": blocks}).text.splitlines() == [
        "[resource file:///a: notes]",
        "[resource file:///b]",
        "inside",
        "[resource file:///c: x/y]",
        "[audio not shown: audio/wav]",
        "[hologram: not shown]",
    ]


def test_a_failure_is_one() -> None:
    with pytest.raises(ToolFailed, match="no such file"):
        read_answer({"content": [{"type": "text", "text": "no such file"}], "isError": True})
    with pytest.raises(ToolFailed, match="without a message"):
        read_answer({"content": [], "isError": True})


def test_long_answers_are_cut() -> None:
    text = read_answer({"content": [{"type": "text", "text": "x" * 50_001}]}).text
    assert text.startswith("x" * 50_000 + "\n[1 more characters omitted")
