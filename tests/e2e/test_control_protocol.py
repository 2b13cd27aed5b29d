"""The control protocol under a program that errs, hurries, waits, or is gone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from model_server import FakeModelServer
from sdk_programs import hold
from waiting import is_running, until

_ARGUMENTS = ("--input-format", "stream-json", "--output-format", "stream-json", "--channel=SDK")


class Program:
    """A program that drives ``qwen``, by hand."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.messages: list[dict[str, Any]] = []

    def say(self, message: dict[str, Any] | bytes) -> None:
        assert self.process.stdin is not None
        data = message if isinstance(message, bytes) else json.dumps(message).encode()
        self.process.stdin.write(data + b"\n")
        self.process.stdin.flush()

    def request(self, subtype: str, request_id: str = "1", **more: Any) -> None:
        request = {"subtype": subtype, **more}
        self.say({"type": "control_request", "request_id": request_id, "request": request})

    def prompt(self, text: str = "Hello") -> None:
        self.say({"type": "user", "message": {"role": "user", "content": text}})

    def reply(self, request_id: str, response: Any) -> None:
        said = {"subtype": "success", "request_id": request_id, "response": response}
        self.say({"type": "control_response", "response": said})

    def hear(self, kind: str) -> dict[str, Any]:
        """The next message of that type."""
        assert self.process.stdout is not None
        while line := self.process.stdout.readline():
            self.messages.append(json.loads(line))
            if self.messages[-1]["type"] == kind:
                return self.messages[-1]
        raise AssertionError(f"no {kind} came: {self.messages}")

    def end(self) -> int:
        """Close its input; the exit code."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.stdout is not None
        self.messages += [json.loads(line) for line in self.process.stdout]
        return self.process.wait(30)


@pytest.fixture
def program(qwen: Any, server: FakeModelServer) -> Iterator[Callable[..., Program]]:
    qwen.environ |= {"LLAMA_API_KEY": "sk-1", "LLAMA_API_BASE_URL": server.base_url}
    qwen.environ["LLAMA_API_MODEL"] = "only-model"
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str) -> Program:
        process = subprocess.Popen(
            [*qwen.command, *_ARGUMENTS, *arguments],
            env=qwen.environ,
            cwd=qwen.project,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        started.append(process)
        return Program(process)

    yield start
    for process in started:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            assert stream is not None
            with suppress(BrokenPipeError):
                stream.close()


def test_what_initialize_says(program: Callable[..., Program]) -> None:
    driver = program("--session-id", "123e4567-e89b-42d3-a456-426614174000")
    driver.request("initialize", hooks=None)
    said = driver.hear("control_response")["response"]
    assert (said["subtype"], said["request_id"]) == ("success", "1")
    assert said["response"]["subtype"] == "initialize"
    assert said["response"]["session_id"] == "123e4567-e89b-42d3-a456-426614174000"
    assert said["response"]["capabilities"]["can_handle_mcp_message"] is True
    assert driver.end() == 0


def test_the_last_prompts_are_answered_after_the_end_of_the_input(
    program: Callable[..., Program],
) -> None:
    driver = program()
    driver.request("initialize")
    for text in ("One", "Two", "Three"):
        driver.prompt(text)
    assert driver.end() == 0
    assert [m["result"] for m in driver.messages if m["type"] == "result"] == [
        "Hello from the model"
    ] * 3


@pytest.mark.parametrize(
    "line",
    [
        b"hi",
        b"{",
        b"[]",
        b'"user"',
        b"\xff\xfe",
        b'{"type": 5}',
        b'{"type": "user"}',
        b'{"type": "user", "message": null}',
        b'{"type": "user", "message": {"content": [{"type": "image"}]}}',
        b'{"type": "control_request"}',
        b'{"type": "user", "message": {"role": "user", "content": "' + b"x" * (9 << 20) + b'"}}',
        b'{"a":' * 50_000,
    ],
    ids=range(12),
)
def test_a_line_that_is_wrong_has_a_result_and_the_next_is_answered(
    program: Callable[..., Program], line: bytes
) -> None:
    driver = program()
    driver.request("initialize")
    driver.say(line)
    driver.prompt()
    first = driver.hear("result")
    if first["is_error"]:
        first = driver.hear("result")
    assert first["result"] == "Hello from the model"
    assert driver.end() == 0


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"   ",
        b'{"type": "keep_alive"}',
        b'{"type": "control_cancel_request", "request_id": "x"}',
        b'{"type": "control_response", "response": {"request_id": "unknown", "response": {}}}',
        b'{"type": "control_response", "response": {"subtype": "error", "request_id": "9"}}',
        b'{"type": "assistant", "message": {}}',
        b'{"type": "system", "subtype": "x"}',
    ],
)
def test_what_needs_no_answer_gets_none(program: Callable[..., Program], line: bytes) -> None:
    driver = program()
    driver.request("initialize")
    driver.say(line)
    driver.prompt()
    assert driver.hear("result")["is_error"] is False
    assert driver.end() == 0
    assert len([m for m in driver.messages if m["type"] == "result"]) == 1


def test_requests_during_a_turn_are_answered_then(
    program: Callable[..., Program], server: FakeModelServer
) -> None:
    go_on = hold(server)
    driver = program("--include-partial-messages")
    driver.request("initialize")
    driver.prompt()
    driver.hear("stream_event")
    for number, kind in enumerate(("supported_commands", "get_context_usage", "dance"), 2):
        driver.request(kind, str(number))
    found = [driver.hear("control_response")["response"] for _ in range(3)]
    assert [each["request_id"] for each in found] == ["2", "3", "4"]
    assert [each["subtype"] for each in found] == ["success", "success", "error"]
    assert not [m for m in driver.messages if m["type"] == "result"]
    go_on.set()
    assert driver.hear("result")["is_error"] is False


def test_interrupts_end_the_turn_at_once(
    program: Callable[..., Program], server: FakeModelServer
) -> None:
    go_on = hold(server)
    driver = program("--include-partial-messages")
    driver.request("initialize")
    driver.prompt()
    driver.hear("stream_event")
    began = time.monotonic()
    driver.request("interrupt", "2")
    driver.request("interrupt", "3")
    assert driver.hear("result")["error"]["type"] == "Interrupted"
    assert time.monotonic() - began < 5
    go_on.set()
    driver.prompt("Again")
    assert driver.hear("result")["is_error"] is False
    assert driver.end() == 0


def asked(driver: Program, server: FakeModelServer, calls: Any) -> dict[str, Any]:
    """The question for a call."""
    server.script = [calls("write_file", path="made", content="x")]
    driver.request("initialize")
    driver.prompt("Write")
    return driver.hear("control_request")


def test_the_end_of_the_input_during_a_question_is_a_no(
    program: Callable[..., Program], server: FakeModelServer, calls: Any, qwen: Any
) -> None:
    driver = program()
    asked(driver, server, calls)
    assert driver.end() == 0
    (result,) = [m for m in driver.messages if m["type"] == "result"]
    assert [each["tool_name"] for each in result["permission_denials"]] == ["write_file"]
    assert not (qwen.project / "made").exists()


def test_an_interrupt_during_a_question_withdraws_it(
    program: Callable[..., Program], server: FakeModelServer, calls: Any, qwen: Any
) -> None:
    driver = program()
    question = asked(driver, server, calls)
    driver.request("interrupt", "2")
    assert driver.hear("control_cancel_request")["request_id"] == question["request_id"]
    assert driver.hear("result")["error"]["type"] == "Interrupted"
    driver.reply(question["request_id"], {"behavior": "allow"})  # too late
    driver.prompt("Again")
    assert driver.hear("result")["is_error"] is False
    assert not (qwen.project / "made").exists()


def test_an_answer_has_the_time_that_the_program_takes(
    program: Callable[..., Program], server: FakeModelServer, calls: Any, qwen: Any
) -> None:
    """A program that has said how long it waits, and does not answer, has said no."""
    server.script = [calls("write_file", path="made", content="x")]
    driver = program()
    driver.request("initialize", timeout={"canUseTool": 1})
    driver.prompt("Write")
    result = driver.hear("result")
    assert [each["tool_name"] for each in result["permission_denials"]] == ["write_file"]
    assert "did not answer within" in json.dumps(driver.messages)


@pytest.mark.parametrize("moment", ["idle", "before", "answer", "question"])
def test_a_signal_ends_it(
    program: Callable[..., Program], server: FakeModelServer, calls: Any, moment: str
) -> None:
    go_on = hold(server)
    driver = program("--include-partial-messages")
    if moment == "question":
        server.after_first_word = lambda: None
        asked(driver, server, calls)
    elif moment == "answer":
        driver.request("initialize")
        driver.prompt()
        driver.hear("stream_event")
    elif moment == "idle":
        driver.request("initialize")
        driver.hear("control_response")
    else:
        until(lambda: _is_reading(driver.process.pid))
    driver.process.send_signal(signal.SIGTERM)
    assert driver.process.wait(30) == 128 + signal.SIGTERM
    go_on.set()


def _is_reading(pid: int) -> bool:
    """Whether it waits for its first line: its threads are there."""
    return len(list(Path(f"/proc/{pid}/task").iterdir())) > 1


_DRIVER = """
import json, subprocess, sys, time
qwen = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
for line in (
    {"type": "control_request", "request_id": "1", "request": {"subtype": "initialize"}},
    {"type": "user", "message": {"role": "user", "content": "Hello"}},
):
    qwen.stdin.write(json.dumps(line).encode() + b"\\n")
