"""Text of models whose name says that they always reason, in servers that do not read it."""

from __future__ import annotations

import pytest
from stream_corpus import TOOLS

from qwen_code.models.content import ContentReader, always_reasons
from qwen_code.models.events import Event, ReasoningDelta, TextDelta

CALL = "<tool_call>\n<function=read_file>\n<parameter=path>\na\n</parameter>\n</function>\n</tool_call>"


def read(*pieces: str, presumes: bool = True, elsewhere: bool = False) -> tuple[str, str, int]:
    """Reasoning, text, and how many calls there are."""
    reader = ContentReader(TOOLS, begins_in_reasoning=presumes)
    events: list[Event] = []
    if elsewhere:
        reader.has_reasoning_elsewhere()
    for piece in pieces:
        reader.feed(piece, events)
    reader.close(events)
    reasoning = "".join(e.text for e in events if isinstance(e, ReasoningDelta))
    return reasoning, "".join(e.text for e in events if isinstance(e, TextDelta)), len(reader.calls)


def test_the_opening_tag_is_in_the_prompt() -> None:
    assert read("hm", "m</th", "ink>\n\nHello") == ("hmm", "Hello", 0)


def test_the_opening_tag_is_there_all_the_same() -> None:
    assert read("<thi", "nk>hmm</think>", "Hello") == ("hmm", "Hello", 0)
    assert read("\n<think>\nhmm\n</think>\nHello") == ("\nhmm\n", "Hello", 0)


def test_the_reasoning_is_in_a_field() -> None:
    assert read("Hel", "lo", elsewhere=True) == ("", "Hello", 0)


def test_there_is_no_reasoning() -> None:
    """Then it is shown as reasoning while it comes, and is the answer at the end."""
    assert read("Hel", "lo") == ("Hello", "Hello", 0)
    assert read("I look.\n", CALL)[1:] == ("I look.\n", 1)


def test_calls_after_the_reasoning() -> None:
    assert read("hmm</think>\n", CALL) == ("hmm", "", 1)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("qwq-32b", True),
        ("deepseek-r1", True),
        ("deepseek/deepseek-r1:free", True),
        ("DeepSeek-R1-Distill-Qwen-7B", True),
        ("qwen3-30b-a3b-thinking-2507", True),
        ("deepseek-v3", False),
        ("qwen3-coder-plus", False),
        ("r10-model", False),
    ],
)
def test_models_that_always_reason(model: str, expected: bool) -> None:
    assert always_reasons(model) is expected
