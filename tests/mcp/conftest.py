"""Servers of the tests' own, and a session that has some."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from qwen_code.base.stop import Stop
from qwen_code.mcp.client import Servers
from qwen_code.mcp.context import ServerContext
from qwen_code.mcp.entries import parse_servers

SERVER = Path(__file__).parent.parent / "support" / "mcp_server.py"


class Session:
    """Some servers, and what was said of them."""

    def __init__(self, table: Mapping[str, Any], root: Path, **options: Any) -> None:
        self.said: list[str] = []
        self.logs = root / "logs"
        ask = options.pop("ask", None)
        given: dict[str, Any] = {
            "environ": {
                "PATH": os.environ["PATH"],
                "HOME": str(root),
                "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
            },
            "variables": {},
            "cwd": root,
            "logs_dir": self.logs,
            "version": "0",
            **options,
        }
        context = ServerContext(**given)
        specs = parse_servers(table, "settings.json")
        self.servers = Servers(specs, context, self.said.append, ask=ask)

    def call(self, name: str, arguments: str = "{}", show: Any = lambda _: None) -> Any:
        tool: Any = {tool.definition.name: tool for tool in self.servers.tools()}[name]
        return tool.run(tool.parse(arguments), show, Stop())


@pytest.fixture
def open_servers(tmp_path: Path, require: Callable[[str, bool], None]) -> Iterator[Any]:
    """Open a session with the servers of a table; all are closed with the test."""
    require("mcp", find_spec("mcp") is not None)
    sessions: list[Session] = []

    def start(table: Mapping[str, Any], **options: Any) -> Session:
        sessions.append(Session(table, tmp_path, **options))
        return sessions[-1]

    yield start
    for session in sessions:
        session.servers.close()


@pytest.fixture
def stdio() -> Callable[..., dict[str, Any]]:
    """The entry of a server of ours, with a fault if one is named."""

    def entry(*arguments: str, **more: Any) -> dict[str, Any]:
        return {"command": sys.executable, "args": [str(SERVER), *arguments], **more}

    return entry


@pytest.fixture
def start_http(require: Callable[[str, bool], None]) -> Iterator[Callable[..., str]]:
    """Start the server on a port, and give its address."""
    require("mcp", find_spec("mcp") is not None)
    running: list[subprocess.Popen[bytes]] = []

    def start(**environ: str) -> str:
        process = subprocess.Popen(
            [sys.executable, SERVER, "--http"],
            stdout=subprocess.PIPE,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
                **environ,
            },
        )
        running.append(process)
        assert process.stdout is not None
        return process.stdout.readline().decode().strip()

    yield start
    for process in running:
        process.kill()
        process.communicate()
