"""What is sent: fields, effort, cache marks, other senders' attachments, models without tools."""

from __future__ import annotations

import json
from typing import Any

import pytest

from qwen_code.config.generation import EffortLevel
from qwen_code.config.providers import PROVIDERS, Effort, Wire, provider_named
from qwen_code.models.attachments import SENDER
from qwen_code.models.effort import effort_fields
from qwen_code.models.openai_wire import Endpoint, Terms, chat_request

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def body(
    messages: list[dict[str, Any]],
    tools: list[dict[str, Any]] | None = None,
    terms: Terms | None = None,
    **endpoint: Any,
) -> dict[str, Any]:
    where = Endpoint("https://h.example/v1", endpoint.pop("model", "m"), **endpoint)
    sent: dict[str, Any] = json.loads(chat_request(where, messages, tools, terms=terms).body)
    return sent


def user(text: str = "hi") -> dict[str, Any]:
    return {"role": "user", "content": text}


@pytest.mark.parametrize(
    ("style", "level", "fields"),
    [
        ("reasoning_effort", "high", {"reasoning_effort": "high"}),
        ("reasoning_effort", "max", {"reasoning_effort": "xhigh"}),
        ("reasoning_effort", "off", {"reasoning_effort": "none"}),
        ("reasoning", "low", {"reasoning": {"effort": "low"}}),
        ("reasoning", "off", {"reasoning": {"enabled": False}}),
        ("thinking", "medium", {"thinking": {"type": "enabled"}}),
        ("thinking", "off", {"thinking": {"type": "disabled"}}),
        (
            "thinking_with_effort",
            "medium",
            {"thinking": {"type": "enabled"}, "reasoning_effort": "high"},
        ),
        (
            "thinking_with_effort",
            "xhigh",
            {"thinking": {"type": "enabled"}, "reasoning_effort": "max"},
        ),
        ("enable_thinking", "low", {"enable_thinking": True}),
        ("enable_thinking", "off", {"enable_thinking": False}),
        ("enable_thinking", None, {}),
    ],
)
def test_effort(style: Effort, level: EffortLevel | None, fields: dict[str, Any]) -> None:
    assert effort_fields(style, level) == fields
    sent = body([user()], wire=Wire(effort=style), effort=level)
    assert {name: sent[name] for name in fields} == fields


def test_a_budget_for_reasoning() -> None:
    assert effort_fields("reasoning", None, 500) == {"reasoning": {"max_tokens": 500}}
    assert effort_fields("enable_thinking", "high", 500) == {
        "enable_thinking": True,
        "thinking_budget": 500,
    }


def test_what_the_user_writes_into_the_body_counts_before_the_effort() -> None:
    sent = body([user()], effort="high", extra_body={"reasoning_effort": "minimal", "top_k": 5})
    assert (sent["reasoning_effort"], sent["top_k"]) == ("minimal", 5)
    assert (sent["model"], sent["stream"]) == ("m", True)


def test_a_rejected_effort_is_left_out() -> None:
    terms = Terms(rejected=frozenset({"reasoning_effort"}))
    assert "reasoning_effort" not in body([user()], terms=terms, effort="high")


MARKED = {"type": "ephemeral"}


def marks(sent: dict[str, Any]) -> list[int]:
    """The indexes of the marked messages."""
    return [
        index
        for index, message in enumerate(sent["messages"])
        if isinstance(message["content"], list) and "cache_control" in message["content"][-1]
    ]


def conversation(rounds: int) -> list[dict[str, Any]]:
    messages = [{"role": "system", "content": "Be good."}, user()]
    for number in range(rounds):
        messages.append({"role": "assistant", "content": None, "tool_calls": [CALL]})
        messages.append({"role": "tool", "tool_call_id": "c", "content": f"result {number}"})
    return messages


