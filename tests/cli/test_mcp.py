from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from typed import at_terminal

pytestmark = pytest.mark.process

SERVER = Path(__file__).parent.parent / "support" / "mcp_server.py"


class Machine:
    """The real command in a project of a home that is empty."""

    def __init__(self, root: Path) -> None:
        self.home, self.project = root / "home", root / "project"
        (self.project / ".git").mkdir(parents=True)
        self.settings = self.home / ".qwen" / "settings.json"
        self.project_file = self.project / ".mcp.json"
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
        }

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "qwen_code.cli.main", "mcp", *arguments],
            cwd=self.project,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
        )

    def typed(self, *arguments: str, answer: str, **env: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "qwen_code.cli.main", "mcp", *arguments]
        return at_terminal(command, typed=answer, env={**self.environ, **env}, cwd=self.project)

    def listed(self) -> dict[str, dict[str, Any]]:
        ended = self("list", "--json")
        assert ended.returncode == 0, ended.stderr
        return {line["name"]: line for line in json.loads(ended.stdout)}


@pytest.fixture
def qwen_mcp(tmp_path: Path, require: Callable[[str, bool], None]) -> Machine:
    require("mcp", find_spec("mcp") is not None)
    return Machine(tmp_path)


def test_a_server_is_added_listed_and_removed(qwen_mcp: Machine) -> None:
    added = qwen_mcp("add", "ours", "--trust", "-e", "A=b=c", sys.executable, str(SERVER), "")
    assert added.returncode == 0 and "Added ours" in added.stdout, added.stderr
    assert json.loads(qwen_mcp.settings.read_text())["mcpServers"] == {
        "ours": {
            "command": sys.executable,
            "args": [str(SERVER), ""],
            "env": {"A": "b=c"},
            "trust": True,
        }
    }
    qwen_mcp("add", "--timeout", "500", "gone", "--", "no-such", "--trust")
    listed = qwen_mcp.listed()
    assert (listed["ours"]["state"], listed["ours"]["trust"]) == ("connected", True)
    assert listed["ours"]["tools"] > 5
    assert (listed["gone"]["state"], listed["gone"]["tools"]) == ("failed", 0)
    assert listed["gone"]["target"] == "no-such --trust"
    text = qwen_mcp("list").stdout
    assert "ours: connected" in text and "no-such was not found" in text
    assert qwen_mcp("remove", "gone").returncode == 0
    assert qwen_mcp("remove", "gone").returncode == 52
    assert list(qwen_mcp.listed()) == ["ours"]


def test_what_is_written_elsewhere_in_the_file_stays(qwen_mcp: Machine) -> None:
    qwen_mcp.settings.parent.mkdir(parents=True)
    qwen_mcp.settings.write_text('{\n  // mine\n  "model": {"name": "m"}\n}\n')
    qwen_mcp("add", "a.b", "-H", "X-Key: $KEY", "https://host.example/mcp")
    text = qwen_mcp.settings.read_text()
    assert "// mine" in text and '"X-Key": "$KEY"' in text and '"a.b"' in text
    assert "Replaced" in qwen_mcp("add", "a.b", "--transport", "http", "https://host/mcp").stdout
    qwen_mcp("remove", "a.b")
    assert "// mine" in qwen_mcp.settings.read_text()
    assert "a.b" not in qwen_mcp.settings.read_text()


@pytest.mark.parametrize(
    ("arguments", "entry"),
    [
        (
            ("--transport", "sse", "x", "http://localhost:8080/sse", "--timeout", "30000"),
            {"url": "http://localhost:8080/sse", "type": "sse", "timeout": 30000},
        ),
        (
            ("--transport", "sse", "x", "https://h.example/sse/"),
            {"url": "https://h.example/sse/", "type": "sse"},
        ),
        (
            ("x", "-t", "http", "https://h.example/mcp", "--header", "X-A: b", "--trust"),
            {
                "httpUrl": "https://h.example/mcp",
                "type": "http",
                "headers": {"X-A": "b"},
                "trust": True,
            },
        ),
        (
            ("--scope", "user", "x", "npx", "-y", "@a/b@0.1.6", "--timeout", "5"),
            {"command": "npx", "args": ["-y", "@a/b@0.1.6", "--timeout", "5"]},
        ),
        (
            ("x", "fetch", "https://h.example", "--timeout", "5"),
            {"command": "fetch", "args": ["https://h.example", "--timeout", "5"]},
        ),
        (
            (
                *("x", "--include-tools", "a, b", "--include-tools", "c", "--exclude-tools", "d"),
                *("--description", "of x", "server"),
            ),
            {
                "command": "server",
                "includeTools": ["a", "b", "c"],
                "excludeTools": ["d"],
                "description": "of x",
            },
        ),
        (
            (
                *("x", "https://h.example/mcp", "--oauth-client-id", "id", "--oauth-scopes", "a,b"),
                *("--oauth-client-secret", "$S", "--oauth-redirect-uri", "http://127.0.0.1:1/cb"),
            ),
            {
                "url": "https://h.example/mcp",
                "oauth": {
                    "clientId": "id",
                    "clientSecret": "$S",
                    "redirectUri": "http://127.0.0.1:1/cb",
                    "scopes": ["a", "b"],
                },
            },
        ),
    ],
)
def test_options_as_other_programs_have_them(
    qwen_mcp: Machine, arguments: tuple[str, ...], entry: dict[str, Any]
) -> None:
    done = qwen_mcp("add", *arguments)
    assert done.returncode == 0, done.stderr
    assert json.loads(qwen_mcp.settings.read_text())["mcpServers"] == {"x": entry}


