from __future__ import annotations

import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from fake_state import fake_state

from qwen_code import __version__
from qwen_code.agent.events import AgentEvent, HelperEvent, ToolAsked, ToolFinished
from qwen_code.base.errors import TransportError
from qwen_code.fronts.renderer import Outcome
from qwen_code.fronts.stream_json.renderer import JsonRenderer
from qwen_code.models.events import (
    Cut,
    Event,
    FellBack,
    Finished,
    Notice,
    Paced,
    ReasoningDelta,
    Retrying,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from qwen_code.models.quota import Snapshot
from qwen_code.models.rate_limits import Allowance, RateLimits
from qwen_code.wiring.state import State

ANSWER: list[Event] = [
    ReasoningDelta("Let me "),
    ReasoningDelta("think"),
    TextDelta("Hello"),
    TextDelta(" 中"),
    Usage(10, 5, 15, cached_tokens=4),
    Finished("stop", "answering-model", "chatcmpl-1"),
]
DONE = Outcome("Hello 中", 120, 100, Usage(10, 5, 15, cached_tokens=4))


def render(
    events: Sequence[AgentEvent],
    outcome: Outcome = DONE,
    *,
    state: State | None = None,
    is_stream: bool = False,
    partial: bool = False,
) -> list[dict[str, Any]]:
    out = io.BytesIO()
    renderer = JsonRenderer(out, is_stream=is_stream, partial=partial)
    renderer.start(lambda: state or fake_state())
    for event in events:
        renderer.events([event])
    renderer.finish(outcome)
    text = out.getvalue().decode()
    assert text.endswith("\n")
    if is_stream:
        return [json.loads(line) for line in text.splitlines()]
    assert text.count("\n") == 1
    messages: list[dict[str, Any]] = json.loads(text)
    return messages


def without_ids(message: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in message.items() if name not in ("uuid", "session_id")}


def test_an_array_of_init_messages_and_result() -> None:
    init, thinking, answer, result = render(ANSWER)
    assert (init["type"], init["subtype"]) == ("system", "init")
    assert init["model"] == "asked-model"
    assert init["cwd"] == "/work"
    assert init["tools"] == []
    assert init["qwen_code_version"] == __version__
    assert thinking["message"]["content"] == [{"type": "thinking", "thinking": "Let me think"}]
    assert answer["type"] == "assistant"
    assert answer["parent_tool_use_id"] is None
    message = answer["message"]
    assert message.pop("id")
    assert message == {
        "type": "message",
        "role": "assistant",
        "model": "answering-model",
        "content": [{"type": "text", "text": "Hello 中"}],
        "stop_reason": "end_turn",
        "usage": {
            "input_tokens": 10,
            "output_tokens": 5,
            "cache_read_input_tokens": 4,
            "total_tokens": 15,
        },
    }
    assert without_ids(result) == {
        "type": "result",
        "subtype": "success",
        "is_error": False,
        "duration_ms": 120,
        "duration_api_ms": 100,
        "num_turns": 1,
        "result": "Hello 中",
        "usage": message["usage"],
        "permission_denials": [],
    }


@pytest.mark.parametrize("is_stream", [False, True])
def test_every_message_has_an_id_of_its_own_and_the_session(is_stream: bool) -> None:
    messages = render(ANSWER, is_stream=is_stream, partial=True)
    assert {m["session_id"] for m in messages} == {"session-1"}
    assert len({m["uuid"] for m in messages}) == len(messages)


def test_both_formats_say_the_same() -> None:
    array, lines = render(ANSWER), render(ANSWER, is_stream=True)
    for message in [*array, *lines]:
        message.get("message", {}).pop("id", None)
    assert [without_ids(m) for m in array] == [without_ids(m) for m in lines]


def test_pieces_come_as_stream_events_in_order() -> None:
    lines = render(ANSWER, is_stream=True, partial=True)
    events = [m["event"] for m in lines if m["type"] == "stream_event"]
    assert [e["type"] for e in events] == [
        "message_start",
        *["content_block_start", "content_block_delta", "content_block_delta", "content_block_stop"]
        * 2,
        "message_stop",
    ]
    start = events[0]["message"]
    assert start.pop("id")
    assert start == {"role": "assistant", "model": "asked-model", "content": []}
    assert events[1] == {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "thinking", "thinking": ""},
    }
    assert events[7] == {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "text_delta", "text": " 中"},
    }
    assert events[8] == {"type": "content_block_stop", "index": 0}


