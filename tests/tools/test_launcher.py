"""Commands start, however long they are and whatever is missing around them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qwen_code.tools.base import Result
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.shell import RunShellCommand
from qwen_code.tools.workspace import Workspace

pytestmark = pytest.mark.process

Call = Callable[..., Result]
LONG = ": " + "x" * 200_000


@pytest.fixture
def shells(workspace: Workspace, tmp_path: Path) -> Iterator[Callable[..., RunShellCommand]]:
    made: list[RunShellCommand] = []

    def make(environ: dict[str, str]) -> RunShellCommand:
        made.append(RunShellCommand(workspace, environ, tmp_path / "output"))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def shell(shells: Callable[..., RunShellCommand], environ: dict[str, str]) -> RunShellCommand:
    return shells(environ)


@pytest.mark.parametrize(
    "command",
    [
        "echo $0 $# $-",
        'echo "[${BASH_SOURCE[0]}]"',
        "echo a\necho $LINENO\nno_such_command",
        "set -e; false; echo not here",
        "echo a; exit 3",
        "cat; readlink /proc/self/fd/0",
        "trap 'echo trapped' EXIT; echo a",
        "f() { return 4; }; f",
        "cat <<'END'\n $x `y`\nEND",
        "echo 'one\ntwo'; printf '%s' \"$HOME\" | wc -l",
        "kill -TERM $$",
        "ls /proc/self/fd | wc -l",
        "export A=1; bash -c 'echo $A $0'",
        "printenv | grep -c xxxxx",
    ],
)
def test_a_long_command_means_what_a_short_one_means(
    shell: RunShellCommand, call: Call, command: str
) -> None:
    expected = call(shell, command=command).text
    assert call(shell, command=f"{command}\n{LONG}" if "exit" not in command else command).text
    # What follows must not change how the command ends.
    assert call(shell, command=f"{LONG}; {command}").text == expected


@pytest.mark.parametrize("length", [99_999, 100_001, 131_071, 131_072, 3_000_000])
def test_any_length(shell: RunShellCommand, call: Call, length: int) -> None:
    assert call(shell, command=f"echo {'x' * length} | wc -c").text.strip() == str(length + 1)


def test_a_syntax_error_far_down(shell: RunShellCommand, call: Call) -> None:
    text = call(shell, command=f"echo begun\n{LONG}\nif ;").text
    assert text.startswith("begun\n") and "line 3: syntax error" in text


def test_a_nul_is_refused(shell: RunShellCommand, call: Call) -> None:
    with pytest.raises(ToolFailed, match="NUL character"):
        call(shell, command="echo a\0b")
    with pytest.raises(ToolFailed, match="NUL character"):
        shell.preview(shell.arguments("echo a\0b"))


def test_without_bash(shells: Callable[..., RunShellCommand], call: Call, tmp_path: Path) -> None:
    shell = shells({"PATH": str(tmp_path)})
    for background in (False, True):
        with pytest.raises(ToolFailed, match="need bash, and there is none in .* PATH"):
            call(shell, command="echo", background=background)
    assert not list((tmp_path / "output").glob("*"))


def test_in_a_directory_that_was_removed(shell: RunShellCommand, call: Call, project: Path) -> None:
    shutil.rmtree(project)
    with pytest.raises(ToolFailed, match="does not exist"):
        call(shell, command="pwd")


def test_a_directory_that_the_command_removes(
    shell: RunShellCommand, call: Call, project: Path
) -> None:
    assert call(shell, command=f"rm -r {project}; echo done").text == "done"


@pytest.mark.parametrize("count", [1, 200])
def test_an_environment_that_is_too_large(
    shells: Callable[..., RunShellCommand], call: Call, environ: dict[str, str], count: int
) -> None:
    more = {f"LARGE_{n}": "x" * (130_000 if count > 1 else 140_000) for n in range(count)}
    shell = shells({**environ, "SMALL": "here", **more})
    text = call(shell, command="echo $SMALL; command -v cat").text
    assert text.startswith("here\n/")
    assert "[the environment is too large; commands run without LARGE_" in text
    assert ("more]" in text) == (count > 1)


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.write_text("a file"),
        lambda path: path.symlink_to("/dev/null/nothing"),
        lambda path: path.symlink_to("/proc/1"),
    ],
)
def test_a_place_for_output_that_cannot_be_used(
    shell: RunShellCommand, call: Call, tmp_path: Path, make: Callable[[Path], object]
) -> None:
    make(tmp_path / "output")
    text = call(shell, command="seq 1 20000").text
    assert text.startswith("1\n") and text.endswith("\n20000") and len(text) < 17_000
    assert "characters omitted; the full output could not be kept: " in text
    assert call(shell, command="echo up", background=True).text.startswith("up\n")


def test_a_full_disk(shell: RunShellCommand, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = os.open

    def full(path: Any, *rest: Any, **more: Any) -> int:
        is_log = str(path).endswith(".log")
        return opened("/dev/full", os.O_WRONLY) if is_log else opened(path, *rest, **more)

    monkeypatch.setattr(os, "open", full)
    text = call(shell, command="seq 1 20000").text
    assert text.startswith("1\n") and text.endswith("\n20000")
    assert "No space left on device" in text
