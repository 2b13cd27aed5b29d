from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transcript_checks import assert_acceptable

from qwen_code.agent.progress import PICTURES
from qwen_code.agent.transcript import as_markdown, repaired

PROMPT = {"role": "user", "content": "fix the failing test, please"}
CALL = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        {"id": f"c{n}", "type": "function", "function": {"name": "grep", "arguments": "{}"}}
        for n in range(2)
    ],
}
RESULT = {"role": "tool", "tool_call_id": "c0", "content": "a.py:1"}
ANSWER = {"role": "assistant", "content": "It is fixed."}


def test_it_can_be_read() -> None:
    text = as_markdown([PROMPT, CALL, RESULT, ANSWER])
    assert text.startswith("## User\n\nfix the failing test, please\n")
    assert "**grep** `{}`" in text and "```\na.py:1\n```" in text
    assert text.endswith("## Assistant\n\nIt is fixed.\n")


roles = st.sampled_from([PROMPT, CALL, RESULT, ANSWER, {**RESULT, "tool_call_id": "c1"}])


@given(st.lists(roles, max_size=10))
def test_what_is_repaired_is_acceptable_and_stays_so(messages: list[dict[str, Any]]) -> None:
    whole = repaired(messages)
    assert_acceptable(whole)
    assert repaired(whole) == whole
    assert [m for m in whole if m["role"] == "user"] == [m for m in messages if m["role"] == "user"]


@pytest.mark.parametrize(
    ("first", "second", "joined"),
    [
        ("a", "b", "a\n\nb"),
        ("a", None, "a"),
        (None, "b", "b"),
        ([{"type": "text", "text": "a"}], "b", "a\n\nb"),
    ],
)
def test_answers_between_which_something_is_lost_become_one(
    first: Any, second: Any, joined: str
) -> None:
    """Strict servers reject two in a row."""
    call = {**CALL, "content": second}
    one = {"role": "assistant", "content": first, "tool_calls": []}
    messages = repaired([PROMPT, one, None, call])
    assert [each["role"] for each in messages[:2]] == ["user", "assistant"]
    assert messages[1] == {**call, "content": joined if first else second}
    assert repaired(messages) == messages


def test_a_prompt_after_a_result_comes_after_an_answer() -> None:
    messages = repaired([PROMPT, CALL, RESULT, {**RESULT, "tool_call_id": "c1"}, PROMPT])
    assert [each["role"] for each in messages[-3:]] == ["tool", "assistant", "user"]


def test_what_is_well_formed_stays_as_it_is() -> None:
    picture = {
        "role": "user",
        "content": [
            {"type": "text", "text": PICTURES},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        ],
    }
    thought = {"role": "assistant", "reasoning_content": "hm", "content": "yes"}
    second = {**RESULT, "tool_call_id": "c1"}
    messages: list[dict[str, Any]] = [
        PROMPT,
        CALL,
        RESULT,
        second,
        picture,
        thought,
        PROMPT,
        ANSWER,
    ]
    assert repaired(messages) == messages
    assert [list(message) for message in repaired(messages)] == [list(m) for m in messages]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('{"path": "a"}', '{"path": "a"}'),
        ({"path": "a"}, '{"path":"a"}'),
        ('{"path": "a', "{}"),
        ("[]", "{}"),
        (None, "{}"),
        (5, "{}"),
        ("[" * 100_000, "{}"),
    ],
)
def test_arguments_become_a_json_object(arguments: Any, expected: str) -> None:
    call = {"id": "c", "function": {"name": "grep", "arguments": arguments}}
    first, _ = repaired([{"role": "assistant", "content": None, "tool_calls": [call]}])
    function = {"name": "grep", "arguments": expected}
    assert first["tool_calls"] == [{"id": "c", "type": "function", "function": function}]


def test_the_good_part_of_a_message_is_kept() -> None:
    good = CALL["tool_calls"][0]  # type: ignore[index]
    message = {"role": "assistant", "content": 5, "tool_calls": [None, good, {"id": ""}, good]}
    assert repaired([message, RESULT]) == [
        {"role": "assistant", "content": None, "tool_calls": [good]},
        RESULT,
    ]
    text = {"type": "text", "text": "x"}
    assert repaired(
        [{"role": "user", "content": [5, text, {"type": "video"}], "tool_calls": []}]
    ) == [{"role": "user", "content": [text]}]


def test_an_answer_stays_with_its_call_across_a_damaged_message() -> None:
    second = {**RESULT, "tool_call_id": "c1"}
    assert repaired([CALL, RESULT, {"role": "wizard"}, second]) == [CALL, RESULT, second]
