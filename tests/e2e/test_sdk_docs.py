"""The programs of ``docs/sdk.md`` run as they stand there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import node_qwen
import pytest
from model_server import FakeModelServer
from sdk_programs import executable

_PAGE = Path(__file__).parents[2] / "docs" / "sdk.md"


def program(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", _PAGE.read_text(), re.DOTALL)
    return str(found)


@pytest.fixture
def environ(qwen: Any, server: FakeModelServer, tmp_path: Path) -> dict[str, str]:
    path = f"{executable(tmp_path).parent}:{qwen.environ['PATH']}"
    login = {"LLAMA_API_KEY": "sk-1", "LLAMA_API_BASE_URL": server.base_url}
    return {**qwen.environ, **login, "LLAMA_API_MODEL": "only-model", "PATH": path}


def test_the_program_in_python(
    environ: dict[str, str], qwen: Any, server: FakeModelServer, calls: Any
) -> None:
    server.script = [
        calls("write_file", path="NOTES.md", content="x"),
        calls("write_file", path="setup.py", content="x"),
        [{"content": "Written."}],
    ]
    done = subprocess.run(
        [sys.executable, "-c", program("python")],
        env=environ,
        cwd=qwen.project,
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    assert done.stdout.endswith("Written.\n")
    assert done.stderr == ""
    assert {path.name for path in qwen.project.iterdir()} == {"NOTES.md"}
    assert "Only Markdown files may be written." in server.prompts[-1]


def test_the_program_in_typescript(
    environ: dict[str, str],
    qwen: Any,
    server: FakeModelServer,
    calls: Any,
    tmp_path: Path,
    require: Any,
) -> None:
    require("node-qwen", node_qwen.is_installed())
    (tmp_path / "node_modules").symlink_to(node_qwen.NODE_MODULES)
    script = tmp_path / "program.mjs"
    script.write_text(program("javascript"))
    server.script = [calls("mcp__shop__price", article="tea"), [{"content": "3 EUR."}]]
    done = subprocess.run(
        [node_qwen.NODE, script],
        env=environ,
        cwd=qwen.project,
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    assert done.stdout.endswith("3 EUR.\n")
    assert server.prompts[-1] == "tea: 3 EUR"