def test_tool_calls_become_blocks() -> None:
    calls: list[Event] = [
        ToolCallDelta(0, "call-1", "read", '{"path":'),
        ToolCallDelta(1, "call-2", "list", ""),
        ToolCallDelta(0, None, None, '"a"}'),
        Finished("tool_calls"),
    ]
    lines = render(calls, is_stream=True, partial=True)
    message = next(m["message"] for m in lines if m["type"] == "assistant")
    assert message["content"] == [
        {"type": "tool_use", "id": "call-1", "name": "read", "input": {"path": "a"}},
        {"type": "tool_use", "id": "call-2", "name": "list", "input": {}},
    ]
    assert message["stop_reason"] == "tool_use"
    events = [m["event"] for m in lines if m["type"] == "stream_event"]
    deltas = [(e["index"], e["delta"]["partial_json"]) for e in events if "delta" in e]
    assert deltas == [(0, '{"path":'), (0, '"a"}')]
    assert [e["index"] for e in events if e["type"] == "content_block_stop"] == [0, 1]


def test_an_error_is_a_result() -> None:
    error = TransportError("no connection", hint="Check the network.", code="connect")
    init, result = render([], Outcome("", 5, 0, error=error))
    assert init["subtype"] == "init"
    assert (result["subtype"], result["is_error"]) == ("error_during_execution", True)
    assert result["error"] == {
        "type": "TransportError",
        "message": "no connection",
        "hint": "Check the network.",
        "code": "connect",
    }


def test_an_interrupted_answer_keeps_what_came() -> None:
    *_, answer, result = render([TextDelta("half")], Outcome("half", 5, 5, was_stopped=True))
    assert answer["message"]["content"] == [{"type": "text", "text": "half"}]
    assert (result["is_error"], result["result"]) == (True, "half")


def test_an_answer_that_was_cut_is_no_success() -> None:
    *_, answer, result = render([TextDelta("half"), Cut("gone")], Outcome("half", 5, 5))
    assert answer["message"]["stop_reason"] is None
    assert result["is_error"]
    assert result["error"]["message"] == "the answer was cut off: gone"


def test_notices_are_system_messages() -> None:
    notice = next(m for m in render([Notice("another model")]) if m.get("subtype") == "notice")
    assert notice["data"] == {"message": "another model"}


def test_a_wait_for_a_turn_is_a_notice_with_its_length() -> None:
    events: list[Event] = [Paced(12.3456, "60 requests a minute are used up"), *ANSWER]
    notice = next(m for m in render(events) if m.get("subtype") == "notice")
    assert notice["data"] == {
        "message": "waiting 13 s: 60 requests a minute are used up",
        "kind": "paced",
        "wait_s": 12.346,
    }


def test_a_request_that_goes_out_again_is_a_notice() -> None:
    events: list[Event] = [Retrying(2, 0.4567, "it did not answer within 90 s"), *ANSWER]
    notice = next(m for m in render(events) if m.get("subtype") == "notice")
    assert notice["data"] == {
        "message": "it did not answer within 90 s; retrying in 0.5 s",
        "kind": "retry",
        "attempt": 2,
        "wait_s": 0.457,
    }


def test_what_a_helper_waits_for_is_told() -> None:
    retrying = HelperEvent("call_1", Retrying(2, 1, "it is silent"))
    piece = HelperEvent("call_1", TextDelta("for the model alone"))
    notices = [m for m in render([retrying, piece, *ANSWER]) if m.get("subtype") == "notice"]
    (notice,) = notices
    assert notice["data"]["message"] == "it is silent; retrying in 1.0 s"
    assert notice["data"]["parent_tool_use_id"] == "call_1"


