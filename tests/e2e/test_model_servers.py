"""The real ``qwen`` at model servers that others wrote: aimock, LiteLLM and llama.cpp.

LiteLLM is asked twice: for its own mock answers, and as a gateway in front of aimock.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from third_party_servers import (
    Endpoint,
    ThirdPartyServers,
    has_aimock,
    has_litellm,
    has_llama,
)

_LONG = (pytest.mark.long, pytest.mark.timeout(180))  # LiteLLM takes 6 seconds to start, or many
LITELLM = pytest.param("litellm", marks=_LONG)
GATEWAY = pytest.param("gateway", marks=_LONG)
LLAMA = pytest.param("llama", marks=pytest.mark.local_model)

ANSWER = "Hello from the mock server."


class Failure(NamedTuple):
    """The name of the error in the JSON result, all that stderr says, and the notices before it."""

    kind: str
    stderr: str
    notices: list[dict[str, Any]]


class Client:
    """Runs ``qwen`` with the variables that a user would set for one server."""

    def __init__(self, qwen: Any, name: str, endpoint: Endpoint, prefix: str) -> None:
        self.qwen, self.name, self.endpoint, self._prefix = qwen, name, endpoint, prefix

    def model(self, name: str) -> str:
        """The server's name for one of the models in ``tests/model_servers``."""
        return self._prefix + name

    def ask(
        self, model: str, *options: str, key: str = "", prompt: str = "Say hello"
    ) -> subprocess.CompletedProcess[str]:
        env = {
            "LLAMA_API_BASE_URL": self.endpoint.base_url,
            "LLAMA_API_KEY": key or self.endpoint.key,
            "LLAMA_API_MODEL": self.model(model),
        }
        done: subprocess.CompletedProcess[str] = self.qwen("-p", prompt, *options, env=env)
        return done

    def result(self, model: str, prompt: str = "Say hello") -> dict[str, Any]:
        """The last message of ``-o json``, of a run that succeeded."""
        done = self.ask(model, "-o", "json", prompt=prompt)
        assert done.returncode == 0, done.stderr
        result: dict[str, Any] = json.loads(done.stdout)[-1]
        assert (result["type"], result["subtype"]) == ("result", "success")
        return result

    def error(self, model: str, code: int, *, key: str = "", prompt: str = "Say hello") -> Failure:
        """What ``-o json`` says of a run that failed with the exit code ``code``."""
        done = self.ask(model, "-o", "json", key=key, prompt=prompt)
        *before, result = json.loads(done.stdout)
        assert done.returncode == code, done.stderr
        assert (result["type"], result["is_error"]) == ("result", True)
        assert result["error"]["message"] in done.stderr
        notices = [each["data"] for each in before if each.get("subtype") == "notice"]
        return Failure(result["error"]["type"], done.stderr, notices)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThirdPartyServers]:
    """Each starts with the first test that asks it; all are ended after the last one."""
    running = ThirdPartyServers(tmp_path_factory.mktemp("third_party_servers"))
    yield running
    running.close()


@pytest.fixture
def client(
    request: pytest.FixtureRequest,
    servers: ThirdPartyServers,
    require: Callable[[str, bool], None],
    qwen: Any,
) -> Client:
    """``qwen`` at the server that the test's parameter names."""
    name: str = request.param
    if name in ("aimock", "gateway"):
        require("aimock", has_aimock())
    if name in ("litellm", "gateway"):
        require("litellm", has_litellm())
    if name == "llama":
        require("local_model", has_llama())
        return Client(qwen, name, servers.llama, "")
    if name == "aimock":
        return Client(qwen, name, servers.aimock, "")
    return Client(qwen, name, servers.litellm, "relayed-" if name == "gateway" else "")


def at(*names: Any) -> pytest.MarkDecorator:
    """Run the test at these servers."""
    return pytest.mark.parametrize("client", names, indirect=True)


mocks = at("aimock", LITELLM, GATEWAY)


@mocks
def test_a_prompt_gets_its_answer(client: Client) -> None:
    done = client.ask("hello")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{ANSWER}\n", "")


@mocks
def test_the_endpoint_can_come_from_flags(client: Client) -> None:
    base_url, key = client.endpoint
    flags = ["--base-url", base_url, "--api-key", key, "-m", client.model("hello")]
    done = client.qwen("-p", "Say hello", *flags)
    assert (done.returncode, done.stdout) == (0, f"{ANSWER}\n"), done.stderr


