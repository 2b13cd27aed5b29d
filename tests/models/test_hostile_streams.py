"""Streams that are made to take long: each part costs about the same, whatever came before.

The bounds are generous. What grows with the square of the length exceeds them many times.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from stream_corpus import TOOLS

from qwen_code.base.errors import QwenError
from qwen_code.models.stream import ChatDecoder

COUNT = 15_000
MAX_S = 15.0


def chunk(**delta: Any) -> bytes:
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": delta}]}).encode() + b"\n\n"


def text(content: str) -> bytes:
    return chunk(content=content)


def call(arguments: str, call_id: str = "a", **more: Any) -> bytes:
    function = {"arguments": arguments, **more}
    return chunk(tool_calls=[{"index": 0, "id": call_id, "function": function}])


OPEN = call('{"a', name="read_file")

STREAMS: dict[str, Callable[[], list[bytes]]] = {
    "blanks": lambda: [text("\n")] * COUNT,
    "beginnings of tags": lambda: [text("<")] * COUNT,
    "a call without an end": lambda: [text("<tool_call>"), *[text("word ")] * COUNT],
    "parameters": lambda: [text("<function=read_file>"), *[text("<parameter=a>")] * COUNT],
    "calls that only begin": lambda: [
        *[text("<|tool_calls_section_begin|>"), text("<|tool_call_begin|>x" * 20_000)],
    ],
    "keys": lambda: [text("<tool_call>x" + "<arg_key>" * 50_000 + "</tool_call>")],
    "ends of reasoning": lambda: [text("<think>"), *[text("a</thin")] * COUNT],
    "ends without a beginning": lambda: [text("a</think>")] * COUNT,
    "backticks": lambda: [text("`")] * COUNT,
    "reasoning": lambda: [chunk(reasoning_content="words ")] * COUNT,
    "details": lambda: [
        chunk(reasoning_details=[{"type": "reasoning.text", "text": "w", "index": number % 3}])
        for number in range(COUNT)
    ],
    "a name in each part": lambda: [OPEN, *[call("b", name="read_file")] * COUNT],
    "an id in each part": lambda: [
        OPEN,
        *(call("b", f"id{number}", name="read_file") for number in range(COUNT)),
    ],
    "braces": lambda: [OPEN, *[call("{}")] * COUNT],
    "repetitions": lambda: [call("{}", name="read_file"), *[call("{")] * COUNT],
    "comments": lambda: [b": working\n\n"] * COUNT,
    "crumbs": lambda: [b"data: {\n\n"] * COUNT,
    "an event without an end": lambda: [b"data: x\n"] * COUNT,
    "a line without an end": lambda: [b"data: ", *[b"x" * 100] * COUNT],
    "a body": lambda: [b"{", *[b"        "] * COUNT],
    "a page": lambda: [b"<" * 200] * COUNT,
}


@pytest.mark.parametrize("kind", STREAMS)
def test_it_ends_soon(kind: str) -> None:
    packets = STREAMS[kind]()
    decoder, began = ChatDecoder("m", TOOLS), time.process_time()
    try:
        for packet in packets:
            decoder.feed(packet)
            decoder.check()
        decoder.close()
    except QwenError:
        pass
    assert time.process_time() - began < MAX_S
