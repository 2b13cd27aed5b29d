from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_code.models.errors import BadAnswer
from qwen_code.models.sse import ServerSentEvent as Sse
from qwen_code.models.sse import SseDecoder

STREAM = (
    b"\xef\xbb\xbf: a comment\r\n\r\n"
    b"data: one\n\n"
    b"data:two\r\rdata: three\r\n\r\n"
    b"event: error\ndata: {\ndata: }\n\n"
    b"id: 7\nretry: 10\ndata\n\n"
    b"data:  \xe4\xbd\xa0\xe5\xa5\xbd \n\n"
    b"event: nothing\n\n"
    b"data: [DONE]"
)
EVENTS = [
    Sse(b"one"),
    Sse(b"two"),
    Sse(b"three"),
    Sse(b"{\n}", "error"),
    Sse(b""),
    Sse(" 你好 ".encode()),
    Sse(b"[DONE]"),
]


def decode(*chunks: bytes) -> list[Sse]:
    decoder = SseDecoder()
    return [event for chunk in chunks for event in decoder.feed(chunk)] + decoder.close()


def test_the_rules_of_the_standard() -> None:
    assert decode(STREAM) == EVENTS


@given(st.lists(st.integers(0, len(STREAM)), max_size=12).map(sorted))
def test_it_does_not_matter_where_the_bytes_are_cut(cuts: list[int]) -> None:
    edges = [0, *cuts, len(STREAM)]
    assert decode(*(STREAM[a:b] for a, b in pairwise(edges))) == EVENTS


def test_one_byte_at_a_time() -> None:
    assert decode(*(STREAM[i : i + 1] for i in range(len(STREAM)))) == EVENTS


def test_an_event_without_an_end_is_bounded() -> None:
    decoder = SseDecoder()
    with pytest.raises(BadAnswer):
        for _ in range(40):
            decoder.feed(b"data: " + b"x" * (1 << 20))


@given(st.lists(st.binary(max_size=30), max_size=10))
def test_any_bytes_are_survived(chunks: list[bytes]) -> None:
    decode(*chunks)