@mocks
def test_json_has_the_answer_and_what_the_server_counted(client: Client) -> None:
    result = client.result("hello")
    assert (result["result"], result["is_error"], result["num_turns"]) == (ANSWER, False, 1)
    usage = result["usage"]
    assert usage["output_tokens"] > 0
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    if client.name == "litellm":  # it counts the words of the request
        assert usage["input_tokens"] > 100
    else:
        assert (usage["input_tokens"], usage["output_tokens"]) == (21, 5)


@mocks
def test_an_answer_comes_in_pieces(client: Client) -> None:
    done = client.ask("hello", "-o", "stream-json", "--include-partial-messages")
    assert done.returncode == 0, done.stderr
    events = [json.loads(line).get("event", {}) for line in done.stdout.splitlines()]
    deltas = [event["delta"] for event in events if event.get("type") == "content_block_delta"]
    pieces = [delta["text"] for delta in deltas if delta["type"] == "text_delta"]
    assert len(pieces) > 1
    assert "".join(pieces) == ANSWER


@at("aimock", GATEWAY)
def test_a_tool_is_called_and_its_result_is_used(client: Client) -> None:
    client.qwen.write("notes.txt", "Seen today: a blue heron.\n")
    done = client.ask("reader", prompt="Which bird do the notes name?")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "The notes name a blue heron.\n"
    assert "Read notes.txt" in done.stderr

    result = client.result("reader", prompt="Which bird do the notes name?")
    assert (result["result"], result["num_turns"]) == ("The notes name a blue heron.", 2)
    usage = result["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == (30 + 50, 7 + 8)


@at("aimock", LITELLM, LLAMA)
def test_a_wrong_key_is_refused(client: Client) -> None:
    wrong = "sk-wrong-0123456789"
    failed = client.error("hello", 41, key=wrong)
    assert failed.kind == "CredentialRejected"
    assert "the server rejected the key" in failed.stderr
    assert "qwen auth status" in failed.stderr
    assert wrong not in failed.stderr


@mocks
def test_an_unknown_model_is_named(client: Client) -> None:
    failed = client.error("gone", 1)
    assert failed.kind == "UnknownModel"
    name, base_url = client.model("gone"), client.endpoint.base_url
    assert f"there is no model '{name}' at {base_url}" in failed.stderr
    available = failed.stderr.partition("Available: ")[2]
    assert client.model("hello") in available and client.model("small") in available


@mocks
def test_a_rate_limit_is_retried_and_told(client: Client) -> None:
    failed = client.error("limited", 1)
    assert failed.kind == "RateLimited"
    assert "too many requests" in failed.stderr
    assert [notice["kind"] for notice in failed.notices] == ["retry"] * 3
    if client.name == "aimock":  # it says "Retry-After: 1"; LiteLLM does not pass that on
        assert all(notice["wait_s"] >= 1 for notice in failed.notices)


@mocks
def test_a_conversation_that_is_too_long_is_told(client: Client) -> None:
    failed = client.error("small", 1)
    assert failed.kind == "ContextLengthExceeded"
    assert "the conversation exceeds the model's context window" in failed.stderr
    assert not failed.notices


@pytest.fixture
def llama(client: Client) -> Client:
    """llama.cpp with few tools and instructions: to read all of them takes half a minute."""
    client.qwen.write("~/.qwen/settings.json", '{"tools": {"core": ["read_file"]}}')
    return client


@at(LLAMA)
def test_llama_answers(llama: Client) -> None:
    options = ["--system-prompt", "Answer in one word."]
    prompt = "Reply with the one word: ready"
    done = llama.ask("qwen2.5-coder-0.5b", *options, prompt=prompt)
    assert (done.returncode, done.stderr) == (0, "")
    assert "ready" in done.stdout.lower()

    done = llama.ask("qwen2.5-coder-0.5b", *options, "-o", "json", prompt=prompt)
    result = json.loads(done.stdout)[-1]
    assert (done.returncode, result["is_error"], result["num_turns"]) == (0, False, 1)
    assert "ready" in result["result"].lower()
    assert result["usage"]["input_tokens"] > 20 and result["usage"]["output_tokens"] > 0


@at(LLAMA)
def test_llama_refuses_more_than_its_context(llama: Client) -> None:
    failed = llama.error("qwen2.5-coder-0.5b", 1, prompt="word " * 9000)
    assert failed.kind == "ContextLengthExceeded"
    assert "exceeds the available context size (8192 tokens)" in failed.stderr
