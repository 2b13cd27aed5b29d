from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_code.models.errors import BadAnswer
from qwen_code.models.events import (
    Attached,
    Cut,
    Event,
    Finished,
    Notice,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from qwen_code.models.stream import ChatDecoder, StreamFailed, decode_completion


def line(delta: Any = None, reason: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    chunk = {"id": "r1", "model": "m", "choices": [] if delta is None else [choice], **more}
    return b"data: " + json.dumps(chunk, ensure_ascii=False).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


def decode(*parts: bytes, model: str = "m") -> list[Event]:
    decoder = ChatDecoder(model)
    return [event for part in parts for event in decoder.feed(part)] + decoder.close()


def end(reason: Any = "stop") -> Finished:
    return Finished(reason, "m", "r1")


def test_a_whole_answer() -> None:
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": 3,
        "total_tokens": 12,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    events = decode(
        line({"role": "assistant", "content": ""}),
        line({"reasoning_content": "hm"}),
        line({"content": "Hal"}),
        line({"content": "lo"}),
        line({}, "stop"),
        line(usage=usage),
        DONE,
    )
    assert events == [
        ReasoningDelta("hm"),
        TextDelta("Hal"),
        TextDelta("lo"),
        Usage(9, 3, 12, 4, 2),
        Attached("", {"reasoning_content": "hm"}),
        end(),
    ]


ANSWER = b"".join(
    [
        b": keep-alive\n\n",
        line({"content": "Grüße, 世界"}),
        line({"content": " 🎉"}),
        line(
            {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{"}}]}
        ),
        line({"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]}),
        line({}, "tool_calls"),
        DONE,
    ]
)


@given(st.lists(st.integers(0, len(ANSWER)), max_size=15).map(sorted))
def test_it_does_not_matter_where_the_bytes_are_cut(cuts: list[int]) -> None:
    edges = [0, *cuts, len(ANSWER)]
    pieces = [ANSWER[a:b] for a, b in pairwise(edges)]
    assert decode(*pieces) == decode(ANSWER)


def test_tool_calls_of_servers_that_are_careful_and_of_those_that_are_not() -> None:
    careful = decode(
        line({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}]}),
        line({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}),
        line(
            {"tool_calls": [{"index": 1, "id": "b", "function": {"name": "g", "arguments": "{}"}}]}
        ),
    )
    assert careful[:3] == [
        ToolCallDelta(0, "a", "f", ""),
        ToolCallDelta(0, None, None, "{}"),
        ToolCallDelta(1, "b", "g", "{}"),
    ]
    no_index = decode(
        line({"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": {"x": 1}}}]}),
        line({"tool_calls": [{"id": "b", "function": {"name": "g", "arguments": "{"}}]}),
        line({"tool_calls": [{"function": {"arguments": "}"}}]}),
    )
    assert no_index[:3] == [
        ToolCallDelta(0, "a", "f", '{"x":1}'),
        ToolCallDelta(1, "b", "g", "{"),
        ToolCallDelta(1, None, None, "}"),
    ]
    repeated = decode(
        line(
            {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{"}}]}
        ),
        line(
            {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "}"}}]}
        ),
    )
    assert repeated[:2] == [ToolCallDelta(0, "a", "f", "{"), ToolCallDelta(0, None, None, "}")]