def test_a_projects_server_is_asked_for(qwen_mcp: Machine) -> None:
    touched = qwen_mcp.project / "touched"
    table = {"theirs": {"command": "touch", "args": [str(touched)], "trust": True}}
    qwen_mcp.project_file.write_text(json.dumps({"mcpServers": table}))
    line = qwen_mcp.listed()["theirs"]
    assert (line["state"], line["scope"], line["trust"]) == ("not trusted", "project", False)
    assert line["reason"] == "to trust it: qwen mcp trust theirs" and not touched.exists()
    assert "needs a terminal" in qwen_mcp("trust", "theirs").stderr
    code, screen = qwen_mcp.typed("trust", "theirs", answer="y\n", QWEN_CODE="1")
    assert code == 2 and "by a command that the model runs" in screen
    code, screen = qwen_mcp.typed("trust", "theirs", answer="n\n")
    assert f"touch {touched}" in screen and qwen_mcp.listed()["theirs"]["state"] == "not trusted"
    code, screen = qwen_mcp.typed("trust", "theirs", answer="y\n")
    assert code == 0 and "Trusted in" in screen
    assert qwen_mcp.listed()["theirs"]["state"] == "failed" and touched.exists()
    table["theirs"]["args"] = [str(qwen_mcp.project / "other")]
    qwen_mcp.project_file.write_text(json.dumps({"mcpServers": table}))
    assert qwen_mcp.listed()["theirs"]["state"] == "not trusted"
    assert qwen_mcp("trust", "nobody").returncode == 52


@pytest.mark.parametrize("scope", ["project", "user"])
def test_trust_covers_the_file_that_a_server_runs(qwen_mcp: Machine, scope: str) -> None:
    """Also that of a server in the user's own settings which names a file of whatever project it
    is started in."""
    script = qwen_mcp.project / "tools" / "server.py"
    script.parent.mkdir()
    script.write_text("open('ran', 'w')")
    table = {
        "theirs": {"command": sys.executable, "args": ["tools/server.py"], "env": {"A": "b\n"}}
    }
    file = qwen_mcp.project_file if scope == "project" else qwen_mcp.settings
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"mcpServers": table}))
    assert qwen_mcp.listed()["theirs"]["state"] == "not trusted"
    _, screen = qwen_mcp.typed("trust", "theirs", answer="y\n")
    assert "file tools/server.py (sha256 " in screen and 'variable A="b\\n"' in screen
    assert not (qwen_mcp.project / "ran").exists()
    assert qwen_mcp.listed()["theirs"]["state"] == "failed"
    assert (qwen_mcp.project / "ran").exists()
    (qwen_mcp.project / "ran").unlink()
    script.write_text("open('ran', 'w')  # changed")
    assert qwen_mcp.listed()["theirs"]["state"] == "not trusted"
    assert not (qwen_mcp.project / "ran").exists()


def test_what_one_adds_to_a_project_one_trusts(qwen_mcp: Machine) -> None:
    added = qwen_mcp("add", "ours", "-s", "project", sys.executable, str(SERVER))
    assert added.returncode == 0, added.stderr
    assert qwen_mcp.project_file.stat().st_mode & 0o777 == 0o644
    assert qwen_mcp.listed()["ours"]["state"] == "connected"
    assert sorted(p.name for p in qwen_mcp.project.iterdir()) == [".git", ".mcp.json"]
    assert "Removed ours" in qwen_mcp("remove", "ours").stdout


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["add"], 2),
        (["add", "name"], 2),
        (["add", "a\nb", "command"], 52),
        (["add", "a", "-e", "novalue", "command"], 2),
        (["add", "a", "-H", "novalue", "https://host"], 2),
        (["add", "a", "-e", "A=1", "https://host"], 2),
        (["add", "a", "-t", "http", "not-a-url"], 52),
        (["add", "a", "https://host", "word"], 2),
        (["add", "a", "--oauth-client-id", "i", "command"], 2),
        (["add", "a", "https://host", "--oauth-token-url", "https://t"], 2),
    ],
)
def test_what_cannot_be_added_is_not(qwen_mcp: Machine, arguments: list[str], code: int) -> None:
    ended = qwen_mcp(*arguments)
    assert ended.returncode == code and ended.stderr.startswith("qwen: "), ended
    assert not qwen_mcp.settings.exists()


def test_nothing_is_defined(qwen_mcp: Machine) -> None:
    assert "No servers are defined" in qwen_mcp("list").stdout
    assert qwen_mcp.listed() == {}
