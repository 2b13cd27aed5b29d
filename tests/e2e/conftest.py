"""The real ``qwen`` in a separate process, and a model server that reports what it was sent."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from model_server import FakeModelServer, call
from node_qwen import NodeQwen, is_installed


@pytest.fixture
def calls() -> Callable[..., list[dict[str, Any]]]:
    """Writes an answer that calls a tool."""
    return call


@pytest.fixture
def new_server() -> Iterator[Callable[..., FakeModelServer]]:
    """Start another server; all are closed at the end."""
    servers: list[FakeModelServer] = []

    def start(host: str = "127.0.0.1") -> FakeModelServer:
        servers.append(FakeModelServer(host))
        return servers[-1]

    yield start
    for each in servers:
        each.close()


@pytest.fixture
def server(new_server: Callable[..., FakeModelServer]) -> FakeModelServer:
    return new_server()


@pytest.fixture
def endpoint(qwen: Qwen, server: FakeModelServer) -> None:
    """The environment names the server, with a key and a model."""
    qwen.environ |= {
        "OPENAI_BASE_URL": server.base_url,
        "OPENAI_API_KEY": "sk-endpoint-0123456789",
        "OPENAI_MODEL": "m",
    }


class Qwen:
    """Runs ``qwen`` with an environment, a home and a directory of the test's own."""

    def __init__(self, root: Path) -> None:
        self.home = root / "home"
        self.project = root / "work" / "project"
        self.project.mkdir(parents=True)
        self.environ: dict[str, str] = {
            "HOME": str(self.home),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            "https_proxy": "http://127.0.0.1:9",
            "http_proxy": "http://127.0.0.1:9",
        }

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", "qwen_code.cli.main"]

    def __call__(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: bytes | None = None,
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*self.command, *arguments],
            env={**self.environ, **(env or {})},
            cwd=cwd or self.project,
            input=stdin if stdin is not None else b"",
            capture_output=True,
            timeout=50,
            check=False,
        )
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
        )

    def start(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        output: int = subprocess.PIPE,
        stdin: int = subprocess.DEVNULL,
    ) -> subprocess.Popen[bytes]:
        """A run that is left going; both of its outputs go to ``output``."""
        return subprocess.Popen(
            [*self.command, *arguments],
            env={**self.environ, **(env or {})},
            cwd=self.project,
            stdin=stdin,
            stdout=output,
            stderr=output,
        )

    def write(self, place: str, text: str) -> Path:
        """A file: ``~/…`` in the home directory, else in the project."""
        path = self.home / place[2:] if place.startswith("~/") else self.project / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path


@pytest.fixture
def qwen(tmp_path: Path) -> Qwen:
    return Qwen(tmp_path)


@pytest.fixture
def node(qwen: Qwen, tmp_path: Path, require: Callable[[str, bool], None]) -> NodeQwen:
    """Node Qwen Code in the same home and project."""
    require("node-qwen", is_installed())
    return NodeQwen(tmp_path, qwen.home, qwen.project)
