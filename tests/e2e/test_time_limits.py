"""Runs that would never end: a server that hangs, and a limit for the whole run."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from typing import Any

import hanging_server
import pytest
from hanging_server import Hang, HangingServer
from transcript_checks import assert_acceptable
from waiting import is_running, until

FORMATS = ["text", "json", "stream-json"]


@pytest.fixture
def serve() -> Iterator[Callable[[Hang], HangingServer]]:
    servers: list[HangingServer] = []

    def start(hang: Hang) -> HangingServer:
        servers.append(HangingServer(hang))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def way_to(base_url: str) -> dict[str, str]:
    return {
        "LLAMA_API_KEY": "sk-limits-0123456789",
        "LLAMA_API_BASE_URL": base_url,
        "LLAMA_API_MODEL": "m",
    }


@pytest.fixture
def env(server: Any) -> dict[str, str]:
    return way_to(server.base_url)


def messages_of(done: subprocess.CompletedProcess[str], output_format: str) -> list[dict[str, Any]]:
    if output_format == "json":
        found: list[dict[str, Any]] = json.loads(done.stdout)
        return found
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("output_format", FORMATS)
@pytest.mark.parametrize("settings", ['{"timeoutS": 1}', '{"generationConfig": {"timeout": 1000}}'])
def test_a_server_that_never_answers_is_asked_twice_and_it_is_said(
    qwen: Any, serve: Any, output_format: str, settings: str
) -> None:
    server = serve(hanging_server.no_answer)
    qwen.write("~/.qwen/settings.json", f'{{"model": {settings}}}')
    done = qwen("-p", "hi", "-o", output_format, env=way_to(server.base_url))
    assert done.returncode == 1
    assert len(server.requests) == 2
    said = f"{server.origin} did not answer within 1 s"
    assert f"qwen: {said}\n" in done.stderr
    assert "model.timeoutS" in done.stderr
    if output_format == "text":
        assert (done.stdout, f"{said}; retrying in" in done.stderr) == ("", True)
        return
    *before, result = messages_of(done, output_format)
    (notice,) = [message for message in before if message.get("subtype") == "notice"]
    assert notice["data"]["message"].startswith(f"{said}; retrying in")
    assert (result["type"], result["is_error"]) == ("result", True)
    assert (result["error"]["message"], result["error"]["code"]) == (said, "timeout")


@pytest.mark.parametrize("output_format", FORMATS)
@pytest.mark.parametrize("moment", ["no_answer", "keep_alives", "half_an_answer", "json_in_drops"])
def test_a_limit_for_the_run_is_55_wherever_the_server_hangs(
    qwen: Any, serve: Any, output_format: str, moment: str
) -> None:
    server = serve(getattr(hanging_server, moment))
    text, limit = ("half", "5") if moment == "half_an_answer" else ("", "1.5")
    arguments = ("-p", "hi", "-o", output_format, "--max-wall-time", f"{limit}s")
    done = qwen(*arguments, env=way_to(server.base_url))
    assert done.returncode == 55
    said = f"it was not done within {limit} s (--max-wall-time)"
    assert f"qwen: {said}\n" in done.stderr
    if output_format == "text":
        assert done.stdout.strip() == text
        return
    result = messages_of(done, output_format)[-1]
    assert (result["type"], result["subtype"]) == ("result", "error_during_execution")
    assert (result["is_error"], result["result"]) == (True, text)
    assert (result["error"]["type"], result["error"]["message"]) == ("WallTimeExceeded", said)


def test_a_command_is_ended_with_the_run_and_the_session_goes_on(
    qwen: Any, server: Any, env: Any, calls: Any
) -> None:
    server.script = [calls("run_shell_command", command="echo $$ > pid; sleep 60; touch late")]
    path = qwen.write("~/.qwen/settings.json", '{"model": {"maxWallTimeSeconds": 5}}')
    done = qwen("--yolo", "-p", "run it", env=env)
    assert done.returncode == 55
    assert f"it was not done within 5 s (model.maxWallTimeSeconds in {path}:1)" in done.stderr
    pid = (qwen.project / "pid").read_text().strip()
    until(lambda: not is_running(pid))
    assert not (qwen.project / "late").exists()
    done = qwen("--continue", "-p", "and now?", "--max-wall-time", "1h", env=env)
    assert done.returncode == 0, done.stderr
    messages = server.requests[-1].body["messages"]
    assert_acceptable(messages[1:])
    (told,) = [message["content"] for message in messages if message["role"] == "tool"]
    assert "topped: it was not done within 5 s" in told


def test_a_run_whose_reader_does_not_read_ends_in_time(qwen: Any, server: Any, env: Any) -> None:
    server.words = ["x" * 1000] * 500
    process = subprocess.Popen(
        [*qwen.command, "-p", "hi", "-o", "stream-json", "--max-wall-time", "1"],
        env={**qwen.environ, **env},
        cwd=qwen.project,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with process:
        assert process.wait(30) == 55


def test_a_prompt_that_is_never_written_ends_in_time(qwen: Any, env: Any) -> None:
    process = subprocess.Popen(
        [*qwen.command, "-o", "json", "--max-wall-time", "1"],
        env={**qwen.environ, **env},
        cwd=qwen.project,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with process:
        assert process.wait(30) == 55
        assert process.stdout
        assert json.loads(process.stdout.read())[-1]["error"]["type"] == "WallTimeExceeded"


@pytest.mark.parametrize("text", ["0", "0.5", "5x", "-1", "", "soon"])
def test_a_value_that_is_not_a_time_is_2(qwen: Any, env: Any, server: Any, text: str) -> None:
    done = qwen("-p", "hi", "-o", "json", f"--max-wall-time={text}", env=env)
    assert done.returncode == 2
    assert json.loads(done.stdout)[-1]["error"]["type"] == "UsageError"
    assert "90s, 5m, 1h" in done.stderr
    assert not server.requests


@pytest.mark.parametrize("name", ["list_directory", "task"])
def test_a_hang_after_a_call_ends_as_soon(
    qwen: Any, server: Any, env: Any, calls: Any, name: str
) -> None:
    """The second request is never answered: the agent's own, or its helper's."""
    release, answer = threading.Event(), server._answer
    arguments = {"prompt": "look"} if name == "task" else {"path": "."}
    server.script = [calls(name, **arguments)]

    def hang_later(connection: Any, method: str) -> None:
        if len(server.requests) > 1:
            release.wait(30)
        answer(connection, method)

    server._answer = hang_later
    qwen.write("~/.qwen/settings.json", '{"model": {"timeoutS": 1}}')
    done = qwen("-p", "look", env=env)
    release.set()
    assert done.returncode == 1
    assert "did not answer within 1 s; retrying in" in done.stderr
    assert len(server.requests) == 3
