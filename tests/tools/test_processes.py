"""What a command leaves running: it holds nothing up, it is ended, and the model is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from waiting import is_running, until

from qwen_code.base.process import COMMAND_MARK
from qwen_code.base.stop import Stop
from qwen_code.tools.base import Result
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.processes import CommandGroup, Guard, Member, exit_in_words, named
from qwen_code.tools.shell import RunShellCommand

pytestmark = pytest.mark.process

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows environments")

Call = Callable[..., Result]

_DAEMON = (
    "import os, sys\n"
    "if os.fork(): os._exit(0)\n"
    "os.setsid()\n"
    "if os.fork(): os._exit(0)\n"
    "open('pid', 'w').write(str(os.getpid()))\n"
    "for each in (0, 1, 2): os.close(each)\n"
    "os.execvp('sleep', ['sleep', '60'])\n"
)


LEFT = {
    "a job": "sleep 60 & echo $! > pid",
    "a job and more work": "sleep 60 & echo $! > pid; sleep 0.1",
    "a subshell": "(sleep 60 & echo $! > pid)",
    "nohup": "nohup sleep 60 > log 2>&1 & echo $! > pid",
    "it holds the pipe": "bash -c 'echo $$ > pid; exec sleep 60' & until [ -s pid ]; do :; done",
    "it ignores SIGTERM": (
        "bash -c 'trap \"\" TERM; echo $$ > pid; while :; do sleep 1; done' &"
        " until [ -s pid ]; do :; done"
    ),
    "it prints without end": (
        "bash -c 'echo $$ > pid; while :; do echo noise; sleep 0.01; done' & until [ -s pid ]; do :; done"
    ),
    "job control": "set -m; sleep 60 & echo $! > pid",
    "disown": "sleep 60 & echo $! > pid; disown -a",
}
ESCAPED = {
    "setsid": "setsid bash -c 'echo $$ > pid; exec sleep 60' & until [ -s pid ]; do :; done",
    "setsid -f": "setsid -f bash -c 'echo $$ > pid; exec sleep 60'; until [ -s pid ]; do :; done",
    "a daemon": f'{sys.executable} -c "{_DAEMON}"; until [ -s pid ]; do :; done',
    "nested sessions": (
        "(setsid bash -c 'setsid sleep 60 > log 2>&1 & echo $! > pid' &);"
        " until [ -s pid ]; do :; done"
    ),
}


@pytest.mark.parametrize(
    "command",
    [*LEFT.values(), *(pytest.param(each, marks=linux) for each in ESCAPED.values())],
    ids=[*LEFT, *ESCAPED],
)
def test_what_a_command_leaves_running_is_ended_and_named(
    shell: RunShellCommand, call: Call, project: Path, command: str
) -> None:
    started = time.monotonic()
    result = call(shell, command=f"echo first; {command}; echo last", timeout_s=50)
    assert time.monotonic() - started < 30
    pid = (project / "pid").read_text().strip()
    assert not is_running(pid)
    assert result.text.startswith("first\n") and "\nlast\n" in result.text
    assert "[ended " in result.text and f"(pid {pid})" in result.text
    assert result.text.endswith("which the command left running; use background: true]")
    assert result.summary.startswith("exit code 0")


@pytest.mark.parametrize(
    "command",
    [
        "seq 1 3",
        "exec > >(cat); seq 1 3",
        "seq 1 3 | cat & wait",
    ],
)
def test_what_ends_by_itself_in_a_moment_is_waited_for(
    shell: RunShellCommand, call: Call, command: str
) -> None:
    assert call(shell, command=command).text == "1\n2\n3"


def test_all_of_a_long_output_is_there(shell: RunShellCommand, call: Call) -> None:
    text = call(shell, command="sleep 60 & seq 1 100000").text
    assert "\n100000\n[ended 1 process: sleep 60 (pid " in text


@pytest.mark.parametrize("closing", ["exec >&- 2>&-", "exec > /dev/null 2>&1"])
def test_the_limit_holds_where_the_output_is_closed(
    shell: RunShellCommand, call: Call, closing: str
) -> None:
    with pytest.raises(ToolFailed, match="timed out after 1 s"):
        call(shell, command=f"{closing}; sleep 60", timeout_s=1)


def test_what_ended_with_a_command_is_named(shell: RunShellCommand, call: Call) -> None:
    with pytest.raises(ToolFailed) as caught:
        call(shell, command="echo so far; sleep 61 & sleep 60; true", timeout_s=1)
    assert "timed out after 1 s, and ended with 2 processes: " in caught.value.message
    assert "sleep 61 (pid " in caught.value.message
    assert caught.value.message.endswith(".\nso far")


def test_what_it_prints_when_it_is_ended_is_there(shell: RunShellCommand, call: Call) -> None:
    command = "trap 'echo cleaned up; exit' TERM; while :; do sleep 0.05; done"
    with pytest.raises(ToolFailed, match="timed out after 1 s(.|\n)*\ncleaned up"):
        call(shell, command=command, timeout_s=1)


@linux
def test_a_process_of_another_command_is_not_touched(
    shell: RunShellCommand, call: Call, tmp_path: Path
) -> None:
    """Neither that of a background command, nor one with the mark of another session."""
    background = call(shell, command="exec sleep 60", background=True)
    environ = {"PATH": os.environ["PATH"], COMMAND_MARK: "of-another-qwen"}
    with subprocess.Popen(["sleep", "60"], env=environ) as other:
        assert call(shell, command="echo done").text == "done"
        assert is_running(other.pid)
        assert is_running(background.summary.rpartition(" ")[2])
        other.kill()


@linux
def test_a_number_that_belongs_to_another_process_is_not_signalled() -> None:
    from qwen_code.tools.processes import _signal_member

    with subprocess.Popen(["sleep", "60"], env={"PATH": os.environ["PATH"]}) as other:
        _signal_member(Member(other.pid, "sleep 60", began="1"), signal.SIGKILL)
        assert is_running(other.pid)
        other.kill()


def test_a_group_that_was_reaped_is_not_looked_for() -> None:
    process = subprocess.Popen(
        ["true"],
        env={"PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    group = CommandGroup(process, "a mark")
    assert group.reap() == 0
    assert group.has_ended and group.members() == []
    group.end(30)
    group.output.close()


def test_a_guard_ends_what_is_left_when_its_process_is_killed(tmp_path: Path) -> None:
    code = (
        "import os, signal, subprocess\n"
        "from qwen_code.tools.processes import Guard\n"
        "environ = {'PATH': os.environ['PATH']}\n"
        "guard = Guard(environ)\n"
        "guard.start()\n"
        "marks = [f'mark{number}' for number in range(4)]\n"
        "for mark in marks: guard.expect(mark)\n"
        "made = [subprocess.Popen(['sleep', '60'], start_new_session=True,\n"
        "                          env={**environ, 'QWEN_COMMAND_ID': mark},\n"
        "                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
        "        for mark in marks]\n"
        "for each, mark in list(zip(made, marks))[1:]: guard.add(each.pid, mark)\n"
        "guard.remove(made[3].pid)\n"
        "print(*(each.pid for each in made), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, timeout=30
    )
    *guarded, free = done.stdout.split()
    try:
        until(lambda: not any(is_running(each.decode()) for each in guarded))
        assert is_running(free.decode())
    finally:
        os.kill(int(free), signal.SIGKILL)


def test_a_guard_without_bash_costs_nothing(tmp_path: Path) -> None:
    guard = Guard({"PATH": str(tmp_path)})
    guard.start()
    guard.expect("mark")
    guard.add(1, "mark")
    guard.remove(1)
    guard.close()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (1, "exit code 1"),
        (126, "exit code 126"),
        (127, "exit code 127"),
        (128, "exit code 128"),
        (200, "exit code 200"),
        (255, "exit code 255"),
        (137, "exit code 137, as after SIGKILL"),
        (139, "exit code 139, as after SIGSEGV"),
        (141, "exit code 141, as after SIGPIPE"),
        (-11, "killed by SIGSEGV (signal 11)"),
        (-9, "killed by SIGKILL (signal 9)"),
    ],
)
def test_an_end_in_words(code: int, words: str) -> None:
    assert exit_in_words(code) == words


def test_many_processes_in_words() -> None:
    members = [Member(each, f"sleep {each}") for each in range(7)]
    assert named(members[:1]) == "1 process: sleep 0 (pid 0)"
    assert named(members).startswith("7 processes: sleep 0 (pid 0), sleep 1 (pid 1), ")
    assert named(members).endswith("sleep 4 (pid 4) and 2 more")


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("kill -SEGV $$", "killed by SIGSEGV (signal 11)"),
        ("bash -c 'kill -KILL $$'; exit $?", "exit code 137, as after SIGKILL"),
        ("no-such-command", "exit code 127"),
        ("/etc/passwd", "exit code 126"),
    ],
)
def test_the_end_that_is_told(shell: RunShellCommand, call: Call, command: str, told: str) -> None:
    assert call(shell, command=command).text.endswith(f"[{told}]")


def test_a_stop_is_not_held_up_by_what_is_left(shell: RunShellCommand, call: Call) -> None:
    stop, seen = Stop(), []

    def show(text: str) -> None:
        seen.append(text)
        stop.set()

    with pytest.raises(ToolFailed, match="The user stopped"):
        call(shell, show, stop, command="sleep 60 & echo $!; sleep 60")
    until(lambda: not is_running(int(seen[0])))