@pytest.mark.parametrize(
    ("escaped", "text"),
    [
        (r"\ud83d", "\ufffd"),
        (r"a\ude00b", "a\ufffdb"),
        (r"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        (r"\ud83d\ude00\ude00", "\U0001f600\ufffd"),
        (r"\\ud83d \ud83d", "\\ufffd \ufffd"),
    ],
)
def test_half_a_character_does_not_fail_an_answer(escaped: str, text: str) -> None:
    """Some proxies cut an emoji in two."""
    data = f'data: {{"choices": [{{"index": 0, "delta": {{"content": "{escaped}"}}}}]}}\n\n'
    assert decode(data.encode())[0] == TextDelta(text)


def piece(**call: Any) -> bytes:
    arguments, name = call.pop("arguments", ""), call.pop("name", None)
    function = {"arguments": arguments} | ({"name": name} if name else {})
    return line({"tool_calls": [{**call, "function": function}]})


def whole(*lines: bytes) -> list[tuple[str, str, str]]:
    """The calls as they are put together: id, name, arguments."""
    calls: dict[int, list[str]] = {}
    for event in decode(*lines):
        if isinstance(event, ToolCallDelta):
            if event.index not in calls:
                assert event.id
                calls[event.index] = [event.id, "", ""]
            else:
                assert event.id is None
            calls[event.index][1] += event.name or ""
            calls[event.index][2] += event.arguments
    return [(call[0], call[1], call[2]) for _, call in sorted(calls.items())]


def test_calls_without_an_id_get_one() -> None:
    no_ids = whole(
        piece(index=0, name="f", arguments="{"),
        piece(index=0, arguments="}"),
        piece(index=1, name="g", arguments="{}"),
    )
    assert [call[1:] for call in no_ids] == [("f", "{}"), ("g", "{}")]
    assert no_ids[0][0] != no_ids[1][0]
    late = whole(piece(index=0, name="f", arguments="{"), piece(index=0, id="a", arguments="}"))
    assert [call[1:] for call in late] == [("f", "{}")]


def test_calls_under_one_id_are_told_apart() -> None:
    first, second = whole(
        piece(index=0, id="a", name="f", arguments="{}"),
        piece(index=1, id="a", name="g", arguments="{"),
        piece(index=1, arguments="}"),
    )
    assert (first, second[1:]) == (("a", "f", "{}"), ("g", "{}"))
    assert second[0] != "a"


def test_calls_under_one_index_are_told_apart() -> None:
    """As Gemini's compatible endpoint writes several calls."""
    assert whole(
        piece(index=0, id="a", name="f", arguments="{}"),
        piece(index=0, id="b", name="g", arguments="{"),
        piece(index=0, arguments="}"),
        piece(index=1, id="c", name="h", arguments="{}"),
    ) == [("a", "f", "{}"), ("b", "g", "{}"), ("c", "h", "{}")]


@pytest.mark.parametrize(
    ("delta", "event"),
    [
        ({"refusal": "no"}, RefusalDelta("no")),
        ({"reasoning": "hm"}, ReasoningDelta("hm")),
        (
            {"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            TextDelta("ab"),
        ),
        ({"content": "x", "tool_calls": None, "audio": 7}, TextDelta("x")),
        ({"content": "x", "reasoning_content": 5}, TextDelta("x")),
        ({"content": "x", "tool_calls": [{"index": "0", "function": []}]}, TextDelta("x")),
    ],
)
def test_odd_deltas_are_understood_as_far_as_possible(delta: Any, event: Event) -> None:
    assert decode(line(delta, "stop"))[0] == event


def test_how_an_answer_can_end() -> None:
    assert decode(line({"content": "a"}, "stop"))[-1] == end()
    assert decode(line({"content": "a"}), DONE)[-1] == end("unknown")
    assert decode(line({"content": "a"}, "odd"), DONE)[-1] == Finished("unknown", "m", "r1", "odd")
    assert decode(line({"content": "a"}, "eos"), DONE)[-1] == Finished("stop", "m", "r1", "eos")
    assert decode(line({"content": "a"}, "length"))[-1] == end("length")
    assert isinstance(decode(line({"content": "a"}))[-1], Cut)
    assert isinstance(decode()[-1], Cut)


@pytest.mark.parametrize(
    "bad", [b'event: error\ndata: {"message":"x"}\n\n', b'data: {"error":{"message":"x"}}\n\n']
)
def test_an_error_in_the_middle_comes_after_what_was_given(bad: bytes) -> None:
    decoder = ChatDecoder("m")
    assert decoder.feed(line({"content": "a"})) == [TextDelta("a")]
    with pytest.raises(StreamFailed):
        decoder.feed(bad)


@pytest.mark.parametrize("data", [b"data: <html>\n\n", b"data: [1]\n\n", b"data: \xff\xfe\n\n"])
def test_what_is_not_the_api_is_said(data: bytes) -> None:
    with pytest.raises(BadAnswer):
        decode(data)


@pytest.mark.parametrize(
    ("asked", "answering", "is_news"),
    [
        ("gpt-4o", "gpt-4o-2024-08-06", False),
        ("gpt-4o", "gpt-4o-mini", True),
        ("qwen/qwen3-coder", "qwen3-coder", False),
        ("qwen/qwen3-coder:free", "qwen/qwen3-coder", False),
        ("qwen3-coder-plus", "qwen3-coder-plus-20250722", False),
        ("qwen-max", "qwen-turbo", True),
        ("coder", "/models/Coder.gguf", False),
    ],
)
def test_another_answering_model_is_news_once(asked: str, answering: str, is_news: bool) -> None:
    part = line({"content": "a"}, model=answering)
    events = decode(part, part, DONE, model=asked)
    assert len([e for e in events if isinstance(e, Notice)]) == int(is_news)


def test_a_whole_body_gives_the_same_events() -> None:
    body = {
        "id": "r1",
        "model": "m",
        "choices": [
            {
                "message": {"role": "assistant", "content": "hi", "tool_calls": []},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1},
    }
    assert decode_completion(json.dumps(body).encode(), "m") == [
        TextDelta("hi"),
        Usage(1, 1, 2),
        end(),
    ]
    with pytest.raises(BadAnswer):
        decode_completion(b'{"hello": 1}', "m")
    with pytest.raises(StreamFailed):
        decode_completion(b'{"error": "x"}', "m")


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "delta",
                    "content",
                    "tool_calls",
                    "usage",
                    "model",
                    "index",
                    "function",
                    "error",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_json_is_events_or_an_error_of_ours(value: Any) -> None:
    try:
        decode(b"data: " + json.dumps(value).encode() + b"\n\n")
    except (BadAnswer, StreamFailed):
        pass


def test_bad_utf_8_inside_a_chunk_costs_that_character_alone() -> None:
    decoder = ChatDecoder("m")
    events = decoder.feed(b'data: {"choices":[{"delta":{"content":"a\xffb"}}]}\n\n')
    assert [event.text for event in events if isinstance(event, TextDelta)] == ["a\ufffdb"]


def test_bad_utf_8_in_a_whole_answer_costs_that_character_alone() -> None:
    body = b'{"choices":[{"message":{"content":"\xe9t\xe9"},"finish_reason":"stop"}]}'
    assert TextDelta("\ufffdt\ufffd") in decode_completion(body, "m")


@pytest.mark.parametrize("per_chunk", [1, 100_000])
def test_an_answer_with_endless_calls(per_chunk: int) -> None:
    function = {"name": "x", "arguments": "{}"}
    decoder = ChatDecoder("m")
    with pytest.raises(BadAnswer, match="more than 1,000 calls"):
        for first in range(0, 100_000, per_chunk):
            calls = [
                {"index": n, "id": str(n), "function": function}
                for n in range(first, first + per_chunk)
            ]
            chunk = {"choices": [{"delta": {"tool_calls": calls}}]}
            decoder.feed(b"data: " + msgspec.json.encode(chunk) + b"\n\n")
            decoder.check()
