"""Every answer in ``tests/corpus/streams`` is understood, however it is cut into packets."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stream_corpus import FILES, TOOLS, read_case

from qwen_code.base.errors import QwenError
from qwen_code.models.events import (
    Attached,
    Event,
    Finished,
    Notice,
    ReasoningDelta,
    TextDelta,
    TextWasReasoning,
    ToolCallDelta,
    Usage,
)
from qwen_code.models.stream import ChatDecoder


def decode(*packets: bytes) -> tuple[list[Event], QwenError | None]:
    """The events, as a client takes them, and the error at their end."""
    decoder = ChatDecoder("m", TOOLS)
    events: list[Event] = []
    try:
        for packet in packets:
            if decoder.is_done:
                break
            events += decoder.feed(packet)
            decoder.check()
        events += decoder.close()
    except QwenError as error:
        return events, error
    return events, None


def joined(events: list[Event]) -> list[Any]:
    """The events without borders between parts of one text, and without made-up ids."""
    whole: list[Any] = []
    for event in events:
        last = whole[-1] if whole else None
        if isinstance(event, TextDelta | ReasoningDelta) and type(event) is type(last):
            whole[-1] = type(event)(last.text + event.text)
        elif isinstance(event, ToolCallDelta):
            whole.append(("call", event.index, event.name, event.arguments))
        else:
            whole.append(event)
    return whole


class Understood:
    def __init__(self, events: list[Event]) -> None:
        self.text = self.reasoning = ""
        self.notices = ""
        self.calls: dict[int, list[str]] = {}
        self.end: Event | None = None
        self.attached: Attached | None = None
        self.tokens = 0
        for event in events:
            if isinstance(event, TextDelta):
                self.text += event.text
            elif isinstance(event, TextWasReasoning):
                self.reasoning, self.text = self.reasoning + self.text, ""
            elif isinstance(event, ReasoningDelta):
                self.reasoning += event.text
            elif isinstance(event, ToolCallDelta):
                call = self.calls.setdefault(event.index, ["", ""])
                call[0] += event.name or ""
                call[1] += event.arguments
            elif isinstance(event, Attached):
                self.attached = event
            elif isinstance(event, Notice):
                self.notices += event.text
            elif isinstance(event, Usage):
                self.tokens = event.total_tokens
            else:
                self.end = event


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_answer_of_a_provider(file: Path) -> None:
    case = read_case(file)
    events, error = decode(case.body)
    found, expected = Understood(events), case.expected
    assert found.text == expected.get("text", "")
    if not expected.get("was_reasoning"):
        assert found.reasoning == expected.get("reasoning", "")
    assert [found.calls[n] for n in sorted(found.calls)] == expected.get("calls", [])
    if "attached" in expected or "attached_calls" in expected:
        assert found.attached is not None
        assert found.attached.fields == expected.get("attached", {})
        by_index = {str(index): fields for index, fields in found.attached.calls.items()}
        assert by_index == expected.get("attached_calls", {})
    else:
        assert found.attached is None
    if "tokens" in expected:
        assert found.tokens == expected["tokens"]
    assert (expected["notice"] in found.notices) if "notice" in expected else not found.notices
    check_end(found, error, expected)


def check_end(found: Understood, error: QwenError | None, expected: dict[str, Any]) -> None:
    if wanted := expected.get("error"):
        said = f"{error.message if error else getattr(found.end, 'reason', '')}"
        assert (type(error).__name__ if error else type(found.end).__name__) == wanted, said
        assert expected.get("words", "") in said
    else:
        assert error is None
        assert isinstance(found.end, Finished)
        assert found.end.reason == expected["finish"]


@given(st.data())
def test_it_does_not_matter_where_an_answer_is_cut(data: st.DataObject) -> None:
    case = read_case(data.draw(st.sampled_from(FILES)))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(case.body)), max_size=20)))
    packets = [case.body[a:b] for a, b in pairwise([0, *cuts, len(case.body)])]
    whole, error = decode(case.body)
    pieces, error_of_pieces = decode(*packets)
    assert joined(pieces) == joined(whole)
    assert repr(error_of_pieces) == repr(error)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_byte_at_a_time(file: Path) -> None:
    case = read_case(file)
    whole, error = decode(case.body)
    pieces, error_of_pieces = decode(*(case.body[n : n + 1] for n in range(len(case.body))))
    assert joined(pieces) == joined(whole)
    assert repr(error_of_pieces) == repr(error)
