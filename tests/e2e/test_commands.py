"""Commands of the model through the real ``qwen``: what they leave, and what runs beside it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from waiting import is_running, until


@pytest.fixture(autouse=True)
def configured(qwen: Any, server: Any) -> None:
    qwen.write(
        "~/.qwen/.env",
        f"LLAMA_API_KEY=sk-commands-012\nLLAMA_API_BASE_URL={server.base_url}\nLLAMA_API_MODEL=m\n",
    )


def results(server: Any) -> list[str]:
    """The results of calls in the last request."""
    messages = server.requests[-1].body["messages"]
    return [each["content"] for each in messages if each["role"] == "tool"]


def pid_in(path: Path) -> str:
    return until(lambda: path.read_text().strip() if path.exists() else "")


def test_what_a_command_leaves_is_told_to_the_model(qwen: Any, server: Any, calls: Any) -> None:
    command = "sleep 60 & echo $! > a; setsid sleep 60 > log 2>&1 & echo $! > b; echo done"
    server.script = [calls("run_shell_command", command=command)]
    done = qwen("-y", "-p", "go")
    assert done.returncode == 0, done.stderr
    (result,) = results(server)
    assert result.startswith("done\n[ended 2 processes: sleep 60 (pid ")
    for name in ("a", "b"):
        pid = (qwen.project / name).read_text().strip()
        assert f"(pid {pid})" in result and not is_running(pid)


def test_a_long_command(qwen: Any, server: Any, calls: Any) -> None:
    server.script = [calls("run_shell_command", command=f"echo {'x' * 300_000} | wc -c")]
    assert qwen("-y", "-p", "go").returncode == 0
    assert results(server) == ["300001"]


@pytest.mark.parametrize("make", ["a file", "no write", "missing"])
def test_a_home_that_cannot_hold_output(
    qwen: Any, server: Any, calls: Any, tmp_path: Path, make: str
) -> None:
    home = tmp_path / "elsewhere"
    if make == "a file":
        home.mkdir()
        (home / "projects").write_text("not a directory")
    elif make == "no write":
        home.symlink_to("/proc/1")
    server.script = [calls("run_shell_command", command="seq 1 20000")]
    key = {"LLAMA_API_KEY": "k", "LLAMA_API_BASE_URL": server.base_url, "LLAMA_API_MODEL": "m"}
    done = qwen("-y", "-p", "go", env={**key, "QWEN_HOME": str(home)})
    (result,) = results(server)
    assert result.startswith("1\n") and result.endswith("\n20000"), done.stderr
    where = "full output is in" if make == "missing" else "full output could not be kept: "
    assert where in result


def test_a_background_command_is_read_and_ends_with_the_run(
    qwen: Any, server: Any, calls: Any
) -> None:
    command = "echo $$ > pid; echo up; until [ -e go ]; do sleep 0.02; done; echo went on; sleep 60"
    server.script = [
        calls("run_shell_command", command=command, background=True),
        calls("run_shell_command", command="touch go"),
        calls("shell_output", id="shell_1", wait_s=30),
    ]
    done = qwen("-y", "-p", "go")
    assert done.returncode == 0 and done.stdout == "Hello from the model\n"
    first, _, more = results(server)
    assert first.startswith("up\n[shell_1 has been running for ")
    assert more.startswith("went on\n[shell_1 has been running for ")
    ended = "qwen: ended the background command shell_1 (echo $$ > pid; echo up;"
    assert done.stderr.count(ended) == 1
    assert not is_running(pid_in(qwen.project / "pid"))


def test_stopping_and_reading_need_no_approval(qwen: Any, server: Any, calls: Any) -> None:
    server.script = [
        calls("run_shell_command", command="sleep 60", background=True),
        calls("BashOutput", bash_id="shell_1"),
        calls("KillShell", shell_id="shell_1"),
    ]
    done = qwen("--allowed-tools", "Bash(sleep 60)", "-p", "go")
    assert done.returncode == 0 and "not allowed" not in done.stderr
    assert "killed by SIGTERM" in results(server)[2]
    assert "ended the background" not in done.stderr  # it had ended before


def test_a_rule_can_deny_them(qwen: Any, server: Any, calls: Any) -> None:
    qwen.write("~/.qwen/settings.json", '{"permissions": {"deny": ["KillShell"]}}')
    server.script = [
        calls("run_shell_command", command="sleep 60", background=True),
        calls("shell_stop", id="shell_1"),
    ]
    qwen("-y", "-p", "go")
    assert results(server)[1].startswith("there is no tool 'shell_stop'")


def test_a_server_that_cannot_begin_is_told_at_once(qwen: Any, server: Any, calls: Any) -> None:
    command = f"exec python3 -m http.server --bind 127.0.0.1 {server.port}"
    server.script = [
        calls("run_shell_command", command=command, background=True),
        calls("shell_output", id="shell_1", wait_s=30),  # where this machine is busy
    ]
    qwen("-y", "-p", "go")
    told = "".join(results(server))
    assert "Address already in use" in told and "[shell_1 has ended: exit code 1]" in told


def test_the_model_is_told_of_an_end_with_the_next_result(
    qwen: Any, server: Any, calls: Any
) -> None:
    command = "until [ -e go ]; do sleep 0.02; done; echo $$ > ended; echo bye; exit 3"
    wait = (
        "touch go; until [ -s ended ]; do sleep 0.02; done; while kill -0 $(cat ended); do :; done"
    )
    server.script = [
        calls("run_shell_command", command=command, background=True),
        calls("run_shell_command", command=f"{wait} 2>/dev/null; sleep 0.5; echo waited"),
        calls("list_directory", path="."),
    ]
    done = qwen("-y", "-p", "go", "-o", "stream-json")
    assert done.returncode == 0
    told = f"[While this went on: the background command shell_1 ({command}) ended: exit code 3"
    first, second, third = results(server)
    assert told not in first + third
    assert second.startswith(f"waited\n\n{told}. Its last line: ")
    notices = [json.loads(line) for line in done.stdout.splitlines() if "background_ended" in line]
    (data,) = [each["data"] for each in notices]
    assert (data["task_id"], data["ending"], data["command"]) == ("shell_1", "exit code 3", command)
    assert data["message"].startswith("the background command shell_1 (")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
@pytest.mark.parametrize("is_background", [True, False])
def test_however_qwen_ends_nothing_stays(
    qwen: Any, server: Any, calls: Any, number: signal.Signals, is_background: bool
) -> None:
    command = "sleep 60 & echo $! > child; echo $$ > pid; wait"
    server.script = [
        calls("run_shell_command", command=command, background=is_background),
        calls("run_shell_command", command="touch waits; sleep 60"),
    ]
    run = qwen.start("-y", "-p", "go", output=subprocess.DEVNULL)
    pids = [pid_in(qwen.project / name) for name in ("pid", "child")]
    if is_background:
        until((qwen.project / "waits").exists)
    run.send_signal(number)
    assert run.wait(30) == (-9 if number == signal.SIGKILL else 128 + number)
    until(lambda: not any(map(is_running, pids)))


def test_a_hook_that_leaves_a_child(qwen: Any, server: Any, calls: Any) -> None:
    """It neither waits for the child nor forbids the call; the child is the hook's own."""
    said = json.dumps({"additionalContext": "from the hook"})
    hook = f"sleep 60 & echo $! > child; echo '{said}'"
    entry = [{"hooks": [{"type": "command", "command": hook, "timeout": 50}]}]
    settings = {"hooks": {"PreToolUse": entry, "PostToolUse": entry}}
    qwen.write("~/.qwen/settings.json", json.dumps(settings))
    server.script = [calls("list_directory", path=".")]
    done = qwen("-p", "go")
    child = int(pid_in(qwen.project / "child"))
    try:
        assert done.returncode == 0, done.stderr
        (result,) = results(server)
        assert "Not allowed" not in result
        assert result.endswith("[output of a hook of the user:]\nfrom the hook")
        assert is_running(child)
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_key_helper_that_leaves_a_child(qwen: Any, server: Any, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    helper = ["bash", "-c", f"sleep 60 & echo $! > {pid}; echo sk-of-the-helper-0123"]
    auth = {"apiKeyHelper": helper, "selectedType": "openai", "baseUrl": server.base_url}
    qwen.write("~/.qwen/.env", "LLAMA_API_MODEL=m\n")
    qwen.write("~/.qwen/settings.json", json.dumps({"security": {"auth": auth}}))
    done = qwen("-p", "go")
    try:
        assert done.returncode == 0, done.stderr
        assert server.requests[-1].key == "sk-of-the-helper-0123"
    finally:
        os.kill(int(pid_in(pid)), signal.SIGKILL)
