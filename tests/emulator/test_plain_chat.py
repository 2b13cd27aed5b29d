"""What a request for a large model becomes for a small one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_emulator.plain_chat import PlainChat

PLAIN = PlainChat({"temperature": 0, "max_tokens": 100}, "Be brief.")


def rewritten(*messages: Any, **more: Any) -> dict[str, Any]:
    return PLAIN.rewrite({"messages": list(messages), **more})


def message(role: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


def call(call_id: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def test_tools_are_left_out_and_everything_else_stays() -> None:
    body = rewritten(
        message("user", "hi"),
        model="coder-model",
        stream=True,
        tools=[{"type": "function", "function": {"name": "read_file"}}],
        tool_choice="auto",
        parallel_tool_calls=True,
        functions=[],
        function_call="auto",
    )
    assert body == {
        "temperature": 0,
        "max_tokens": 100,
        "model": "coder-model",
        "stream": True,
        "messages": [message("user", "hi")],
    }


def test_the_request_wins_over_the_defaults() -> None:
    assert rewritten(temperature=1)["temperature"] == 1


def test_long_instructions_are_replaced_and_short_ones_kept() -> None:
    short, long = message("system", "Talk like a pirate."), message("system", "x" * 1001)
    assert rewritten(short, message("user", "hi"))["messages"][0] == short
    assert rewritten(long, message("user", "hi"))["messages"][0] == message("system", "Be brief.")
    assert rewritten(message("user", "hi"))["messages"] == [message("user", "hi")]
    two = rewritten(short, message("user", "hi"), message("developer", [{"text": "And sing."}]))
    assert two["messages"] == [
        message("system", "Talk like a pirate.\n\nAnd sing."),
        message("user", "hi"),
    ]


def test_calls_and_results_become_text_before_the_question() -> None:
    calls = [call("1", "grep", '{"pattern": "x"}'), call("2", "read_file", '{"path": "a"}')]
    body = rewritten(
        message("user", "Hello"),
        message("assistant", "Hi."),
        message("user", "What is x?"),
        message("assistant", None, tool_calls=calls),
        message("tool", "x = 1", tool_call_id="1"),
        message("tool", [{"type": "text", "text": "a file"}], tool_call_id="2"),
        message("assistant", "It is 1."),
        message("user", "Sure?"),
    )
    assert body["messages"] == [
        message("user", "Hello"),
        message("assistant", "Hi."),
        message(
            "user",
            'grep({"pattern": "x"}) gave:\n```\nx = 1\n```\n\n'
            'read_file({"path": "a"}) gave:\n```\na file\n```\n\nWhat is x?',
        ),
        message("assistant", "It is 1."),
        message("user", "Sure?"),
    ]


def test_a_result_without_its_question_or_call_is_kept() -> None:
    body = rewritten(message("tool", "x = 1", tool_call_id="9"), message("user", "And?"))
    assert body["messages"] == [
        message("user", "A tool gave:\n```\nx = 1\n```"),
        message("user", "And?"),
    ]


def test_a_picture_is_named_and_left_out() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    body = rewritten(message("user", [{"type": "text", "text": "Look:"}, picture]))
    assert body["messages"] == [message("user", "Look:\n(image_url omitted)")]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
fields = st.sampled_from(["role", "content", "tool_calls", "tool_call_id", "id", "function"])
roles = st.sampled_from(["system", "user", "assistant", "tool"])
messages = st.lists(
    st.fixed_dictionaries({"role": roles | json_values}, optional={"content": json_values})
    | st.dictionaries(fields, json_values)
    | json_values,
    max_size=6,
)


@given(messages)
def test_whatever_was_sent_only_plain_text_is_passed_on(sent: list[Any]) -> None:
    for each in rewritten(*sent)["messages"]:
        assert set(each) == {"role", "content"}
        assert each["role"] in ("system", "user", "assistant")
        assert isinstance(each["content"], str)


@pytest.mark.parametrize("sent", [None, "text", 5])
def test_messages_of_another_type_are_the_servers_to_refuse(sent: Any) -> None:
    assert PLAIN.rewrite({"messages": sent})["messages"] == sent
