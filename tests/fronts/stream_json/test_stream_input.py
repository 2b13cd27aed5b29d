from __future__ import annotations

import io
import json
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_code.base.errors import InputError
from qwen_code.fronts.stream_json.stream_input import (
    Control,
    QueuedPrompt,
    Reply,
    StreamInput,
    UserMessage,
    parse_line,
)


def line(**message: Any) -> bytes:
    return json.dumps(message).encode()


def test_prompts() -> None:
    assert parse_line(line(type="user", message={"role": "user", "content": "hi"})) == UserMessage(
        "hi"
    )
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert parse_line(line(type="user", message={"content": parts})) == UserMessage("a\nb")


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


@pytest.mark.parametrize(
    "text",
    [
        b'{"type": "user", "message": {"content": ["a"]}}',
        b'{"type": "user", "message": {"content": [5]}}',
        b"[" * 100_000,
        b'{"type": "user", "message": {"content": ' + b"[" * 5000 + b"]" * 5000 + b"}}",
    ],
    ids=["text", "number", "deep", "deep-content"],
)
def test_another_shape_does_not_end_the_reading(text: bytes) -> None:
    """The thread that reads would end at any other exception, and the run with 0."""
    with pytest.raises(InputError, match="not a message"):
        parse_line(text)


def test_an_interrupt_is_for_the_prompt_that_was_read_first() -> None:
    lines = [line(type="user", message={"content": text}) for text in ("a", "b")]
    ended = threading.Event()
    stdin = StreamInput(io.BytesIO(b"\n".join(lines)), lambda _: None, lambda _: None, ended.set)
    stdin.start()
    assert ended.wait(30)
    stdin.interrupt()
    first = stdin.next_prompt()
    assert isinstance(first, QueuedPrompt)
    assert first.stop.is_set
    stdin.interrupt()
    second = stdin.next_prompt()
    assert isinstance(second, QueuedPrompt)
    assert not second.stop.is_set
    stdin.interrupt()
    assert second.stop.is_set
    assert stdin.next_prompt() is None
    stdin.interrupt()


@given(st.binary(max_size=60))
def test_any_bytes_are_a_message_or_an_error(data: bytes) -> None:
    try:
        parse_line(data)
    except InputError:
        pass
