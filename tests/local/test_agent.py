"""The real program with the real embedded model: it calls a tool and answers from its result."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.local_model


@pytest.fixture
def ask(model_path: Path, child_environ: dict[str, str], tmp_path: Path) -> Any:
    home, project = tmp_path / "home", tmp_path / "project"
    (home / ".qwen").mkdir(parents=True)
    (home / ".qwen" / "models").symlink_to(model_path.parent)
    project.mkdir()
    (project / "notes.txt").write_text("The meeting is on Tuesday.\nBring the zebra.\n")
    (project / "app.py").write_text("def parse_config(text):\n    return text\n")

    def run(prompt: str, *options: str) -> list[dict[str, Any]]:
        program = [sys.executable, "-P", "-m", "qwen_code.cli.main", "--auth-type", "local"]
        done = subprocess.run(
            [*program, *options, "--output-format", "stream-json", "-p", prompt],
            cwd=project,
            env={**child_environ, "HOME": str(home)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    return run


def blocks(lines: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [
        block
        for line in lines
        if line["type"] in ("assistant", "user")
        for block in line["message"]["content"]
        if isinstance(block, dict) and block["type"] == kind
    ]


def test_it_reads_a_file_and_answers_from_it(ask: Any) -> None:
    lines = ask("Look at notes.txt. When is the meeting?")
    (call,) = blocks(lines, "tool_use")
    assert (call["name"], call["input"]["path"]) == ("read_file", "notes.txt")
    (result,) = blocks(lines, "tool_result")
    assert "zebra" in str(result["content"])
    assert "Tuesday" in lines[-1]["result"]


@pytest.mark.long
def test_it_runs_a_command_only_where_that_is_allowed(ask: Any) -> None:
    prompt = "Run `echo from-the-shell`"
    (refused,) = blocks(ask(prompt), "tool_result")
    assert "Not allowed" in str(refused["content"])
    (ran,) = blocks(ask(prompt, "--allowed-tools", "run_shell_command(echo)"), "tool_result")
    assert "from-the-shell" in str(ran["content"])


@pytest.mark.long
def test_a_question_about_nothing_here_calls_nothing(ask: Any) -> None:
    lines = ask("Write a Python function that adds two numbers")
    assert not blocks(lines, "tool_use")
    assert "def add" in lines[-1]["result"]
