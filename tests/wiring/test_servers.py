"""Which MCP servers a session starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from qwen_code.base.errors import QwenError
from qwen_code.config.load import Config
from qwen_code.wiring.servers import GivenServers, open_servers

pytestmark = pytest.mark.process


def load(cwd: Path) -> Config:
    return Config.load(os.environ, cwd)


def test_without_servers_nothing_of_them_is_imported(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from qwen_code.wiring.servers import open_servers;"
        "from qwen_code.config.load import Config;"
        "found = Config.load({'HOME': sys.argv[1]}, pathlib.Path(sys.argv[1]));"
        "assert open_servers(found, print) is None;"
        "print([m for m in sys.modules if m == 'mcp' or m.startswith(('qwen_code.mcp.', 'asyncio'))])"
    )
    environ = {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = [sys.executable, "-c", code, str(tmp_path)]
    ended = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=30)
    assert ended.stdout == "[]\n", ended.stderr


def test_a_projects_server_costs_a_notice_and_is_not_started(
    tmp_path: Path, require: Callable[[str, bool], None]
) -> None:
    require("mcp", find_spec("mcp") is not None)
    touched = tmp_path / "touched"
    (tmp_path / ".mcp.json").write_text(
        json.dumps({"mcpServers": {"theirs": {"command": "touch", "args": [str(touched)]}}})
    )
    settings = tmp_path / "home" / ".qwen" / "settings.json"
    settings.parent.mkdir()
    settings.write_text('{"mcpServers": {"mine": {"command": "no-such-command"}}}')
    said: list[str] = []
    servers = open_servers(load(tmp_path), said.append)
    assert servers is not None
    with servers:
        assert servers.tools() == []
    assert not touched.exists() and len(said) == 2
    assert "qwen mcp trust theirs" in said[0] and "no-such-command" in said[1]


def test_a_server_gets_the_token_that_its_definition_names_and_no_other(
    tmp_path: Path, require: Callable[[str, bool], None]
) -> None:
    require("mcp", find_spec("mcp") is not None)
    seen = tmp_path / "seen"
    settings = tmp_path / ".qwen" / "settings.json"
    settings.parent.mkdir()
    definition = {
        "command": "sh",
        "args": ["-c", f"env > {seen}"],
        "env": {"FORGE": "$FORGE_TOKEN", "MODEL": "${OPENAI_API_KEY:-none}"},
    }
    settings.write_text(json.dumps({"mcpServers": {"forge": definition}}))
    secrets = {"FORGE_TOKEN": "a", "OTHER_TOKEN": "b", "OPENAI_API_KEY": "sk-canary"}
    environ = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], **secrets}
    servers = open_servers(Config.load(environ, tmp_path), lambda _line: None)
    assert servers is not None
    with servers:
        servers.tools()
    lines = set(seen.read_text().splitlines())
    assert {"FORGE=a", "MODEL=none"} <= lines
    assert not [line for line in lines if line.startswith(tuple(secrets))]


def refused(server: str, message: Mapping[str, Any]) -> Future[Mapping[str, Any]]:
    answer: Future[Mapping[str, Any]] = Future()
    answer.set_exception(QwenError("not found"))
    return answer


def names_of(tmp_path: Path, given: GivenServers, settings: str = "{}") -> tuple[set[str], str]:
    """The servers that are started, and what is said."""
    file = tmp_path / "home" / ".qwen" / "settings.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(settings)
    said: list[str] = []
    servers = open_servers(load(tmp_path), said.append, given=given)
    assert servers is not None
    with servers:
        return {state.name for state in servers.states()}, "\n".join(said)


def test_servers_of_the_program(tmp_path: Path, require: Callable[[str, bool], None]) -> None:
    require("mcp", find_spec("mcp") is not None)
    entries = {
        "docs": {"command": "no-such-command"},
        "odd": {"tcp": "1"},
        "wrong": 5,
        "shop__cheap": {"command": "no-such-command"},
    }
    given = GivenServers(entries, ("shop", "my shop"), refused)
    names, said = names_of(tmp_path, given)
    assert names == {"docs", "shop", "my shop"}
    assert given.rules == ("mcp__shop", "mcp__my_shop")
    for name in ("odd", "wrong", "shop__cheap"):
        assert name in said


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ('{"mcp": {"excluded": ["shop"]}}', {"docs"}),
        ('{"mcp": {"allowed": ["shop"]}}', {"shop"}),
        ('{"mcpServers": {"shop__x": {"command": "no-such-command"}}}', {"docs", "shop"}),
        ('{"mcpServers": {"shop": {"command": "no-such-command"}}}', {"docs", "shop"}),
    ],
)
def test_settings_hold_for_servers_of_the_program(
    tmp_path: Path, require: Callable[[str, bool], None], settings: str, names: set[str]
) -> None:
    """Also that no other server's tools are taken for those of the program."""
    require("mcp", find_spec("mcp") is not None)
    given = GivenServers({"docs": {"command": "no-such-command"}}, ("shop",), refused)
    assert names_of(tmp_path, given, settings)[0] == names
