"""Background commands: their beginning, what they print, and every way in which they end."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from waiting import is_running, until

from qwen_code.base.secret import Secret
from qwen_code.base.stop import Stop, Stopped
from qwen_code.tools.background import BackgroundCommands
from qwen_code.tools.base import Result
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.sandbox import find_sandbox
from qwen_code.tools.sandbox_paths import Layout
from qwen_code.tools.shell import RunShellCommand
from qwen_code.tools.shell_output import ShellOutput, ShellStop
from qwen_code.tools.workspace import Workspace

pytestmark = pytest.mark.process

Call = Callable[..., Result]
KEY = "sk-canary-background-0123456789"


@pytest.fixture
def background(tmp_path: Path) -> BackgroundCommands:
    return BackgroundCommands(tmp_path / "output")


@pytest.fixture
def shell(
    workspace: Workspace, environ: dict[str, str], tmp_path: Path, background: BackgroundCommands
) -> Iterator[RunShellCommand]:
    tool = RunShellCommand(workspace, environ, tmp_path / "output", None, background)
    yield tool
    tool.close()


@pytest.fixture
def output(background: BackgroundCommands) -> ShellOutput:
    return ShellOutput(background)


def log_of(background: BackgroundCommands, task_id: str = "shell_1") -> Path:
    found = background.find(task_id).as_task().log
    assert found is not None
    return found


def test_a_server_runs_until_the_session_ends(
    shell: RunShellCommand, output: ShellOutput, background: BackgroundCommands, call: Call
) -> None:
    result = call(shell, command="echo up; sleep 60; true", background=True)
    (task,) = background.tasks()
    assert result.text.startswith("up\n[shell_1 has been running for ")
    assert result.summary == f"shell_1, process {task.pid}"
    assert is_running(task.pid) and task.state == "running" and task.last_line == "up"
    assert call(output, id="shell_1").text.startswith("(nothing new)\n[shell_1 has been running")
    assert [each.id for each in background.close()] == ["shell_1"]
    assert not is_running(task.pid)


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("echo 'address in use' >&2; exit 98", "address in use\n[shell_1 has ended: exit code 98]"),
        ("true", "(nothing new)\n[shell_1 has ended: exit code 0]"),
        ("kill -SEGV $$", "(nothing new)\n[shell_1 has ended: killed by SIGSEGV (signal 11)]"),
    ],
)
def test_one_that_ends_at_once_says_so(
    shell: RunShellCommand, background: BackgroundCommands, call: Call, command: str, told: str
) -> None:
    assert call(shell, command=command, background=True).text == told
    assert background.take_news() == background.take_news_for_user() == []


def test_only_what_is_new_is_given_out(
    shell: RunShellCommand, output: ShellOutput, call: Call, project: Path
) -> None:
    command = "for n in 1 2 3; do until [ -e go$n ]; do sleep 0.02; done; echo out $n; done"
    assert call(shell, command=command, background=True).text.startswith("(nothing new)\n")
    for number in (1, 2):
        (project / f"go{number}").touch()
        text = call(output, id="shell_1", wait_s=30).text
        assert text.startswith(f"out {number}\n[shell_1 has been running for ")
    (project / "go3").touch()
    until(lambda: "ended" in (text := call(output, id="shell_1", wait_s=30).text) and text)


def test_a_wait_ends_with_the_turn(shell: RunShellCommand, output: ShellOutput, call: Call) -> None:
    call(shell, command="sleep 60", background=True)
    stop = Stop()
    threading.Timer(0.1, stop.set).start()
    with pytest.raises(Stopped):
        call(output, stop=stop, id="shell_1", wait_s=600)


def test_a_long_output_is_given_in_part(
    shell: RunShellCommand, background: BackgroundCommands, call: Call
) -> None:
    text = call(shell, command="seq 1 20000", background=True).text
    assert text.startswith("1\n2\n") and "\n20000\n[shell_1 has ended" in text
    assert len(text) < 17_000 and f"the full output is in {log_of(background)}" in text
    assert log_of(background).read_text() == "".join(f"{n}\n" for n in range(1, 20001))
    assert log_of(background).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "command",
    [
        "sleep 60 & echo $! > pid; wait",
        "sleep 60 & echo $! > pid",
        "bash -c 'trap \"\" TERM; echo $$ > pid; while :; do sleep 0.1; done'",
        "setsid sleep 60 & echo $! > pid; wait",
    ],
)
def test_a_stop_ends_the_whole_group(
    shell: RunShellCommand,
    background: BackgroundCommands,
    call: Call,
    project: Path,
    command: str,
) -> None:
    call(shell, command=f"echo up; {command}", background=True)
    pid = until(lambda: (project / "pid").exists() and (project / "pid").read_text().strip())
    result = call(ShellStop(background), id="shell_1")
    assert not is_running(str(pid))
    assert "[shell_1 has ended: " in result.text
    assert result.summary == background.tasks()[0].ending
    assert background.take_news() == background.take_news_for_user() == []


def test_one_whose_shell_ends_runs_as_long_as_what_it_started(
    shell: RunShellCommand, output: ShellOutput, call: Call, project: Path
) -> None:
    """Models write ``&`` as well."""
    wait = "until [ -e go ]; do sleep 0.02; done; echo done"
    text = call(shell, command=f"(echo up; {wait}) &", background=True).text
    assert text.startswith("up\n[shell_1 has been running")
    (project / "go").touch()
    text = ""
    until(lambda: "ended: exit code 0" in call(output, id="shell_1", wait_s=30).text)


def test_news_are_told_once(
    shell: RunShellCommand, background: BackgroundCommands, call: Call, project: Path
) -> None:
    command = "until [ -e go ]; do sleep 0.02; done; echo so long; exit 7"
    call(shell, command=command, background=True)
    assert background.take_news() == []
    (project / "go").touch()
    (news,) = until(background.take_news)
    assert (news.id, news.ending, news.last_line) == ("shell_1", "exit code 7", "so long")
    assert background.take_news() == []
    assert len(background.take_news_for_user()) == 1
    assert background.take_news_for_user() == []


def test_one_that_the_user_stops_is_news_for_the_model(
    shell: RunShellCommand, background: BackgroundCommands, call: Call
) -> None:
    call(shell, command="sleep 60", background=True)
    background.find("shell_1").stop()
    assert background.take_news_for_user() == []
    assert [each.id for each in background.take_news()] == ["shell_1"]


@pytest.mark.parametrize("name", ["shell_9", "", "../x"])
def test_an_id_that_is_not_known(
    shell: RunShellCommand, output: ShellOutput, call: Call, name: str
) -> None:
    with pytest.raises(ToolFailed, match="no background command .* of this session: none"):
        call(output, id=name)
    call(shell, command="true", background=True)
    with pytest.raises(ToolFailed, match="of this session: shell_1"):
        call(output, id=name)


@pytest.mark.parametrize("field", ["id", "bash_id", "shell_id", "task_id"])
def test_other_names_of_the_id(
    shell: RunShellCommand, output: ShellOutput, call: Call, field: str
) -> None:
    call(shell, command="true", is_background=True)
    assert "exit code 0" in call(output, **{field: "shell_1"}).text


def test_its_log_has_no_secret(
    shell: RunShellCommand, background: BackgroundCommands, call: Call
) -> None:
    Secret(KEY)
    text = call(shell, command=f"echo {KEY}; printf 'x {KEY[:9]}'", background=True).text
    assert KEY not in text and KEY not in log_of(background).read_text()
    assert log_of(background).read_text().endswith(f"x {KEY[:9]}")


def test_too_many_are_refused(
    shell: RunShellCommand, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qwen_code.tools.background._MAX_RUNNING", 1)
    call(shell, command="sleep 60", background=True)
    with pytest.raises(ToolFailed, match="1 background commands are running: shell_1"):
        call(shell, command="sleep 60", background=True)


def test_one_that_is_kept_goes_on(
    shell: RunShellCommand,
    output: ShellOutput,
    background: BackgroundCommands,
    call: Call,
    project: Path,
) -> None:
    command = (
        "for n in 1 2 3; do echo out $n; until [ -e go$n ]; do sleep 0.02; done; done; echo done"
    )
    call(shell, command=command, background=True)
    kept = background.find("shell_1")
    log = kept.keep()
    pid = background.tasks()[0].pid
    (project / "go1").touch()
    assert call(output, id="shell_1", wait_s=30).text.startswith("out 2\n")
    assert [each.state for each in background.close()] == ["kept"]
    shell.close()
    try:
        (project / "go2").touch()
        until(lambda: log.read_text().endswith("out 3\n"))
        assert is_running(pid)
        (project / "go3").touch()
        until(lambda: log.read_text() == "out 1\nout 2\nout 3\ndone\n")
    finally:
        (project / "go3").touch()
    until(lambda: not is_running(pid))
    until(lambda: kept.has_ended)


def test_one_that_is_kept_is_handed_over_by_then(
    shell: RunShellCommand, background: BackgroundCommands, call: Call, project: Path
) -> None:
    """This process may end in the next moment."""
    command = "echo out; printf begun; until [ -e go ]; do sleep 0.02; done; echo ' and ended'"
    call(shell, command=command, background=True)
    kept = background.find("shell_1")
    until(lambda: kept._text._held == b"begun")
    log = kept.keep()
    (project / "go").touch()
    until(lambda: log.read_text() == "out\nbegun and ended\n")
    until(lambda: kept.has_ended)


def test_without_a_process_for_its_output_it_is_not_kept(
    shell: RunShellCommand,
    background: BackgroundCommands,
    call: Call,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    call(shell, command="until [ -e go ]; do sleep 0.02; done; echo out", background=True)
    kept = background.find("shell_1")
    with monkeypatch.context() as patched:
        patched.setattr("qwen_code.tools.background.os.defpath", "/nowhere")
        with pytest.raises(ToolFailed, match="no process can be started"):
            kept.keep()
    (project / "go").touch()
    until(lambda: kept.has_ended)
    assert not kept.is_kept
    assert kept.news().startswith("out\n")


def test_what_cannot_be_kept(
    shell: RunShellCommand, background: BackgroundCommands, call: Call
) -> None:
    call(shell, command="true", background=True)
    with pytest.raises(ToolFailed, match="shell_1 has ended: exit code 0"):
        background.find("shell_1").keep()


def test_in_the_sandbox(
    workspace: Workspace,
    environ: dict[str, str],
    tmp_path: Path,
    background: BackgroundCommands,
    call: Call,
    project: Path,
    require: Callable[[str, bool], None],
) -> None:
    """The sandbox ends with the thread that has started it, which must not be that of the call."""
    require("bwrap", shutil.which("bwrap") is not None)
    layout = Layout((project,), (), (), (), ())
    sandbox = find_sandbox(lambda: layout, "true", network=False)
    shell = RunShellCommand(workspace, environ, tmp_path / "output", sandbox, background)
    command = "echo up; until [ -e go ]; do sleep 0.02; done; echo went on; sleep 60; true"
    thread = threading.Thread(
        target=lambda: call(shell, command=command, background=True), daemon=True
    )
    thread.start()
    thread.join(30)
    pid = background.tasks()[0].pid
    assert is_running(pid)
    (project / "go").touch()
    assert call(ShellOutput(background), id="shell_1", wait_s=30).text.startswith("went on\n")
    with pytest.raises(ToolFailed, match="runs in the sandbox"):
        background.find("shell_1").keep()
    long = call(shell, command=f"echo $0 $#; : {'x' * 200_000}").text
    assert long.startswith("bash 0")
    shell.close()
    assert not is_running(pid)


def test_a_signal_from_outside(
    shell: RunShellCommand, output: ShellOutput, background: BackgroundCommands, call: Call
) -> None:
    call(shell, command="exec sleep 60", background=True)
    os.kill(background.tasks()[0].pid, signal.SIGKILL)
    text = call(output, id="shell_1", wait_s=30).text
    assert text == "(nothing new)\n[shell_1 has ended: killed by SIGKILL (signal 9)]"
