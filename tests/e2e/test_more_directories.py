"""A workspace of several directories: what is shown, allowed and denied in the others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Calls = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def other(qwen: Any, endpoint: None) -> Path:
    (qwen.project / ".git").mkdir()
    folder: Path = qwen.home / "other"
    for root in (qwen.project, folder):
        (root / "src").mkdir(parents=True)
        (root / "src" / "a.txt").write_text("needle\n")
        (root / "run.sh").write_text("#!/bin/sh\necho ran > ran\n")
        (root / "run.sh").chmod(0o755)
    return folder


class Session:
    def __init__(self, qwen: Any, server: Any, calls: Calls, other: Path) -> None:
        self._qwen, self._server, self._calls, self._other = qwen, server, calls, other

    def __call__(self, rules: dict[str, list[str]], tool: str, *more: str, **given: Any) -> str:
        """What the model is told of a call."""
        self._qwen.write("~/.qwen/settings.json", json.dumps({"permissions": rules}))
        arguments = {k: str(v).replace("OTHER", str(self._other)) for k, v in given.items()}
        self._server.script = [self._calls(tool, **arguments)]
        done = self._qwen(*more, "--include-directories", str(self._other), "-p", "go")
        assert done.returncode == 0, done.stderr
        told = [m for m in self._server.requests[-1].body["messages"] if m["role"] == "tool"]
        return str(told[-1]["content"])


@pytest.fixture
def session(qwen: Any, server: Any, calls: Calls, other: Path) -> Session:
    return Session(qwen, server, calls, other)


@pytest.mark.parametrize("rule", ["Edit(~/other/**)", "Edit(/OTHER/**)", "Write(~/other/*)"])
def test_a_rule_allows_changes_there(session: Session, other: Path, rule: str) -> None:
    rules = {"allow": [rule.replace("OTHER", str(other))]}
    told = session(rules, "write_file", path="OTHER/new.txt", content="x")
    assert told == f"Created {other}/new.txt (1 line)."
    assert (other / "new.txt").read_text() == "x"


@pytest.mark.parametrize("rule", ["Edit(src/**)", "Edit(./src/**)", "Edit(/src/**)"])
def test_a_rule_for_here_allows_nothing_there(session: Session, other: Path, rule: str) -> None:
    told = session({"allow": [rule]}, "write_file", path="OTHER/src/new.txt", content="x")
    assert "Not allowed" in told and not (other / "src" / "new.txt").exists()


@pytest.mark.parametrize("rule", ["Edit(~/other/**)", "Edit(/OTHER/src/**)", "Edit(*.txt)"])
def test_a_rule_forbids_changes_there(session: Session, other: Path, rule: str) -> None:
    rules = {"deny": [rule.replace("OTHER", str(other))]}
    told = session(rules, "write_file", "--yolo", path="OTHER/src/new.txt", content="x")
    assert "denies it" in told and not (other / "src" / "new.txt").exists()


@pytest.mark.parametrize("rule", ["Bash(./run.sh)", "Bash(./run.sh *)"])
def test_a_rule_for_a_program_here_is_not_about_one_there(
    qwen: Any, session: Session, other: Path, rule: str
) -> None:
    rules = {"allow": [rule]}
    told = session(rules, "run_shell_command", command="./run.sh", directory="OTHER")
    assert "Not allowed" in told and not (other / "ran").exists()
    session(rules, "run_shell_command", command="./run.sh")
    assert (qwen.project / "ran").exists()


@pytest.mark.parametrize(
    ("tool", "given", "expected"),
    [
        ("grep", {"pattern": "needle", "path": "OTHER"}, "OTHER/src/a.txt:1:needle"),
        ("glob", {"pattern": "**/a.txt", "path": "OTHER"}, "OTHER/src/a.txt"),
        ("grep", {"pattern": "needle"}, "src/a.txt:1:needle"),
        ("glob", {"pattern": "**/a.txt"}, "src/a.txt"),
    ],
)
def test_what_is_found_can_be_opened(
    session: Session, other: Path, tool: str, given: dict[str, str], expected: str
) -> None:
    assert session({}, tool, **given) == expected.replace("OTHER", str(other))