@pytest.mark.parametrize(
    ("provider", "model", "wants"),
    [
        ("bailian", "qwen3-coder-plus", True),
        ("bailian-intl", "anything", True),
        ("openrouter", "anthropic/claude-sonnet-4.5", True),
        ("openrouter", "qwen/qwen3-coder", True),
        ("openrouter", "openai/gpt-5", False),
        ("openai", "gpt-5", False),
        ("deepseek", "deepseek-chat", False),
        ("custom", "claude-sonnet-4-5", True),
        ("custom", "qwen3-coder", False),
    ],
)
def test_cache_marks_where_a_provider_wants_them(provider: str, model: str, wants: bool) -> None:
    found = provider_named(provider)
    assert found is not None
    sent = body(conversation(2), [TOOL], wire=found.wire, model=model)
    assert marks(sent) == ([0, 3, 5] if wants else [])
    assert body(conversation(1), wire=found.wire, model=model, marks_cache=not wants) is not None
    forced = body(conversation(2), wire=found.wire, model=model, marks_cache=not wants)
    assert bool(marks(forced)) is not wants


def test_a_conversation_with_marks_begins_as_the_one_before() -> None:
    """Apart from the marks themselves, which providers do not count."""

    def bare(rounds: int) -> str:
        sent = body(conversation(rounds), [TOOL], wire=Wire(marks_cache=("",)))
        for message in sent["messages"]:
            if isinstance(message["content"], list):
                for part in message["content"]:
                    part.pop("cache_control", None)
        return json.dumps(sent["messages"])

    for rounds in range(6):
        assert bare(rounds + 1).startswith(bare(rounds)[:-1])


@pytest.mark.parametrize("row", PROVIDERS, ids=lambda row: row.name)
def test_a_conversation_begins_with_the_bytes_of_the_one_before(row: Any) -> None:
    def sent(rounds: int) -> bytes:
        endpoint = Endpoint("https://h.example/v1", "some-model", wire=row.wire, marks_cache=False)
        whole = chat_request(endpoint, conversation(rounds), [TOOL]).body
        return whole[: whole.index(b'],"tools"')]

    for rounds in range(6):
        assert sent(rounds + 1).startswith(sent(rounds))


def test_attachments_go_to_their_sender_alone() -> None:
    signed = {**CALL, "extra_content": {"google": {"thought_signature": "S"}}}
    answer = {
        "role": "assistant",
        "content": None,
        "tool_calls": [signed],
        "reasoning_content": "hm",
        SENDER: "https://h.example/v1 m",
    }
    result = {"role": "tool", "tool_call_id": "c", "content": "x"}
    own = body([user(), answer, result])["messages"][1]
    assert own == {name: value for name, value in answer.items() if name != SENDER}
    other = body([user(), answer, result], model="other")["messages"][1]
    assert other == {"role": "assistant", "content": None, "tool_calls": [CALL]}
    rejected = Terms(rejected=frozenset({"reasoning_content"}))
    left = body([user(), answer, result], terms=rejected)["messages"][1]
    assert "reasoning_content" not in left
    wire = Wire(needs_reasoning=True)
    quiet = body([user(), answer, result], model="other", wire=wire)
    assert "reasoning_content" not in quiet["messages"][1], "it may not be thinking"
    of_others = {name: answer[name] for name in ("role", "content", "tool_calls")}
    thinking = body([user(), of_others, result, answer, result], wire=wire)
    assert thinking["messages"][1]["reasoning_content"]
    told = body([user(), answer, result], None, Terms(needs_reasoning=True), model="other")
    assert told["messages"][1]["reasoning_content"]


def test_a_model_without_tools_gets_calls_as_text() -> None:
    sent = body(conversation(2), [TOOL], Terms(tools=False))
    assert "tools" not in sent
    roles = [message["role"] for message in sent["messages"]]
    assert roles == ["system", "user", "assistant", "user", "assistant", "user"]
    assert "(I called f with {})" in sent["messages"][2]["content"]
    assert "result 1" in sent["messages"][-1]["content"]
    assert "tool_calls" not in json.dumps(sent)
