"""``qwen mcp login`` by authorization code, in a terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_resource import FakeResource

pytestmark = pytest.mark.process


class NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


class Terminal:
    """The real command with a terminal of its own, at a server that offers codes only."""

    def __init__(self, root: Path, server: FakeResource) -> None:
        self.server = server
        self.home = root / "home"
        project = root / "project"
        project.mkdir()
        entry = {"httpUrl": server.url, "oauth": {"redirectUri": "http://localhost/back"}}
        (self.home / ".qwen").mkdir(parents=True)
        settings = json.dumps({"mcpServers": {"ours": entry}})
        (self.home / ".qwen" / "settings.json").write_text(settings)
        self.keyboard, line = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "qwen_code.cli.main", "mcp", "login", "ours", "--no-browser"],
            cwd=project,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
                "HOME": str(self.home),
                "TERM": "xterm",
            },
            stdin=line,
            stdout=line,
            stderr=line,
        )
        os.close(line)
        self.shown = ""

    def until(self, is_so: Callable[[], object]) -> None:
        deadline = time.monotonic() + 30
        while not is_so():
            assert time.monotonic() < deadline, self.shown
            if select.select([self.keyboard], [], [], 0.1)[0]:
                try:
                    self.shown += os.read(self.keyboard, 65536).decode()
                except OSError:  # the command has ended
                    return

    def type(self, text: str) -> None:
        os.write(self.keyboard, f"{text}\n".encode())

    @property
    def address(self) -> str:
        self.until(lambda: "press Enter" in self.shown)
        found = re.search(rf"{self.server.base}/authorize\?[^\x1b\s]+", self.shown)
        assert found, self.shown
        return found[0]

    def landing(self) -> str:
        """Where a browser on another machine ends, which cannot open that page."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), NoRedirects())
        with pytest.raises(urllib.error.HTTPError) as caught:
            opener.open(self.address, timeout=10)
        with caught.value as answer:
            return str(answer.headers["location"])

    def end(self) -> int:
        self.until(lambda: self.process.poll() is not None)
        return self.process.wait(30)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    server = FakeResource()
    each = Terminal(tmp_path, server)
    yield each
    each.process.kill()
    each.process.wait()
    os.close(each.keyboard)
    server.close()


def test_the_address_is_pasted(terminal: Terminal) -> None:
    landing = terminal.landing()
    assert re.match(r"http://localhost:\d+/back\?code=", landing)
    terminal.type("http://elsewhere.example/back?code=x")
    terminal.until(lambda: "That is not the answer" in terminal.shown)
    terminal.type(landing)
    assert terminal.end() == 0, terminal.shown
    assert "Signed in at" in terminal.shown
    assert (terminal.home / ".qwen" / "mcp" / "ours.json").exists()


def test_a_refusal_is_told(terminal: Terminal) -> None:
    terminal.server.answer = {"error": "access_denied", "code": None}
    terminal.type(terminal.landing())
    assert terminal.end() == 41
    assert "refused in the browser" in terminal.shown
    assert "Run: qwen mcp login ours" in terminal.shown


def test_ctrl_c_cancels(terminal: Terminal) -> None:
    assert terminal.address
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.end() == 130
    assert "Traceback" not in terminal.shown
    assert not (terminal.home / ".qwen" / "mcp" / "ours.json").exists()
