"""Opens an address in the user's browser, without waiting for it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from qwen_code.config import env_names

_started: list[object] = []


def opener(environ: Mapping[str, str], platform: str = sys.platform) -> list[str] | str:
    """The command that opens the address in its last argument, or why no browser is used.

    ``BROWSER`` means the same as for ``xdg-open``: the first of its commands; ``none`` disables it.
    """
    chosen = environ.get(env_names.BROWSER, "").strip()
    if environ.get(env_names.NO_BROWSER) or chosen.lower() == "none":
        return "NO_BROWSER or BROWSER=none is set"
    if environ.get(env_names.CI):
        return "this is a CI run"
    if environ.get(env_names.SSH_CONNECTION):
        return "this is an SSH session"
    if chosen:
        return _words(chosen.split(os.pathsep)[0]) or "BROWSER cannot be parsed"
    if platform == "darwin":
        return ["open"]
    if platform == "win32":
        return ["rundll32", "url.dll,FileProtocolHandler"]
    if _is_wsl(environ):
        if shutil.which("wslview"):
            return ["wslview"]
        return ["rundll32.exe", "url.dll,FileProtocolHandler"]
    if not (environ.get(env_names.DISPLAY) or environ.get(env_names.WAYLAND_DISPLAY)):
        return "there is no display"
    return ["xdg-open"] if shutil.which("xdg-open") else "xdg-open is not installed"


def open_browser(url: str, environ: Mapping[str, str]) -> str | None:
    """Start the browser; why not, if it could not be started."""
    command = opener(environ)
    if isinstance(command, str):
        return command
    if not url.startswith(("https://", "http://")):
        return "the address is neither http nor https"
    filled = [word.replace("%s", url) for word in command]
    if filled == command:
        filled.append(url)
    try:
        process = subprocess.Popen(
            filled,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env=dict(environ),
        )
    except OSError as error:
        return f"{command[0]}: {error.strerror}"
    _started.append(process)
    return None


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:
        return []


def _is_wsl(environ: Mapping[str, str]) -> bool:
    if environ.get("WSL_DISTRO_NAME"):
        return True
    try:
        return "microsoft" in Path("/proc/version").read_text().lower()
    except OSError:
        return False
