"""Projects and models that hand in what never ends or multiplies: the program goes on, and Ctrl-C
always ends it.

How soon is bounded generously here; what these bounds are about takes forever.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from waiting import until

Calls = Callable[..., list[dict[str, Any]]]
Make = Callable[[Path], None]

_READ_AT_START = (
    *("QWEN.md", "AGENTS.md", ".env", ".qwen/.env", ".qwen/settings.json", ".mcp.json"),
    *(".qwenignore", ".git", ".git/HEAD", ".qwen/commands", ".qwen/commands/a.md"),
)
_WITHIN_S = 30


pytestmark = pytest.mark.usefixtures("endpoint")


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(8 << 30)  # takes no space


@pytest.mark.parametrize("make", [_pipe, _endless, _huge])
@pytest.mark.parametrize("name", _READ_AT_START)
def test_what_is_not_a_file_of_usual_size_does_not_block(
    qwen: Any, server: Any, name: str, make: Make
) -> None:
    path = qwen.project / name
    path.parent.mkdir(parents=True, exist_ok=True)
    make(path)
    done = qwen("-p", "hi")
    assert "Traceback" not in done.stderr and "internal error" not in done.stderr
    if name == ".qwen/settings.json":
        assert done.returncode == 52 and str(path) in done.stderr
    else:
        assert done.returncode == 0 and len(server.requests) == 1, done.stderr


def _notes_that_import_each_other(project: Path) -> None:
    names = "\n".join(f"@./n{n}.md" for n in range(2000))
    for n in range(200):
        (project / f"n{n}.md").write_text(names)
    (project / "QWEN.md").write_text(names)


def _notes_of_signs(project: Path) -> None:
    (project / "QWEN.md").write_text("@a/" * 20_000 + "`" * 20_000 + "@" * 20_000)


def _variables_that_double(project: Path) -> None:
    lines = ["A0=x", *(f"A{n}=${{A{n - 1}}}${{A{n - 1}}}" for n in range(1, 5000))]
    (project / ".env").write_text("\n".join(lines))


def _deep_json(project: Path) -> None:
    (project / ".mcp.json").write_text('{"a":' * 100_000)


def _many_hooks(project: Path) -> None:
    hook = {"matcher": "(a+)+$", "hooks": [{"type": "command", "command": "./x"}]}
    (project / ".qwen").mkdir()
    settings = {"hooks": {"PreToolUse": [hook] * 5000}}
    (project / ".qwen" / "settings.json").write_text(json.dumps(settings))


def _rules_that_multiply(project: Path) -> None:
    rules = [f"Read({'{a,b}' * 40})", f"Bash({'*a' * 400})", f"Edit({'**/' * 200})"]
    (project / ".qwen").mkdir()
    settings = {"permissions": {"deny": rules}}
    (project / ".qwen" / "settings.json").write_text(json.dumps(settings))


def _directories_in_a_circle(project: Path) -> None:
    (project / ".qwen" / "commands").mkdir(parents=True)
    (project / ".qwen" / "commands" / "self").symlink_to(".")


def _ignore_patterns(project: Path) -> None:
    (project / ".qwenignore").write_text("*a*a*a*a*a*a*a*a*b\n" * 1000 + "[" * 10_000)
    for n in range(50):
        (project / f"{'a' * 200}{n}").touch()


@pytest.mark.parametrize(
    "make",
    [
        _notes_that_import_each_other,
        _notes_of_signs,
        _variables_that_double,
        _deep_json,
        _many_hooks,
        _rules_that_multiply,
        _directories_in_a_circle,
        _ignore_patterns,
    ],
)
def test_what_multiplies_does_not_block(qwen: Any, server: Any, calls: Calls, make: Make) -> None:
    make(qwen.project)
    server.script = [calls("list_directory"), calls("run_shell_command", command="echo ab")]
    done = qwen("--yolo", "-p", "hi")
    assert done.returncode == 0, done.stderr
    assert len(server.requests) == 3 and "Traceback" not in done.stderr


@pytest.fixture
def large(qwen: Any) -> Path:
    """A project with large and odd files."""
    project: Path = qwen.project
    os.mkfifo(project / "pipe")
    _huge(project / "huge")
    (project / "line").write_text("a" * 5_000_000)
    (project / "lines").write_text("a foo b\n" * 500_000)
    (project / "circle").symlink_to(".")
    return project


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("read_file", {"path": "pipe"}),
        ("read_file", {"path": "huge"}),
        ("read_file", {"path": "circle/" * 500 + "line"}),
        ("edit", {"path": "line", "old_string": "a" * 50_000 + "b", "new_string": "c"}),
        ("edit", {"path": "lines", "old_string": "a fo b\n" * 2000, "new_string": "c"}),
        ("edit", {"path": "lines", "old_string": "foo", "new_string": "c", "replace_all": True}),
        ("write_file", {"path": "lines", "content": "a fox b\n" * 300_000}),
        ("glob", {"pattern": "{a,b}" * 40}),
        ("glob", {"pattern": "**/" * 500}),
        ("grep", {"pattern": "(a|aa)+$", "path": "line"}),
        ("grep", {"pattern": "a{1000}{1000}"}),
        ("grep", {"pattern": "a", "path": "huge"}),
        ("grep", {"pattern": "a", "path": "pipe"}),
        ("run_shell_command", {"command": "sleep 1000"}),
        ("run_shell_command", {"command": "cat pipe"}),
        ("run_shell_command", {"command": "cat /dev/zero"}),
        ("run_shell_command", {"command": "trap '' INT TERM; yes"}),
        ("run_shell_command", {"command": "(" * 50_000}),
        ("run_shell_command", {"command": '"' * 50_001}),
        ("run_shell_command", {"command": "env " * 20_000 + "ls"}),
        ("run_shell_command", {"command": "$(" * 10_000}),
    ],
)
def test_ctrl_c_ends_a_call_whatever_it_does(
    qwen: Any, server: Any, calls: Calls, large: Path, tool: str, arguments: dict[str, Any]
) -> None:
    qwen.write(
        "~/.qwen/settings.json", '{"permissions": {"deny": ["Bash(rm *)", "Bash(*a*b*c*)"]}}'
    )
    server.script = [calls(tool, **arguments)]
    process = qwen.start("--yolo", "-p", "hi")
    try:
        until(lambda: server.requests)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=_WITHIN_S)
    finally:
        process.kill()
    assert process.returncode in (0, 130), errors  # 0: the call had ended already
    assert b"Traceback" not in errors and b"internal error" not in errors
