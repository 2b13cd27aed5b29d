"""Models that insist on their reasoning, or on a signature, in ten rounds of tools and longer."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from model_server import FakeModelServer, RawAnswer, Seen

ROUNDS = 10


def stream(*deltas: dict[str, Any], finish: str = "stop") -> RawAnswer:
    chunks = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    lines = [*(json.dumps(chunk) for chunk in chunks), "[DONE]"]
    return RawAnswer("".join(f"data: {line}\n\n" for line in lines).encode())


def refusal(message: str, status: int = 400) -> RawAnswer:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    return RawAnswer(json.dumps({"error": error}).encode(), status, "application/json")


def call(number: int, **more: Any) -> dict[str, Any]:
    function = {"name": "read_file", "arguments": json.dumps({"path": "a.txt", "limit": number})}
    return {"index": 0, "id": f"c{number}", "type": "function", "function": function, **more}


def assistants(seen: Seen) -> list[dict[str, Any]]:
    return [m for m in seen.body["messages"] if m["role"] == "assistant"]


def thoughts(number: int) -> str:
    return f"thought number {number}"


def deepseek(seen: Seen) -> RawAnswer:
    """DeepSeek V4 in thinking mode: no message of a turn with calls may lack its reasoning."""
    said = assistants(seen)
    for number, message in enumerate(said):
        if message.get("tool_calls") and not message.get("reasoning_content"):
            return refusal(
                "The `reasoning_content` in the thinking mode must be passed back to the API."
            )
        if message.get("reasoning_content") not in (thoughts(number), "(not recorded)"):
            return refusal(f"unknown reasoning {message.get('reasoning_content')!r}")
    thought = {"reasoning_content": thoughts(len(said)), "content": None}
    if len(said) % (ROUNDS + 1) == ROUNDS:
        return stream(thought, {"content": "done"})
    return stream(thought, {"tool_calls": [call(len(said) + 1)]}, finish="tool_calls")


def kimi(seen: Seen) -> RawAnswer:
    """Kimi: an empty reasoning is a missing one."""
    for index, message in enumerate(seen.body["messages"]):
        if message.get("tool_calls") and not message.get("reasoning_content"):
            return refusal(
                "thinking is enabled but reasoning_content is missing in assistant tool call "
                f"message at index {index}"
            )
    said = len(assistants(seen))
    thought = {"reasoning_content": f"{thoughts(said)} "}
    if said % (ROUNDS + 1) == ROUNDS:
        return stream(thought, {"content": "done"})
    calls = {"tool_calls": [{**call(said + 1), "id": f"functions.read_file:{said}"}]}
    return stream(thought, calls, finish="tool_calls")


def openrouter(seen: Seen) -> RawAnswer:
    """OpenRouter with a model that signs its reasoning."""
    said = assistants(seen)
    for number, message in enumerate(said):
        wanted = [{"type": "reasoning.text", "text": "ab", "index": 0, "signature": f"SIG{number}"}]
        if message.get("reasoning_details") != wanted:
            return refusal(f"invalid signature in {message}")
    part = {"type": "reasoning.text", "index": 0}
    thought = [
        {"reasoning_details": [{**part, "text": "a"}]},
        {"reasoning_details": [{**part, "text": "b"}]},
        {"reasoning_details": [{**part, "signature": f"SIG{len(said)}"}]},
    ]
    if len(said) % (ROUNDS + 1) == ROUNDS:
        return stream(*thought, {"content": "done"})
    return stream(*thought, {"tool_calls": [call(len(said) + 1)]}, finish="tool_calls")


def gemini(seen: Seen) -> RawAnswer:
    """Gemini's compatible endpoint: each call has a signature."""
    said = assistants(seen)
    for number, message in enumerate(said):
        for each in message.get("tool_calls", ()):
            if each.get("extra_content") != {"google": {"thought_signature": f"SIG{number}"}}:
                return refusal("Function call is missing a thought_signature in functionCall parts")
    if len(said) % (ROUNDS + 1) == ROUNDS:
        return stream({"content": "done"})
    signature = {"google": {"thought_signature": f"SIG{len(said)}"}}
    signed = {"tool_calls": [call(len(said) + 1, extra_content=signature)]}
    return stream(signed, finish="tool_calls")


@pytest.fixture
def environ(server: FakeModelServer) -> dict[str, str]:
    return {"LLAMA_API_KEY": "k", "LLAMA_API_BASE_URL": server.base_url, "LLAMA_API_MODEL": "m"}


@pytest.mark.parametrize("model", [deepseek, kimi, openrouter, gemini])
def test_ten_rounds_of_tools_and_another_prompt(
    qwen: Any,
    server: FakeModelServer,
    environ: dict[str, str],
    model: Callable[[Seen], RawAnswer],
) -> None:
    qwen.write("a.txt", "".join(f"line {n}\n" for n in range(1, 60)))
    server.raw_answer = model
    ran = qwen("-p", "read it", env=environ)
    assert (ran.returncode, ran.stdout) == (0, "done\n"), ran.stderr
    assert len(server.requests) == ROUNDS + 1
    again = qwen("-p", "and again", "--continue", env=environ)
    assert (again.returncode, again.stdout) == (0, "done\n"), again.stderr
    assert len(server.requests) == 2 * (ROUNDS + 1), "nothing was refused"


def test_reasoning_goes_to_nobody_else(
    qwen: Any, server: FakeModelServer, environ: dict[str, str]
) -> None:
    """Another model of the session gets none of it, and no field that it may not know."""
    qwen.write("a.txt", "".join(f"line {n}\n" for n in range(1, 60)))
    server.raw_answer = deepseek
    assert qwen("-p", "read it", env=environ).returncode == 0
    server.raw_answer = lambda seen: None
    other = qwen("-p", "go on", "--continue", "-m", "other", env=environ)
    assert other.stdout == "Hello from the model\n"
    known = {"role", "content", "tool_calls", "tool_call_id"}
    for message in server.requests[-1].body["messages"]:
        assert set(message) <= known
        for each in message.get("tool_calls", ()):
            assert set(each) == {"id", "type", "function"}


def test_a_server_that_insists_gets_some_for_the_messages_of_another_model(
    qwen: Any, server: FakeModelServer, environ: dict[str, str]
) -> None:
    qwen.write("a.txt", "".join(f"line {n}\n" for n in range(1, 60)))
    server.raw_answer = gemini
    assert qwen("-p", "read it", env=environ).returncode == 0
    server.raw_answer = kimi
    ran = qwen("-p", "go on", "--continue", "-m", "kimi", env=environ)
    assert (ran.returncode, ran.stdout) == (0, "done\n"), ran.stderr


def test_a_field_that_a_server_rejects_is_left_out(
    qwen: Any, server: FakeModelServer, environ: dict[str, str]
) -> None:
    """As Groq and Cerebras do with reasoning of their own format."""
    qwen.write("a.txt", "one\n")

    def strict(seen: Seen) -> RawAnswer | None:
        if any("reasoning" in message for message in seen.body["messages"]):
            return refusal("'messages.2' : property 'reasoning' is unsupported")
        if assistants(seen):
            return stream({"content": "done"})
        return stream({"reasoning": "hm", "tool_calls": [call(1)]}, finish="tool_calls")

    server.raw_answer = strict
    ran = qwen("-p", "read it", env=environ)
    assert (ran.returncode, ran.stdout) == (0, "done\n"), ran.stderr
    assert len(server.requests) == 3
