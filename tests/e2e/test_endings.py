"""How a run ends: exit codes, what is on which stream, and what an interrupt leaves."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from array import array
from pathlib import Path
from typing import Any

import pytest
from waiting import is_running, until


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
    process = qwen.start("-p", "hi", "-o", output_format, env=env)
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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("output_format", ["text", "json", "stream-json"])
@pytest.mark.parametrize("module", ["qwen_code.cli.app", "qwen_code.wiring.launch"])
def test_a_signal_while_modules_are_imported_is_a_good_end_too(
    qwen: Any, env: Any, server: Any, module: str, output_format: str, number: signal.Signals
) -> None:
    """As it is where it comes in the first moments: no traceback, and a JSON result."""
    program = (
        "import os, sys\n"
        "from importlib.abc import MetaPathFinder\n"
        "class Interrupt(MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}:\n"
        "            sys.meta_path.remove(self)\n"
        f"            os.kill(os.getpid(), {number:d})\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        "from qwen_code.cli.main import main\n"
        "main()\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, "-p", "hi", "-o", output_format],
        env={**qwen.environ, **env},
        cwd=qwen.project,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
    )
    assert (ended.returncode, ended.stderr) == (128 + number, b"")
    if output_format == "text":
        assert not ended.stdout
    else:
        last = json.loads(ended.stdout.splitlines()[-1])
        result = last[-1] if output_format == "json" else last
        assert (result["type"], result["is_error"]) == ("result", True)
    assert not server.requests


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "arguments",
    [
        *(("-p", "hi", "-o", output_format) for output_format in ("text", "json", "stream-json")),
        ("--input-format", "stream-json", "-o", "stream-json"),
    ],
)
@pytest.mark.parametrize("signals", [1, 2])
def test_a_run_whose_reader_does_not_read_can_be_ended(
    qwen: Any,
    env: Any,
    server: Any,
    arguments: tuple[str, ...],
    number: signal.Signals,
    signals: int,
) -> None:
    """While the answer comes, and while the result is written: at the second signal, or a moment
    after the first."""
    server.words = ["x" * 1000] * 500
    run = Run(qwen, env, *arguments, stdin=subprocess.PIPE)
    assert run.process.stdout
    assert run.process.stdin
    if "--input-format" in arguments:
        line = {"type": "user", "message": {"role": "user", "content": "hi"}}
        run.process.stdin.write(json.dumps(line).encode() + b"\n")
        run.process.stdin.flush()
    else:
        run.process.stdin.close()
    until(lambda: _waiting_bytes(run.process.stdout) > 20_000)

    for _ in range(signals):
        run.process.send_signal(number)
        time.sleep(0.3)  # two at once may arrive as one
    assert run.process.wait(30) == 128 + number
    for pipe in (run.process.stdin, run.process.stdout, run.process.stderr):
        assert pipe
        pipe.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_program_that_does_not_read_its_responses_can_end_it(
    qwen: Any, env: Any, server: Any, number: signal.Signals
) -> None:
    """The thread that reads requests is writing when the signal comes."""
    arguments = ("--input-format", "stream-json", "-o", "stream-json")
    run = Run(qwen, env, *arguments, stdin=subprocess.PIPE)
    assert run.process.stdin
    request = {"subtype": "set_permission_mode", "mode": "default"}
    line = {"type": "control_request", "request_id": "x" * 1000, "request": request}
    data = json.dumps(line).encode() + b"\n"
    os.set_blocking(run.process.stdin.fileno(), False)

    def is_stuck() -> bool:
        try:
            while os.write(run.process.stdin.fileno(), data):  # type: ignore[union-attr]
                pass
        except BlockingIOError:
            pass
        return _waiting_bytes(run.process.stdout) > 20_000

    until(is_stuck)
    run.process.send_signal(number)
    assert run.process.wait(30) == 128 + number
    for pipe in (run.process.stdin, run.process.stdout, run.process.stderr):
        assert pipe
        pipe.close()


def _waiting_bytes(pipe: Any) -> int:
    count = array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, count)
    return count[0]


class Run:
    """A run that is under way."""

    def __init__(self, qwen: Any, env: Any, *arguments: str, stdin: int) -> None:
        self.process = subprocess.Popen(
            [*qwen.command, *arguments],
            env={**qwen.environ, **env},
            cwd=qwen.project,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def catches_signals(self) -> bool:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        caught = int(status.partition("SigCgt:")[2].split()[0], 16)
        return bool(caught >> (signal.SIGTERM - 1) & 1)

    def result(self) -> dict[str, Any]:
        with self.process:
            assert self.process.stdout
            assert self.process.stderr
            out, errors = self.process.stdout.read(), self.process.stderr.read()
        assert b"Traceback" not in errors
        result: dict[str, Any] = json.loads(out)[-1]
        assert result["type"] == "result"
        return result


def test_a_run_that_waits_for_standard_input_can_be_ended(qwen: Any, env: Any) -> None:
    """The pipe stays open: a read continues after a signal unless the stop is checked."""
    run = Run(qwen, env, "-o", "json", stdin=subprocess.PIPE)
    until(run.catches_signals)
    time.sleep(0.3)
    run.process.send_signal(signal.SIGTERM)
    assert run.result()["error"]["type"] == "Interrupted"
    assert run.process.returncode == 143


def test_more_signals_do_not_cut_off_the_end_of_a_run(
    qwen: Any, env: Any, server: Any, calls: Any
) -> None:
    """Ctrl-C three times: there is a result, and nothing is left running in the background."""
    command = "trap '' TERM; echo $$ > pid; sleep 60; sleep 60"
    server.script = [calls("run_shell_command", command=command, background=True)]
    second, goes_on = threading.Event(), threading.Event()

    def hold() -> None:
        if len(server.requests) > 1:
            second.set()
            goes_on.wait(30)

    server.after_first_word = hold
    run = Run(qwen, env, "-o", "json", "--yolo", "-p", "go", stdin=subprocess.DEVNULL)
    assert second.wait(30)
    until((qwen.project / "pid").exists)
    for _ in range(3):
        run.process.send_signal(signal.SIGINT)
        time.sleep(0.05)
    assert run.result()["error"]["type"] == "Interrupted"
    goes_on.set()
    assert run.process.returncode == 130
    assert not is_running((qwen.project / "pid").read_text().strip())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--nope", "-p", "auth"), "--nope"),
        (("--approval-mode", "fly", "-p", "hi"), "fly"),
        (("--input-format", "stream-json"), "--input-format"),
    ],
)
@pytest.mark.parametrize("wanted", [("-o", "json"), ("-ojson",), ("-yo", "json"), ("-dyojson",)])
def test_a_wrong_command_line_has_a_json_result_too(
    qwen: Any, wanted: tuple[str, ...], arguments: tuple[str, ...], said: str
) -> None:
    done = qwen(*wanted, *arguments)
    assert done.returncode == 2
    result = json.loads(done.stdout)[-1]
    assert (result["type"], result["error"]["type"]) == ("result", "UsageError")
    assert said in result["error"]["message"]


@pytest.mark.parametrize("method", ["close", "quota"])
def test_an_internal_error_at_the_end_has_a_json_result_too(
    qwen: Any, env: Any, method: str
) -> None:
    code = (
        "from qwen_code.cli.main import main\n"
        "from qwen_code.wiring.conversation import Conversation\n"
        f"Conversation.{method} = lambda self: 1 / 0\n"
        "main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "-o", "json", "-p", "hi"],
        env={**qwen.environ, **env},
        cwd=qwen.project,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert "ZeroDivisionError" in json.loads(done.stdout)[-1]["error"]["message"]


def test_the_prompt_loop_is_not_entered_without_a_terminal(qwen: Any, env: Any) -> None:
    done = qwen(env=env, stdin=b"question from a pipe")
    assert done.returncode == 0
    assert done.stdout == "Hello from the model\n"


def test_standard_input_comes_before_the_argument(qwen: Any, env: Any, server: Any) -> None:
    qwen("explain this", env=env, stdin=b"a diff\n")
    assert server.prompts == ["a diff\n\nexplain this"]
