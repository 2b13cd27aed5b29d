"""Long results, rejected ones, circles, odd calls and commands in disguise, in the real program."""

from __future__ import annotations

import json
from typing import Any

import pytest
from model_server import FakeModelServer, RawAnswer, Seen


@pytest.fixture(autouse=True)
def endpoint(qwen: Any, server: FakeModelServer) -> None:
    qwen.environ |= {
        "LLAMA_API_KEY": "k",
        "LLAMA_API_BASE_URL": server.base_url,
        "LLAMA_API_MODEL": "m",
    }


def answer(*deltas: dict[str, Any]) -> RawAnswer:
    reason = "tool_calls" if any("tool_calls" in delta for delta in deltas) else "stop"
    chunks = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
    return RawAnswer("".join(f"data: {json.dumps(each)}\n\n" for each in chunks).encode())


def call(name: str, arguments: Any, number: int = 0) -> dict[str, Any]:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    function = {"name": name, "arguments": text}
    return {"tool_calls": [{"index": 0, "id": f"c{number}", "function": function}]}


def results(seen: Seen) -> list[str]:
    return [m["content"] for m in seen.body["messages"] if m["role"] == "tool"]


def refusal(message: str) -> RawAnswer:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    return RawAnswer(json.dumps({"error": error}).encode(), 400, "application/json")


def test_a_long_result_comes_in_parts(qwen: Any, server: FakeModelServer) -> None:
    """The model follows the hint, and has read all of the file in the end."""
    qwen.write("~/.qwen/settings.json", '{"model": {"contextWindow": 16000}}')
    qwen.write("long.txt", "".join(f"this is line {n}\n" for n in range(1, 1501)))

    def model(seen: Seen) -> RawAnswer:
        found = results(seen)
        if not found:
            return answer(call("read_file", {"path": "long.txt"}))
        if "To go on: read_file with offset=" in found[-1]:
            offset = int(found[-1].rpartition("offset=")[2].rstrip(".]"))
            arguments = {"path": "long.txt", "offset": offset}
            return answer(call("read_file", arguments, len(found)))
        return answer({"content": "read"})

    server.raw_answer = model
    ran = qwen("-p", "read long.txt", "-o", "json")
    assert ran.returncode == 0, ran.stderr
    shown = "\n".join(
        block["content"]
        for message in json.loads(ran.stdout)
        if message["type"] == "user"
        for block in message["message"]["content"]
        if block["type"] == "tool_result"
    )
    assert all(f"this is line {number}\n" in shown for number in (1, 500, 1000))
    assert "this is line 1500" in shown
    assert all(len(text) < 16000 * 4 * 0.4 for seen in server.requests for text in results(seen))


def test_what_a_server_rejects_does_not_end_the_session(qwen: Any, server: FakeModelServer) -> None:
    qwen.write("a.txt", "poison\n")

    def model(seen: Seen) -> RawAnswer:
        if "poison" in str(results(seen)):
            return refusal("the content of messages[3] is not acceptable")
        return (
            answer({"content": "done"})
            if results(seen)
            else answer(call("read_file", {"path": "a.txt"}))
        )

    server.raw_answer = model
    ran = qwen("-p", "read it")
    assert (ran.returncode, ran.stdout) == (0, "done\n"), ran.stderr
    assert "asking again without the last results" in ran.stderr
    again = qwen("-p", "go on", "--continue")
    assert (again.returncode, again.stdout) == (0, "done\n"), again.stderr


@pytest.mark.parametrize(
    "calls",
    [
        [("no_such_tool", {})],
        [("read_file", "{not json")],
        [("read_file", {})],
        [("read_file", {"path": "missing.txt"})],
        [("read_file", {"path": "a.txt"})],
        [("read_file", {"path": "a.txt"}), ("grep", {"pattern": "x"})],
        [("run_shell_command", {"command": "false"})],
        [("functions.read_file", {"path": "a.txt"}), ("no_such_tool", {"a": 1})],
    ],
)
def test_circles_end(qwen: Any, server: FakeModelServer, calls: list[tuple[str, Any]]) -> None:
    qwen.write("a.txt", "alpha\n")

    def model(seen: Seen) -> RawAnswer:
        number = len(results(seen))
        return answer(call(*calls[number % len(calls)], number))

    server.raw_answer = model
    ran = qwen("-p", "go", "--yolo", "-o", "json")
    assert ran.returncode == 1
    assert json.loads(ran.stdout)[-1]["error"]["code"] == "loop"
    assert len(server.requests) < 15


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("read_file", {"path": "a.txt", "limit": None, "offset": None}),
        ("read_file", {"path": "a.txt", "limit": "", "offset": 0}),
        ("read_file", {"file_path": "a.txt"}),
        ("Read", {"absolute_path": "a.txt"}),
        ("functions.read_file", {"path": "a.txt"}),
        ("read_file", json.dumps(json.dumps({"path": "a.txt"}))),
    ],
)
def test_odd_calls(qwen: Any, server: FakeModelServer, name: str, arguments: Any) -> None:
    qwen.write("a.txt", "alpha\n")
    server.raw_answer = lambda seen: (
        answer({"content": "done"}) if results(seen) else answer(call(name, arguments))
    )
    ran = qwen("-p", "read it")
    assert (ran.returncode, ran.stdout) == (0, "done\n"), ran.stderr
    assert results(server.requests[-1]) == ["alpha\n"]
    sent = server.requests[-1].body["messages"][2]["tool_calls"][0]["function"]["arguments"]
    assert isinstance(json.loads(sent), dict), "servers reject anything else"


@pytest.mark.parametrize(
    "arguments",
    [
        ("auht", "login"),
        ("permission", "list"),
        ("upgrade",),
        ("logout",),
        ("login", "--method", "openai"),
        ("-p", "/inti"),
        ("-p", "/modle"),
        ("/model",),
    ],
)
def test_commands_in_disguise_are_not_sent(
    qwen: Any, server: FakeModelServer, arguments: tuple[str, ...]
) -> None:
    ran = qwen(*arguments)
    assert ran.returncode == 2
    assert "command" in ran.stderr
    assert not server.requests
    as_json = qwen(*arguments, "-o", "json")
    assert json.loads(as_json.stdout)[-1]["is_error"]
    assert not server.requests


@pytest.mark.parametrize(
    "prompt", ["status of the build", "/etc/hosts is what?", " /init", "log in please"]
)
def test_sentences_are_sent(qwen: Any, server: FakeModelServer, prompt: str) -> None:
    assert qwen("-p", prompt).returncode == 0
    assert server.prompts == [prompt]


def test_a_header_that_cannot_be_sent(qwen: Any, server: FakeModelServer) -> None:
    generation = {"customHeaders": {"X-Team": "команда", "X-Ok": "yes"}}
    qwen.write("~/.qwen/settings.json", json.dumps({"model": {"generationConfig": generation}}))
    ran = qwen("-p", "hi", "-o", "json")
    assert ran.returncode == 0
    assert json.loads(ran.stdout)[-1]["result"] == "Hello from the model"
    assert "customHeaders.X-Team must be printable ASCII text" in ran.stderr
    assert server.requests[0].headers["x-ok"] == "yes"
