from __future__ import annotations

import time
from pathlib import Path

import pytest

from qwen_code.fronts.text import browser
from qwen_code.fronts.text.browser import open_browser, opener

DISPLAY = {"DISPLAY": ":0"}


@pytest.fixture(autouse=True)
def no_wsl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser, "_is_wsl", lambda environ: "WSL_DISTRO_NAME" in environ)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")


@pytest.mark.parametrize(
    ("environ", "platform", "command"),
    [
        (DISPLAY, "linux", ["xdg-open"]),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", ["xdg-open"]),
        ({}, "darwin", ["open"]),
        ({}, "win32", ["rundll32", "url.dll,FileProtocolHandler"]),
        ({"WSL_DISTRO_NAME": "Ubuntu"}, "linux", ["wslview"]),
        (
            {**DISPLAY, "BROWSER": "firefox --new-tab %s:chromium"},
            "linux",
            ["firefox", "--new-tab", "%s"],
        ),
        ({"BROWSER": "my-browser"}, "linux", ["my-browser"]),
    ],
)
def test_which_command_opens_an_address(
    environ: dict[str, str], platform: str, command: list[str]
) -> None:
    assert opener(environ, platform) == command


def test_wsl_without_its_helper_opens_the_browser_of_windows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    environ = {"WSL_DISTRO_NAME": "Ubuntu"}
    assert opener(environ, "linux") == ["rundll32.exe", "url.dll,FileProtocolHandler"]


@pytest.mark.parametrize(
    ("environ", "why"),
    [
        ({}, "no display"),
        ({**DISPLAY, "SSH_CONNECTION": "1 2 3 4"}, "SSH"),
        ({**DISPLAY, "CI": "true"}, "CI"),
        ({**DISPLAY, "NO_BROWSER": "1"}, "BROWSER=none"),
        ({**DISPLAY, "BROWSER": "none"}, "BROWSER=none"),
        ({**DISPLAY, "BROWSER": "'unclosed"}, "cannot be parsed"),
    ],
)
def test_where_none_is_opened(environ: dict[str, str], why: str) -> None:
    assert why in str(opener(environ, "linux"))


@pytest.mark.process
def test_the_address_is_one_argument_and_nobody_waits(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    script = tmp_path / "browser"
    script.write_text(f'#!/bin/sh\nprintf "%s|%s" "$#" "$1" > "{seen}"\nexec sleep 30\n')
    script.chmod(0o700)
    url = "https://id.example/go?user_code=A-B&x='; rm -rf $HOME"
    started = time.monotonic()
    assert open_browser(url, {"BROWSER": str(script), "PATH": "/usr/bin:/bin"}) is None
    assert time.monotonic() - started < 20
    while not seen.exists() or not seen.read_text():
        assert time.monotonic() - started < 20
    assert seen.read_text() == f"1|{url}"
    for process in browser._started:
        process.kill()  # type: ignore[attr-defined]
        process.wait()  # type: ignore[attr-defined]


@pytest.mark.process
def test_a_browser_that_does_not_start_is_a_reason_and_no_error() -> None:
    assert "No such file" in str(open_browser("https://x", {"BROWSER": "/nowhere/browser"}))


@pytest.mark.parametrize("url", ["file:///etc/passwd", "--help", "javascript:1", ""])
def test_only_addresses_of_the_web_are_opened(url: str) -> None:
    assert "neither http nor https" in str(open_browser(url, {"BROWSER": "/nowhere/browser"}))
