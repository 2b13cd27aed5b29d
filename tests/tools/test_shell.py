from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from waiting import is_running, until

from qwen_code.base.errors import QwenError
from qwen_code.base.secret import Secret
from qwen_code.base.stop import Stop
from qwen_code.tools.base import Result
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.shell import RunShellCommand

pytestmark = pytest.mark.process

Call = Callable[..., Result]


def test_closing_ends_what_is_still_being_stopped(
    shell: RunShellCommand, call: Call, tmp_path: Path
) -> None:
    """A turn waits for a stopped command for a moment only; then the process may end."""
    mark = tmp_path / "pid"
    command = f"trap '' TERM; echo $$ > {mark}; sleep 60; sleep 60"
    thread = threading.Thread(target=lambda: call(shell, command=command))
    thread.start()
    until(lambda: mark.exists() and bool(mark.read_text()))
    shell.close()
    thread.join(30)
    assert not thread.is_alive()
    assert not is_running(int(mark.read_text()))


@pytest.mark.parametrize(
    ("command", "reason", "told"),
    [
        ("sleep 60", None, "The user stopped the command."),
        ("echo half; sleep 60", None, "The user stopped the command. Its output until then:\nhalf"),
        ("sleep 60", QwenError("the time is over"), "The command was stopped: the time is over."),
    ],
)
def test_what_is_told_of_a_stopped_command(
    shell: RunShellCommand,
    call: Call,
    project: Path,
    command: str,
    reason: QwenError | None,
    told: str,
) -> None:
    stop = Stop()

    def stop_it() -> None:
        until((project / "begun").exists)
        stop.set(reason)

    thread = threading.Thread(target=stop_it)
    thread.start()
    # Before the mark, so that it has printed when it is stopped.
    before, _, after = command.rpartition("sleep")
    with pytest.raises(ToolFailed) as caught:
        call(shell, command=f"{before}touch begun; sleep{after}", stop=stop)
    thread.join()
    assert caught.value.message == told


def test_what_it_prints_and_how_it_ended(shell: RunShellCommand, call: Call) -> None:
    assert call(shell, command="echo out; echo err >&2").text == "out\nerr"
    assert call(shell, command="echo x; exit 3").text == "x\n[exit code 3]"
    assert call(shell, command="true").text == "(no output)"
    assert "signal 9" in call(shell, command="kill -9 $$").text


def test_it_runs_in_the_workspace(shell: RunShellCommand, call: Call, project: Path) -> None:
    assert call(shell, command="pwd -P").text == os.path.realpath(project)
    assert call(shell, command="ls", directory="src").text == "a.py"
    with pytest.raises(ToolFailed, match="outside"):
        call(shell, command="pwd", directory="..")


def test_output_is_shown_as_it_comes(shell: RunShellCommand, call: Call, project: Path) -> None:
    """The command goes on only once its first line was shown."""
    shown: list[str] = []

    def show(text: str) -> None:
        shown.append(text)
        (project / "go-on").touch()

    command = "echo 1; until [ -e go-on ]; do sleep 0.05; done; echo 2"
    assert call(shell, show, command=command, timeout_s=30).text == "1\n2"
    assert "".join(shown) == "1\n2\n"


def test_it_has_no_input_and_no_terminal(shell: RunShellCommand, call: Call) -> None:
    assert call(shell, command="cat; [ -t 0 ] || echo none").text == "none"


def test_its_environment_is_what_it_was_given(
    shell: RunShellCommand, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_API_KEY", "sk-secret")
    assert "sk-secret" not in call(shell, command="env").text


def test_a_time_limit_ends_everything(shell: RunShellCommand, call: Call) -> None:
    started = time.monotonic()
    with pytest.raises(ToolFailed, match="timed out after 1 s") as caught:
        call(shell, command="sleep 60 & echo child $!; sleep 60", timeout_s=1)
    assert time.monotonic() - started < 30
    child = int(caught.value.message.split("child ")[1].split()[0])
    until(lambda: not is_running(child))


def test_what_does_not_want_to_end_is_ended(shell: RunShellCommand, call: Call) -> None:
    command = "trap '' TERM; echo PID $$; while :; do sleep 0.1; done"
    with pytest.raises(ToolFailed) as caught:
        call(shell, command=command, timeout_s=1)
    pid = int(caught.value.message.split("PID ")[1].split()[0])
    until(lambda: not is_running(pid))


def test_a_child_that_holds_the_output_is_not_waited_for(
    shell: RunShellCommand, call: Call
) -> None:
    started = time.monotonic()
    result = call(shell, command="sleep 60 & echo $!")
    assert time.monotonic() - started < 30
    assert not is_running(int(result.text.split()[0]))


def test_long_output_keeps_its_ends_and_the_rest_is_in_a_file(
    shell: RunShellCommand, call: Call, tmp_path: Path
) -> None:
    text = call(shell, command="seq 1 20000").text
    assert text.startswith("1\n2\n") and text.endswith("\n20000")
    assert len(text) < 17_000
    (file,) = (tmp_path / "output").iterdir()
    assert str(file) in text
    assert file.read_text() == "".join(f"{n}\n" for n in range(1, 20001))
    assert file.stat().st_mode & 0o077 == 0


def test_an_interrupt_ends_it(shell: RunShellCommand, call: Call) -> None:
    pids: list[int] = []

    def interrupt(text: str) -> None:
        pids.append(int(text))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        call(shell, interrupt, command="echo $$; sleep 60")
    until(lambda: not is_running(pids[0]))


KEY = "sk-canary-shell-0123456789"


@pytest.mark.parametrize("at", range(1, len(KEY), 5))
def test_a_secret_in_two_pieces_is_masked(
    shell: RunShellCommand, call: Call, project: Path, at: int
) -> None:
    """The second piece is printed only once the first was read."""
    Secret(KEY)
    shown: list[str] = []

    def show(text: str) -> None:
        shown.append(text)
        if "begun" in text:
            (project / "go-on").touch()

    wait = "until [ -e go-on ]; do sleep 0.02; done"
    command = f"printf 'begun\\n{KEY[:at]}'; {wait}; sleep 0.1; printf '{KEY[at:]}\\nend'"
    text = call(shell, show, command=command, timeout_s=30).text
    assert re.fullmatch(r"begun\n\[secret:\w{4}\]\nend", text)
    assert "".join(shown) == text


@pytest.mark.parametrize("before", [*range(7990, 8002, 3), *range(20_000, 20_030, 7)])
def test_no_cut_leaves_a_part_of_a_secret(
    shell: RunShellCommand, call: Call, tmp_path: Path, before: int
) -> None:
    Secret(KEY)
    command = f"head -c {before} /dev/zero | tr '\\0' x; echo {KEY}; yes | head -c 7983; echo"
    text = call(shell, command=command).text
    parts = {KEY[start : start + 6] for start in range(len(KEY) - 5)}
    for each in (text, *(path.read_text() for path in (tmp_path / "output").glob("*"))):
        assert not any(part in each for part in parts)