def test_calls_of_a_helper_are_messages_below_its_own_call() -> None:
    asked = HelperEvent("call_1", ToolAsked("h1", "grep", "grep x", '{"pattern": "x"}'))
    finished = HelperEvent("call_1", ToolFinished("h1", "grep", "a:1: x", "1 line"))
    below = [m for m in render([asked, finished, *ANSWER]) if m.get("parent_tool_use_id")]
    assert [m["parent_tool_use_id"] for m in below] == ["call_1", "call_1"]
    assert [m["type"] for m in below] == ["assistant", "user"]
    ((called,), (result,)) = [m["message"]["content"] for m in below]
    assert called == {"type": "tool_use", "id": "h1", "name": "grep", "input": {"pattern": "x"}}
    assert (result["tool_use_id"], result["content"]) == ("h1", "a:1: x")


@pytest.mark.parametrize("text", ["x" * 5000, '"' * 5000, "\u2028" * 5000, "\U0001f600" * 5000])
def test_a_long_result_is_shown_in_part(text: str) -> None:
    out = io.BytesIO()
    renderer = JsonRenderer(out, is_stream=True, max_result_bytes=1000)
    renderer.events([ToolFinished("c1", "read_file", f"A{text}Z", "")])
    line = out.getvalue()
    assert len(line) < 1500
    content = json.loads(line)["message"]["content"][0]["content"]
    assert (content[0], content[-1]) == ("A", "Z")
    assert "characters are left out here" in content


def test_the_model_that_answers_instead_is_named() -> None:
    events: list[Event] = [
        FellBack("second", "asked-model", "used up"),
        TextDelta("Hello"),
        Finished("stop"),
    ]
    notice, answer = (
        next(m for m in render(events) if kind in (m["type"], m.get("subtype")))
        for kind in ("notice", "assistant")
    )
    assert notice["data"] == {
        "message": "asked-model cannot answer: used up; second is asked instead",
        "kind": "fallback",
        "model": "second",
        "instead_of": "asked-model",
    }
    assert answer["message"]["model"] == "second"


def test_the_result_says_what_is_left() -> None:
    quota = Snapshot(1, 60, 2, 2000, 1_750_075_200.0)
    limits = RateLimits(Allowance(60, 59))
    *_, result = render(ANSWER, Outcome("", 5, 5, quota=quota, rate_limits=limits))
    assert result["quota"]["requests_day"] == 2
    assert result["quota"]["resets_at"] == "2025-06-16T12:00:00Z"
    assert result["rate_limits"]["requests"]["remaining"] == 59
    assert not {"quota", "rate_limits"} & render(ANSWER)[-1].keys()


def test_a_directory_that_is_not_utf8_is_written_all_the_same() -> None:
    info = fake_state(cwd=Path(os.fsdecode(b"/caf\xe9")))
    assert render(ANSWER, state=info)[0]["cwd"] == "/caf?"
    assert render(ANSWER, state=info, is_stream=True)[0]["cwd"] == "/caf?"


class FakeOut(io.BytesIO):
    """Counts the writes."""

    writes = 0

    def write(self, data: Any) -> int:
        self.writes += 1
        return super().write(data)


def test_what_arrived_together_is_written_together() -> None:
    out = FakeOut()
    renderer = JsonRenderer(out, is_stream=True, partial=True)
    renderer.start(fake_state)
    renderer.events([TextDelta("x")] * 500)
    assert out.writes == 2


@pytest.mark.parametrize("depth", [900, 3000])
def test_arguments_that_nest_deeply_are_shown_as_text(depth: int) -> None:
    arguments = "[" * depth + "]" * depth
    asked = ToolAsked("c0", "read_file", "", arguments)
    outcome = Outcome("", 1, 1, denied=[asked], rounds=1)
    *_, called, result = render([ToolCallDelta(0, "c0", "read_file", arguments), asked], outcome)
    assert called["message"]["content"][0]["input"] == arguments
    assert result["permission_denials"][0]["tool_input"] == arguments


def test_a_turn_that_ran_in_circles_is_no_success() -> None:
    *_, result = render([], Outcome("", 1, 1, ended="loop"))
    assert (result["is_error"], result["error"]["code"]) == (True, "loop")
