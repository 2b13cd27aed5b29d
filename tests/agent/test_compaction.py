from __future__ import annotations

from typing import Any

import pytest
from fake_model import FakeModel, says
from hypothesis import given
from hypothesis import strategies as st

from qwen_code.agent.compaction import Compactor, estimate_tokens
from qwen_code.agent.progress import Progress
from qwen_code.base.stop import Stop
from qwen_code.models.events import (
    Finished,
    Notice,
    RefusalDelta,
    TextDelta,
    TextWasReasoning,
    Usage,
)

Messages = list[dict[str, Any]]


def shortened(messages: Messages, window: int = 2000) -> FakeModel:
    model = FakeModel(says("what was done"))

    def go() -> None:
        for _ in Compactor(window).compact(messages, Progress(messages), model, Stop()):
            pass

    go()
    return model


def exchange(number: int, size: int = 200) -> Messages:
    call = {"id": f"c{number}", "type": "function", "function": {"name": "grep", "arguments": "{}"}}
    return [
        {"role": "user", "content": f"prompt {number}"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": f"c{number}", "content": "x" * size},
        {"role": "assistant", "content": f"answer {number}"},
    ]


def is_acceptable(messages: Messages) -> bool:
    waiting: list[str] = []
    previous = ""
    for message in messages:
        if message["role"] == "tool":
            if message["tool_call_id"] not in waiting:
                return False
            waiting.remove(message["tool_call_id"])
        elif waiting or (message["role"] == previous == "user"):
            return False
        waiting += [call["id"] for call in message.get("tool_calls", ())]
        previous = message["role"]
    return not waiting


def test_the_users_words_stay_and_the_newest_part_too() -> None:
    messages = [m for number in range(20) for m in exchange(number)]
    shortened(messages)
    assert all(f"- prompt {number}\n" in messages[0]["content"] + "\n" for number in range(20))
    assert "what was done" in messages[0]["content"]
    assert messages[-1]["content"] == "answer 19"


def test_many_words_are_cut_in_the_middle() -> None:
    messages: Messages = []
    for number in range(30):
        messages += exchange(number)
        messages[-4]["content"] = f"prompt {number} " + "y" * 3900
    shortened(messages)
    digest = messages[0]["content"]
    assert "- prompt 0 " in digest and "more)" in digest
    assert len(digest) < 12_000


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=12), st.integers(500, 20_000))
def test_it_is_always_a_conversation(sizes: list[int], window: int) -> None:
    messages = [m for number, size in enumerate(sizes) for m in exchange(number, size)]
    before = sum(map(estimate_tokens, messages))
    shortened(messages, window)
    assert is_acceptable(messages)
    assert messages[0]["role"] == "user"
    assert sum(map(estimate_tokens, messages)) <= before + 300


def test_the_transcript_fits_the_window() -> None:
    messages = [m for number in range(50) for m in exchange(number, 4000)]
    model = shortened(messages, 4000)
    assert estimate_tokens(model.asked[0][0]) < 4000 * 0.7


@pytest.mark.parametrize(
    ("answer", "summary"),
    [
        ([TextDelta("what "), TextDelta("was done")], "what was done"),
        ([TextDelta("Let me see"), TextWasReasoning(), TextDelta("all")], "all"),
        ([RefusalDelta("I cannot help with that")], ""),
    ],
)
def test_what_counts_as_the_summary(answer: list[Any], summary: str) -> None:
    """Waits and costs are told while it comes."""
    messages = [m for number in range(9) for m in exchange(number)]
    told: list[Any] = [Notice("slow"), Usage(7, 1, 8)]
    compactor = Compactor(2000)
    model = FakeModel([told[0], *answer, told[1], Finished("stop")])
    steps = compactor.compact(messages, Progress(messages), model, Stop())
    events = [event for events in steps for event in events]
    assert compactor.summary == summary
    assert events[:-1] == told
    assert ("what was done" in messages[0]["content"]) is (summary == "what was done")
    assert "cannot help" not in messages[0]["content"]


def test_one_message_is_left_alone() -> None:
    messages: Messages = [{"role": "user", "content": "x" * 100_000}]
    shortened(messages)
    assert len(messages) == 1


def test_the_size_is_the_servers_as_far_as_it_counted() -> None:
    compactor = Compactor(1000)
    messages = exchange(1)
    compactor.note(Usage(700, 10, 710), 4)
    assert compactor.size(messages) == 710
    assert not compactor.is_full(messages)
    messages.append({"role": "user", "content": "z" * 400})
    assert compactor.size(messages) > 800
    assert compactor.is_full(messages)
    assert compactor.size(messages[:2]) < 100, "another conversation than the one counted"


def test_a_picture_counts_a_thousand() -> None:
    url = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 1_000_000}}
    assert 1000 <= estimate_tokens({"role": "user", "content": [url]}) < 1100


def test_the_size_follows_a_conversation_that_grows_and_is_cut() -> None:
    compactor = Compactor(1000)
    messages = [{"role": "user", "content": "word " * 100}]
    first = compactor.size(messages)
    assert compactor.size(messages) == first
    messages.append({"role": "assistant", "content": "word " * 100})
    assert compactor.size(messages) > 1.8 * first
    del messages[1:]
    assert compactor.size(messages) == first
