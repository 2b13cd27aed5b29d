"""How a run ends: exit codes, what is on which stream, and what an interrupt leaves."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from typing import Any

import pytest


@pytest.fixture
def env(server: Any) -> dict[str, str]:
    return {
        "LLAMA_API_KEY": "sk-endings-0123456789",
        "LLAMA_API_BASE_URL": server.base_url,
        "LLAMA_API_MODEL": "m",
    }


def test_an_answer_is_0_and_nothing_but_the_answer(qwen: Any, env: Any) -> None:
    done = qwen("-p", "hi", env=env)
    assert (done.returncode, done.stdout, done.stderr) == (0, "Hello from the model\n", "")


def test_no_prompt_is_42(qwen: Any, env: Any) -> None:
    done = qwen(env=env)
    assert done.returncode == 42
    assert "no prompt" in done.stderr


def test_an_unknown_option_is_2_and_names_the_likely_one(qwen: Any) -> None:
    done = qwen("--modle", "x", "hi")
    assert done.returncode == 2
    assert "--model" in done.stderr


def test_a_broken_settings_file_is_52_with_line_and_column(qwen: Any, env: Any) -> None:
    path = qwen.write("~/.qwen/settings.json", '{\n  "model": oops\n}')
    done = qwen("-p", "hi", env=env)
    assert done.returncode == 52
    assert f"{path}:2:12" in done.stderr


def test_a_refused_key_is_41_and_names_its_source(qwen: Any, env: Any, server: Any) -> None:
    server.status = 401
    server.error_body = b'{"error": {"message": "Incorrect API key provided"}}'
    done = qwen("-p", "hi", env=env)
    assert done.returncode == 41
    assert "Incorrect API key provided" in done.stderr
    assert "qwen auth" in done.stderr


def test_an_unknown_model_is_1_and_lists_what_there_is(qwen: Any, env: Any, server: Any) -> None:
    server.models = ["alpha", "beta"]
    answer = server._answer

    def refuse_posts(connection: Any, method: str) -> None:
        server.status = 404 if method == "POST" else 200
        answer(connection, method)

    server._answer = refuse_posts
    server.error_body = b'{"error": {"message": "no such model", "code": "model_not_found"}}'
    done = qwen("-p", "hi", env=env)
    assert done.returncode == 1
    assert "alpha, beta" in done.stderr


def test_a_server_that_is_not_there_is_1_and_named(qwen: Any, env: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    done = qwen("-p", "hi", env={**env, "LLAMA_API_BASE_URL": f"http://127.0.0.1:{port}/v1"})
    assert done.returncode == 1
    assert f"127.0.0.1:{port}" in done.stderr


@pytest.mark.parametrize("output_format", ["text", "stream-json"])
def test_an_interrupt_keeps_what_came_and_is_130(
    qwen: Any, env: Any, server: Any, output_format: str
) -> None:
    process = subprocess.Popen(
        [*qwen.command, "-p", "hi", "-o", output_format],
        env={**qwen.environ, **env},
        cwd=qwen.project,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    server.words = ["Hello", *[" again"] * 1000]
    read, write = os.pipe()
    server.after_first_word = lambda: os.read(read, 1)
    assert process.stdout
    first = os.read(process.stdout.fileno(), 65536)
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=30)
    os.write(write, b".")
    os.close(write)
    assert process.returncode == 130
    out = (first + rest).decode()
    assert b"Traceback" not in errors
    if output_format == "text":
        assert out == "Hello\n"
    else:
        last = json.loads(out.splitlines()[-1])
        assert (last["type"], last["is_error"]) == ("result", True)


def test_the_prompt_loop_is_not_entered_without_a_terminal(qwen: Any, env: Any) -> None:
    done = qwen(env=env, stdin=b"question from a pipe")
    assert done.returncode == 0
    assert done.stdout == "Hello from the model\n"


def test_standard_input_comes_before_the_argument(qwen: Any, env: Any, server: Any) -> None:
    qwen("explain this", env=env, stdin=b"a diff\n")
    assert server.prompts == ["a diff\n\nexplain this"]
