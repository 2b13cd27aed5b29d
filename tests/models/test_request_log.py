from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qwen_code.base.secret import Secret
from qwen_code.models.errors import ServerFailed
from qwen_code.models.events import (
    Event,
    EventStream,
    Finished,
    ReasoningDelta,
    TextDelta,
    TextWasReasoning,
    ToolCallDelta,
    Usage,
)
from qwen_code.models.request_log import RequestLog

KEY = Secret('sk-log-0123"456789')
DOWN = ServerFailed("down", hint=None, code=None)
MESSAGES = [{"role": "user", "content": f"my key is {KEY.reveal()}"}]


@pytest.fixture
def notices() -> list[str]:
    return []


@pytest.fixture
def log(tmp_path: Path, notices: list[str]) -> RequestLog:
    return RequestLog(tmp_path / "logs" / "openai", 7, notices.append)


def stream(*events: Event, error: Exception | None = None) -> EventStream:
    for event in events:
        yield [event]
    if error is not None:
        raise error


def records(directory: Path) -> Iterator[Any]:
    for path in sorted(directory.glob("logs/openai/openai-*.json")):
        assert path.stat().st_mode & 0o777 == 0o600
        yield json.loads(path.read_bytes())


def test_a_request_and_its_answer(log: RequestLog, tmp_path: Path) -> None:
    events: list[Event] = [
        ReasoningDelta("hm"),
        TextDelta("a"),
        TextDelta("b"),
        ToolCallDelta(0, "c1", "read_file", '{"pa'),
        ToolCallDelta(0, None, None, 'th": "x"}'),
        Usage(3, 2, 0),
        Finished("tool_calls"),
    ]
    got = [*log.recorded("m", MESSAGES, [{"type": "function"}], stream(*events))]
    assert [event for batch in got for event in batch] == events
    (record,) = records(tmp_path)
    assert record["request"]["model"] == "m" and record["request"]["tools"]
    assert "sk-log" not in json.dumps(record)
    choice = record["response"]["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"] == {
        "role": "assistant",
        "content": "ab",
        "reasoning_content": "hm",
        "tool_calls": [
            {
                "id": "c1",
                "type": "function",
                "function": {"name": "read_file", "arguments": '{"path": "x"}'},
            }
        ],
    }
    assert record["response"]["usage"]["prompt_tokens"] == 3
    assert record["error"] is None


def test_text_that_was_reasoning_is_logged_as_that(log: RequestLog, tmp_path: Path) -> None:
    events = stream(TextDelta("hm"), TextWasReasoning(), TextDelta("yes"))
    list(log.recorded("m", MESSAGES, None, events))
    (record,) = records(tmp_path)
    message = record["response"]["choices"][0]["message"]
    assert (message["reasoning_content"], message["content"]) == ("hm", "yes")


def test_an_error_is_written_and_raised(log: RequestLog, tmp_path: Path) -> None:
    with pytest.raises(ServerFailed):
        list(log.recorded("m", MESSAGES, None, stream(TextDelta("a"), error=DOWN)))
    (record,) = records(tmp_path)
    assert record["error"] == "down"
    assert record["response"]["choices"][0]["message"]["content"] == "a"


def test_an_answer_that_was_left_is_written(log: RequestLog, tmp_path: Path) -> None:
    answer = log.recorded("m", MESSAGES, None, stream(TextDelta("a"), TextDelta("b")))
    next(answer)
    answer.close()
    (record,) = records(tmp_path)
    assert record["error"] == "interrupted"


def test_old_ones_are_removed_and_others_are_not(log: RequestLog, tmp_path: Path) -> None:
    directory = tmp_path / "logs" / "openai"
    directory.mkdir(parents=True)
    old, young, other = (directory / n for n in ("openai-old.json", "openai-new.json", "mine.json"))
    for path, days in ((old, 8), (young, 6), (other, 99)):
        path.touch()
        then = time.time() - days * 24 * 3600
        os.utime(path, (then, then))
    list(log.recorded("m", MESSAGES, None, stream(TextDelta("a"))))
    assert (old.exists(), young.exists(), other.exists()) == (False, True, True)


def test_where_nothing_can_be_written_the_answer_is_given(
    log: RequestLog, tmp_path: Path, notices: list[str]
) -> None:
    (tmp_path / "logs").write_text("a file")
    for _ in range(2):
        assert [*log.recorded("m", MESSAGES, None, stream(TextDelta("a")))] == [[TextDelta("a")]]
    assert len(notices) == 1 and "cannot be logged" in notices[0]
