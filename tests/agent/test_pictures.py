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


DOCUMENT = Image("application/pdf", b"%PDF", "a.pdf", "a.pdf is a PDF document of 1 page.")


def test_a_document_is_a_part_with_its_name() -> None:
    part = as_message([DOCUMENT])["content"][1]
    assert part == {
        "type": "file",
        "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="},
    }


def test_only_what_a_model_takes_is_left() -> None:
    message = as_message([Image("image/png", b"x"), DOCUMENT])
    words, picture, document = message["content"]
    assert without_pictures([message], {"file"}) == [{**message, "content": [words, document]}]
    assert without_pictures([message], {"image_url"}) == [{**message, "content": [words, picture]}]
    assert without_pictures([message], {"image_url", "file"}) == [message]
    pasted = {"role": "user", "content": [{"type": "text", "text": "this"}, picture, document]}
    shown = without_pictures([pasted], {"file"})[0]["content"]
    assert [part["type"] for part in shown] == ["text", "text", "file"]
