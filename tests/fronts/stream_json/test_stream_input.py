from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_code.base.errors import InputError
from qwen_code.fronts.stream_json.stream_input import Control, Prompt, Reply, parse_line


def line(**message: Any) -> bytes:
    return json.dumps(message).encode()


def test_prompts() -> None:
    assert parse_line(line(type="user", message={"role": "user", "content": "hi"})) == Prompt("hi")
    parts = [{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": "b"}]
    assert parse_line(line(type="user", message={"content": parts})) == Prompt("a\nb")


def test_requests_and_replies() -> None:
    request = {"subtype": "interrupt"}
    assert parse_line(line(type="control_request", request_id=7, request=request)) == Control(
        "7", "interrupt", request
    )
    response = {"request_id": "7", "response": {"behavior": "allow"}}
    assert parse_line(line(type="control_response", response=response)) == Reply(
        "7", {"behavior": "allow"}
    )


def test_what_nobody_needs_to_know() -> None:
    assert parse_line(b" \n") is None
    assert parse_line(line(type="keep_alive")) is None


@pytest.mark.parametrize(
    "text", [b"hi", b"{}", b"[1]", b'{"type": "user"}', b'{"type": "user", "message": 3}', b"\xff"]
)
def test_what_is_no_message(text: bytes) -> None:
    with pytest.raises(InputError, match="not a message"):
        parse_line(text)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_message_or_an_error(data: bytes) -> None:
    try:
        parse_line(data)
    except InputError:
        pass
