from __future__ import annotations

import ast
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import TimeoutExpired

import pytest
from waiting import is_running

from qwen_code.base import process
from qwen_code.base.stop import Stop, Stopped

pytestmark = pytest.mark.process


@pytest.mark.parametrize("is_stopped", [True, False])
def test_with_its_children_it_leaves_nothing_running(tmp_path: Path, is_stopped: bool) -> None:
    """bash waits for the program that it runs, so ending bash alone would leave that behind."""
    command, stop = ["bash", "-c", "sleep 60 & echo $! > pid; wait; true"], Stop()
    if is_stopped:
        threading.Timer(0.5, stop.set).start()
    with pytest.raises(Stopped if is_stopped else TimeoutExpired):
        process.run(
            command,
            env={"PATH": os.environ["PATH"]},
            timeout_s=30 if is_stopped else 0.5,
            stop=stop,
            cwd=tmp_path,
            with_children=True,
        )
    stat = Path("/proc") / (tmp_path / "pid").read_text().strip() / "stat"
    deadline = time.monotonic() + 30
    while stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < deadline


LEFT = {
    "a child that holds the output": ("sleep 60 & echo $! > pid; echo hi", 0, "hi\n", ""),
    "one in another session": ("setsid sleep 60 & echo $! > pid; echo hi", 0, "hi\n", ""),
    "a daemon": ("nohup sleep 60 > log 2>&1 & echo $! > pid; echo hi", 0, "hi\n", ""),
    "after a refusal": ("sleep 60 & echo $! > pid; echo no >&2; exit 2", 2, "", "no\n"),
    "much output": (
        "sleep 60 & echo $! > pid; seq 1 9999",
        0,
        "".join(f"{n}\n" for n in range(1, 10_000)),
        "",
    ),
}


@pytest.mark.parametrize(("command", "code", "out", "err"), LEFT.values(), ids=LEFT)
@pytest.mark.parametrize("stdin", [None, b"x" * 300_000])
@pytest.mark.parametrize("with_children", [True, False])
def test_a_child_that_is_left_behind_holds_nothing_up(
    tmp_path: Path,
    command: str,
    code: int,
    out: str,
    err: str,
    stdin: bytes | None,
    with_children: bool,
) -> None:
    done = process.run(
        ["bash", "-c", command],
        env={"PATH": os.environ["PATH"]},
        timeout_s=40,
        stop=Stop(),
        cwd=tmp_path,
        stdin=stdin,
        with_children=with_children,
    )
    pid = int((tmp_path / "pid").read_text())
    try:
        assert (done.returncode, done.stdout.decode(), done.stderr.decode()) == (code, out, err)
        assert is_running(pid)
    finally:
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("command", "stdin", "out"),
    [
        ("cat | wc -c", b"x" * 3_000_000, b"3000000\n"),
        ("cat", b"", b""),
        ("exec <&-; echo hi", b"x" * 3_000_000, b"hi\n"),
        ("exec >&- 2>&-; sleep 0.2", None, b""),
        ("head -c 3000000 /dev/zero", b"x" * 3_000_000, bytes(3_000_000)),
    ],
)
def test_all_that_is_written_and_read(command: str, stdin: bytes | None, out: bytes) -> None:
    environ = {"PATH": os.environ["PATH"]}
    done = process.run(["bash", "-c", command], env=environ, timeout_s=40, stop=Stop(), stdin=stdin)
    assert (done.returncode, done.stdout) == (0, out)


def test_no_process_is_started_without_saying_its_environment() -> None:
    """So that none inherits this program's keys by mistake."""
    starters = {"Popen", "run", "call", "check_call", "check_output", "create_subprocess_exec"}
    found = []
    source = Path(process.__file__).parents[1]
    for path in source.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            owner = ast.unparse(node.func.value)
            starts = node.func.attr in starters and "subprocess" in owner
            if owner == "os":
                starts = node.func.attr.startswith(("exec", "spawn", "posix_spawn", "system"))
            if starts and not any(each.arg == "env" for each in node.keywords):
                found.append(f"{path.relative_to(source)}:{node.lineno}")
    assert found == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
def test_nobody_else_reads_what_a_process_holds() -> None:
    code = (
        "import ctypes; from qwen_code.base.process import forbid_inspection; forbid_inspection();"
        "print(ctypes.CDLL(None).prctl(3))  # PR_GET_DUMPABLE"
    )
    environ = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True)
    assert done.stdout == b"0\n", done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
def test_its_children_cannot_read_it(require: Callable[[str, bool], None]) -> None:
    """As another user if this is root, which can read everything."""
    as_other: list[str] = []
    if os.geteuid() == 0:
        require("setpriv", shutil.which("setpriv") is not None)
        as_other = ["setpriv", "--reuid=65534", "--clear-groups"]
    code = (
        "import subprocess, sys; from qwen_code.base.process import forbid_inspection\n"
        "def look(): return subprocess.run(['bash', '-c', 'cat < /proc/$PPID/environ'],"
        " env={'PATH': '/usr/bin:/bin'}, capture_output=True).stdout\n"
        "assert b'canary' in look(); forbid_inspection(); sys.exit(b'canary' in look())"
    )
    environ = {"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.environ["PATH"], "A": "canary"}
    command = [*as_other, sys.executable, "-c", code]
    done = subprocess.run(command, env=environ, capture_output=True, cwd="/")
    assert done.returncode == 0, done.stderr
