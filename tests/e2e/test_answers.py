"""What providers answer, in all the shapes of ``tests/corpus``, through the real program.

One process answers many prompts, each with the case of its name.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from model_server import FakeModelServer, RawAnswer, Seen
from stream_corpus import FILES as STREAMS
from stream_corpus import read_case

ERRORS = sorted((Path(__file__).parents[1] / "corpus" / "errors").glob("*.json"))
SETTINGS = {"model": {"generationConfig": {"maxRetries": 0}}}
BATCH = 40


class Answered(NamedTuple):
    """What the program said to one prompt."""

    result: dict[str, Any]
    messages: list[dict[str, Any]]

    @property
    def calls(self) -> list[tuple[str, Any]]:
        blocks = (
            block
            for message in self.messages
            if message["type"] == "assistant"
            for block in message["message"]["content"]
        )
        return [(b["name"], b["input"]) for b in blocks if b["type"] == "tool_use"]


def batches(files: Sequence[Path]) -> list[list[Path]]:
    return [list(files[start : start + BATCH]) for start in range(0, len(files), BATCH)]


def ask_all(
    qwen: Any, server: FakeModelServer, cases: dict[str, RawAnswer], **env: str
) -> dict[str, Answered]:
    """The outcome of each case, whose name is the prompt; after a call the model says "done"."""

    def answer(seen: Seen) -> RawAnswer | None:
        last = seen.body["messages"][-1]
        return cases.get(last["content"]) if last["role"] == "user" else None

    server.raw_answer = answer
    server.words = ["done"]
    qwen.write("~/.qwen/settings.json", json.dumps(SETTINGS))
    qwen.write("a.txt", "alpha\n")
    qwen.write("b.txt", "beta\n")
    lines = [
        json.dumps({"type": "user", "message": {"role": "user", "content": name}}) for name in cases
    ]
    ran = qwen(
        *("--input-format", "stream-json", "--output-format", "stream-json"),
        env={
            "LLAMA_API_KEY": "k",
            "LLAMA_API_BASE_URL": server.base_url,
            "LLAMA_API_MODEL": "m",
            **env,
        },
        stdin="\n".join([*lines, ""]).encode(),
    )
    found: dict[str, Answered] = {}
    names, messages = iter(cases), []
    for line in ran.stdout.splitlines():
        message = json.loads(line)
        messages.append(message)
        if message["type"] == "result":
            found[next(names)] = Answered(message, messages)
            messages = []
    assert list(found) == list(cases), ran.stderr
    return found


LEARNED = "tags-only-closed"
"""After it, answers of the same model are read in another way."""


@pytest.mark.parametrize("files", batches([f for f in STREAMS if f.stem != LEARNED]))
def test_answers(qwen: Any, server: FakeModelServer, files: list[Path]) -> None:
    cases = {file.stem: read_case(file) for file in files}
    raw = {
        name: RawAnswer(case.body, content_type=case.content_type) for name, case in cases.items()
    }
    for name, answered in ask_all(qwen, server, raw).items():
        check(name, cases[name].expected, answered)


def check(name: str, expected: dict[str, Any], answered: Answered) -> None:
    result = answered.result
    if expected.get("error") or expected.get("finish") == "content_filter":
        assert result["is_error"], name
        assert expected.get("words", "") in result["error"]["message"], name
    elif not expected.get("text") and not expected.get("calls"):
        assert result["error"]["code"] == "empty", name
    else:
        assert not result["is_error"], (name, result)
        wanted = expected.get("calls", [])
        assert [call[0] for call in answered.calls] == [call[0] for call in wanted], name
        for (_, arguments), (_, text) in zip(answered.calls, wanted, strict=True):
            assert arguments == json.loads(text or "{}"), name
        assert result["result"] == ("done" if wanted else expected["text"]), name


def test_reasoning_whose_beginning_is_in_the_prompt(qwen: Any, server: FakeModelServer) -> None:
    case = read_case(next(file for file in STREAMS if file.stem == LEARNED))
    again = RawAnswer(case.body)
    found = ask_all(qwen, server, {"one": again, "two": again})
    for answered in found.values():
        assert answered.result["result"] == "Hello"
        texts = [m for m in answered.messages if m["type"] == "assistant"]
        assert [block["type"] for m in texts for block in m["message"]["content"]] == [
            *("thinking", "text")
        ]


def is_about_tools(file: Path) -> bool:
    return file.stem.startswith("tools-")


def read_error(file: Path) -> tuple[RawAnswer, dict[str, Any]]:
    case = json.loads(file.read_text("utf-8"))
    body = case["body"]
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    headers = case.get("headers", {})
    content_type = "application/json" if data[:1] in (b"{", b"[") else "text/html"
    return RawAnswer(data, case["status"], content_type, headers), case


OF_ONE_PROVIDER = {file for file in ERRORS if "base_url" in json.loads(file.read_text("utf-8"))}
"""Their codes mean this at that provider's address alone; ``tests/models`` has them."""


@pytest.mark.parametrize(
    "files", batches([f for f in ERRORS if not is_about_tools(f) and f not in OF_ONE_PROVIDER])
)
def test_errors(qwen: Any, server: FakeModelServer, files: list[Path]) -> None:
    cases = {file.stem: read_error(file) for file in files}
    found = ask_all(qwen, server, {name: raw for name, (raw, _) in cases.items()})
    for name, answered in found.items():
        expected = cases[name][1]["expect"]
        assert answered.result["is_error"], name
        assert answered.result["error"]["type"] == expected["error"], (name, answered.result)


@pytest.mark.parametrize("file", [f for f in ERRORS if is_about_tools(f)], ids=lambda f: f.stem)
def test_a_model_without_tools_is_asked_without(
    qwen: Any, server: FakeModelServer, file: Path
) -> None:
    refusal, _ = read_error(file)
    server.raw_answer = lambda seen: refusal if seen.body.get("tools") else None
    environ = {"LLAMA_API_KEY": "k", "LLAMA_API_BASE_URL": server.base_url, "LLAMA_API_MODEL": "m"}
    ran = qwen("-p", "hello", env=environ)
    assert (ran.returncode, ran.stdout) == (0, "Hello from the model\n")
    assert "m does not take tools, so it can only answer in words" in ran.stderr
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        *(("key-google", 41), ("key-xai", 41), ("key-litellm-400", 41), ("key-fastapi", 41)),
        *(("quota-openai", 1), ("model-oneapi", 1), ("context-xai", 1), ("words-plain", 1)),
        *(("key-under-200", 41), ("page-html", 1)),
    ],
)
def test_exit_codes(qwen: Any, server: FakeModelServer, kind: str, code: int) -> None:
    raw, _ = read_error(next(file for file in ERRORS if file.stem == kind))
    server.raw_answer = lambda seen: raw
    environ = {"LLAMA_API_KEY": "k", "LLAMA_API_BASE_URL": server.base_url, "LLAMA_API_MODEL": "m"}
    ran = qwen("-p", "hello", env=environ)
    assert ran.returncode == code, ran.stderr
    assert len([seen for seen in server.requests if seen.method == "POST"]) == 1, "not retried"
