from __future__ import annotations

from qwen_code.agent.pictures import as_message, without_pictures
from qwen_code.tools.base import Image

WORDS = {"role": "user", "content": "look"}


def test_pictures_are_a_message_of_parts() -> None:
    message = as_message([Image("image/png", b"\x89PNG"), Image("image/gif", b"GIF")])
    first, *pictures = message["content"]
    assert message["role"] == "user" and first["type"] == "text"
    assert [each["image_url"]["url"] for each in pictures] == [
        *("data:image/png;base64,iVBORw==", "data:image/gif;base64,R0lG")
    ]


def test_without_them_words_stay() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:,"}}
    pasted = {"role": "user", "content": [{"type": "text", "text": "this"}, picture]}
    assert without_pictures([WORDS, as_message([Image("image/png", b"x")]), pasted]) == [
        WORDS,
        {"role": "user", "content": "this\n(a picture, which this model cannot see)"},
    ]
