from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qwen_code.base.stop import Stop
from qwen_code.tools.base import Result
from qwen_code.tools.seen import Seen
from qwen_code.tools.shell import RunShellCommand
from qwen_code.tools.workspace import Workspace


@pytest.fixture
def project(tmp_path: Path) -> Path:
    project = tmp_path / "project"
    (project / "src").mkdir(parents=True)
    (project / "src" / "a.py").write_text("inside")
    (tmp_path / "secret").write_text("outside")
    return project


@pytest.fixture
def workspace(project: Path) -> Workspace:
    return Workspace(project)


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def environ() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]}


@pytest.fixture
def shell(
    workspace: Workspace, environ: dict[str, str], tmp_path: Path
) -> Iterator[RunShellCommand]:
    tool = RunShellCommand(workspace, environ, tmp_path / "output")
    yield tool
    tool.close()


@pytest.fixture
def call() -> Callable[..., Result]:
    """Call a tool as the model does: with JSON."""
    import json

    def run(
        tool: Any,
        show: Callable[[str], None] = lambda _: None,
        stop: Stop | None = None,
        **arguments: Any,
    ) -> Result:
        result: Result = tool.run(tool.parse(json.dumps(arguments)), show, stop or Stop())
        return result

    return run
