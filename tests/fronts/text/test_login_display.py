from __future__ import annotations

import os
import pty
from collections.abc import Iterator
from typing import Any

import pytest

from qwen_code.fronts.text.login_display import LineDisplay, TerminalDisplay

URL = "https://id.example/authorize?state=s"
BROWSER = {"BROWSER": "true"}


@pytest.mark.parametrize(
    ("environ", "browser", "expected"),
    [
        (BROWSER, True, True),
        (BROWSER, False, False),
        ({**BROWSER, "SSH_CONNECTION": "x"}, True, False),
        ({**BROWSER, "CI": "true"}, True, False),
        ({"BROWSER": "none"}, True, False),
    ],
)
def test_when_a_browser_would_be_opened(
    environ: dict[str, str], browser: bool, expected: bool
) -> None:
    display = LineDisplay(lambda _: None, environ, browser=browser)
    assert display.can_open_browser() is expected


def test_the_address_is_one_whole_line() -> None:
    written: list[str] = []
    LineDisplay(written.append, {}, browser=True).show_address(URL)
    text = "".join(written)
    assert f"\n  {URL}\n" in text and "Opening it" not in text and "paste" not in text


class Terminal:
    """A terminal on standard input, which a test types into."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.keyboard, self.line = pty.openpty()
        self.written: list[str] = []
        stdin: Any = os.fdopen(self.line, "rb", closefd=False)
        monkeypatch.setattr("sys.stdin", stdin)
        self.display = TerminalDisplay(self.written.append, {}, browser=True)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    each = Terminal(monkeypatch)
    yield each
    os.close(each.line)


def test_a_line_can_be_pasted(terminal: Terminal) -> None:
    terminal.display.show_address(URL)
    assert "paste here the address" in "".join(terminal.written)
    assert terminal.display.pasted(0.01) is None
    os.write(terminal.keyboard, b"http://127.0.0.1:1/callback?")
    assert terminal.display.pasted(0.01) is None  # Enter was not pressed yet
    os.write(terminal.keyboard, b"code=x\n")
    assert terminal.display.pasted(30) == "http://127.0.0.1:1/callback?code=x\n"
    os.close(terminal.keyboard)


def test_a_terminal_that_is_gone_pastes_nothing(terminal: Terminal) -> None:
    os.close(terminal.keyboard)
    assert not terminal.display.pasted(0.01)