qwen.stdin.flush()
print(qwen.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("doing", ["command", "answer", "question"])
def test_a_program_that_dies_leaves_nothing_behind(
    program: Any, qwen: Any, server: FakeModelServer, calls: Any, doing: str
) -> None:
    pid = qwen.project / "pid"
    go_on = hold(server)
    mode = ["-y"]
    if doing != "answer":
        server.after_first_word = lambda: None
        server.script = [calls("run_shell_command", command="echo $$ > pid; sleep 60")]
    if doing == "question":
        mode = []
    driver = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(_DRIVER), *qwen.command, *_ARGUMENTS, *mode],
        env=qwen.environ,
        cwd=qwen.project,
        stdout=subprocess.PIPE,
    )
    with driver:
        assert driver.stdout is not None
        number = driver.stdout.readline().strip().decode()
        if doing == "command":
            until(lambda: pid.exists() and pid.read_text().strip())
        else:
            until(lambda: server.prompts)
        os.kill(driver.pid, signal.SIGKILL)
    until(lambda: not is_running(number))
    if doing == "command":
        until(lambda: not is_running(pid.read_text().strip()))
    go_on.set()


def test_a_reader_that_is_slow_gets_everything(
    program: Callable[..., Program], server: FakeModelServer
) -> None:
    server.words = [f"word{number} " * 40 for number in range(2000)]
    driver = program("--include-partial-messages")
    driver.request("initialize")
    driver.prompt()
    until(lambda: server.prompts)
    time.sleep(0.3)  # the pipe is full meanwhile
    assert driver.hear("result")["result"] == "".join(server.words)
    assert driver.end() == 0
