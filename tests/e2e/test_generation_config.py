"""How settings and options say that a model is asked, through the real program."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from model_server import FakeModelServer, RawAnswer, Seen
from waiting import until


@pytest.fixture
def environ(server: FakeModelServer) -> dict[str, str]:
    return {"LLAMA_API_KEY": "k", "LLAMA_API_BASE_URL": server.base_url, "LLAMA_API_MODEL": "m"}


def settle(qwen: Any, settings: dict[str, Any]) -> None:
    qwen.write("~/.qwen/settings.json", json.dumps(settings))


def test_all_models(qwen: Any, server: FakeModelServer, environ: dict[str, str]) -> None:
    generation = {
        "customHeaders": {"X-Team": "a", "Authorization": "Bearer stolen"},
        "samplingParams": {"temperature": 0.2},
        "extra_body": {"top_k": 5},
        "reasoning": {"effort": "low"},
    }
    settle(qwen, {"model": {"generationConfig": generation}})
    ran = qwen("-p", "hi", env=environ)
    assert ran.returncode == 0
    assert "customHeaders.Authorization" in ran.stderr
    (seen,) = server.requests
    assert (seen.headers["x-team"], seen.key) == ("a", "k")
    assert (seen.body["temperature"], seen.body["top_k"]) == (0.2, 5)
    assert seen.body["reasoning_effort"] == "low"
    qwen("-p", "hi", "--effort", "high", env=environ)
    assert server.requests[-1].body["reasoning_effort"] == "high"


def test_a_model_of_a_provider_has_its_own(qwen: Any, server: FakeModelServer) -> None:
    """The two levels are not merged."""
    entry = {
        "id": "mine",
        "baseUrl": "$MODEL_HOST/v1",
        "envKey": "MY_KEY",
        "generationConfig": {"samplingParams": {"top_p": 0.5}},
    }
    general = {"samplingParams": {"temperature": 0.2}}
    settle(
        qwen,
        {
            "modelProviders": {"openai": [entry]},
            "model": {"name": "mine", "generationConfig": general},
        },
    )
    env = {"MY_KEY": "k2", "MODEL_HOST": server.base_url.removesuffix("/v1")}
    assert qwen("-p", "hi", env=env).returncode == 0
    (seen,) = server.requests
    assert (seen.key, seen.body["model"], seen.body["top_p"]) == ("k2", "mine", 0.5)
    assert "temperature" not in seen.body
    qwen("-p", "hi", "-m", "other", "--base-url", server.base_url, "--api-key", "k", env=env)
    assert server.requests[-1].body["temperature"] == 0.2


def test_a_projects_variables_are_not_the_shells(qwen: Any, server: FakeModelServer) -> None:
    entry = {"id": "m", "baseUrl": f"{server.base_url}/$SECRET", "envKey": "K"}
    qwen.write(".qwen/settings.json", json.dumps({"modelProviders": {"openai": [entry]}}))
    origin = server.base_url.removesuffix("/v1")
    qwen("-p", "hi", "--trust-endpoint", origin, env={"SECRET": "canary", "K": "k"})
    assert b"canary" not in server.raw


@pytest.mark.parametrize("retries", [0, 1])
def test_retries(qwen: Any, server: FakeModelServer, environ: dict[str, str], retries: int) -> None:
    settle(qwen, {"model": {"generationConfig": {"maxRetries": retries}}})
    server.status, server.error_body = 500, b'{"error": {"message": "boom"}}'
    assert qwen("-p", "hi", env=environ).returncode == 1
    assert len(server.requests) == retries + 1


def test_an_api_that_is_not_spoken(qwen: Any, server: FakeModelServer) -> None:
    entry = {"id": "m", "baseUrl": server.base_url, "envKey": "K", "wireApi": "responses"}
    settle(qwen, {"modelProviders": {"openai": [entry]}, "model": {"name": "m"}})
    ran = qwen("-p", "hi", "-o", "json", env={"K": "k"})
    assert ran.returncode == 41
    assert "uses the API 'responses'" in json.loads(ran.stdout)[-1]["error"]["message"]
    assert not server.requests


def test_an_effort_that_a_server_does_not_know(
    qwen: Any, server: FakeModelServer, environ: dict[str, str]
) -> None:
    error = {"message": "Unknown parameter: 'reasoning_effort'", "param": "reasoning_effort"}
    refusal = RawAnswer(json.dumps({"error": error}).encode(), 400, "application/json")
    server.raw_answer = lambda seen: refusal if "reasoning_effort" in seen.body else None
    ran = qwen("-p", "hi", "--effort", "low", env=environ)
    assert (ran.returncode, ran.stdout) == (0, "Hello from the model\n")
    assert "m does not take reasoning_effort" in ran.stderr


def test_words_of_an_upstream_do_not_turn_streams_off(
    qwen: Any, server: FakeModelServer, environ: dict[str, str]
) -> None:
    error = {"message": "Error from upstream provider: bad temperature"}
    refusal = RawAnswer(json.dumps({"error": error}).encode(), 400, "application/json")
    server.raw_answer = lambda seen: refusal
    ran = qwen("-p", "hi", env=environ)
    assert ran.returncode == 1
    assert "Error from upstream provider" in ran.stderr
    assert [seen.body["stream"] for seen in server.requests] == [True]


USED = {"prompt_tokens": 10_000, "completion_tokens": 1000}
PRICED = {"qwen_code": {"prices": {"m": {"input": 200, "output": 1000, "cached": 50}}}}


def priced(seen: Seen) -> RawAnswer:
    """A call, so that the model is asked again, and what it cost."""
    rounds = len(seen.body["messages"])
    call = {"name": "read_file", "arguments": json.dumps({"path": "a.txt", "limit": rounds})}
    delta = {"tool_calls": [{"index": 0, "id": f"c{rounds}", "function": call}]}
    chunks = [
        {"choices": [{"index": 0, "delta": delta, "finish_reason": "tool_calls"}]},
        {"choices": [], "usage": USED},
    ]
    return RawAnswer("".join(f"data: {json.dumps(each)}\n\n" for each in chunks).encode())


def test_a_limit_of_costs(qwen: Any, server: FakeModelServer, environ: dict[str, str]) -> None:
    settle(qwen, PRICED)
    qwen.write("a.txt", "".join(f"{n}\n" for n in range(1, 100)))
    server.raw_answer = priced
    ran = qwen("-p", "read it", "--max-cost", "7", "-o", "json", env=environ)
    assert ran.returncode == 55, ran.stderr
    result = json.loads(ran.stdout)[-1]
    assert "the limit of costs is reached: $9.0000 of $7" in result["error"]["message"]
    assert result["total_cost_usd"] == 9.0
    assert len(server.requests) == 3
    server.raw_answer = lambda seen: None
    assert qwen("-p", "go on", "--continue", env=environ).returncode == 0


def test_a_limit_of_costs_for_the_day(
    qwen: Any, server: FakeModelServer, environ: dict[str, str]
) -> None:
    settle(qwen, {**PRICED, "quota": {"costPerDay": 5}})
    qwen.write("a.txt", "".join(f"{n}\n" for n in range(1, 100)))
    server.raw_answer = priced
    assert qwen("-p", "read it", env=environ).returncode == 55
    again = qwen("-p", "once more", env=environ)
    assert again.returncode == 55
    assert "today's limit of costs is reached" in again.stderr
    assert len(server.requests) == 2


def test_a_limit_without_a_price_is_not_held_silently(
    qwen: Any, server: FakeModelServer, environ: dict[str, str]
) -> None:
    qwen.write("a.txt", "".join(f"{n}\n" for n in range(1, 100)))
    server.raw_answer = priced
    ran = qwen("-p", "read it", "--max-cost", "7", env=environ)
    assert ran.returncode == 55
    assert "the price of this model is not known" in ran.stderr
    assert len(server.requests) == 1


ANSWER = (
    b'data: {"choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}]}\n\n'
    b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
)


@pytest.mark.parametrize("end", [b"data: [DONE]\n\n", b""])
def test_an_answer_is_whole_before_its_connection_ends(
    qwen: Any, server: FakeModelServer, environ: dict[str, str], end: bytes
) -> None:
    server.raw_answer = lambda seen: RawAnswer(ANSWER + end, holds=True)
    began = time.monotonic()
    ran = qwen("-p", "hi", env=environ)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "Hello\n", "")
    assert time.monotonic() - began < 12  # seconds; the connection is held for good


def test_the_window_that_an_endpoint_tells(
    qwen: Any, server: FakeModelServer, environ: dict[str, str]
) -> None:
    """It is asked for before a conversation is made shorter for one that was guessed."""
    server.models = []
    listing = {"data": [{"id": "m", "context_length": 1_000_000}]}
    server.listing = listing
    server.tokens = 110_000
    qwen.write("a.txt", "one\n")
    assert qwen("-p", "hi", env=environ).returncode == 0
    ran = qwen("-p", "go on", "--continue", env=environ)
    until(lambda: len(server.requests) >= 2)
    assert "made shorter" not in ran.stderr
