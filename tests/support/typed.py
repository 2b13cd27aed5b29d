"""A command at a terminal of its own, with a person who types."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Thread

from waiting import until


def at_terminal(
    command: Sequence[str], *, typed: str, env: Mapping[str, str], cwd: Path
) -> tuple[int, str]:
    """Run ``command`` at a terminal where ``typed`` was typed before it asks; the exit code, and
    everything on the screen."""
    ours, its = pty.openpty()
    os.write(ours, typed.encode())
    process = subprocess.Popen(
        command, env=dict(env), cwd=cwd, stdin=its, stdout=its, stderr=its, start_new_session=True
    )
    os.close(its)
    screen: list[bytes] = []

    def read() -> None:
        with suppress(OSError):  # EIO: the last one has closed the terminal
            while data := os.read(ours, 65536):
                screen.append(data)

    reader = Thread(target=read, daemon=True)
    reader.start()
    try:
        code = process.wait(timeout=30)
        reader.join(timeout=30)
    finally:
        process.kill()
        os.close(ours)
    return code, b"".join(screen).decode("utf-8", "replace").replace("\r\n", "\n")


def _end_of(screen: bytearray, wanted: bytes, begin: int) -> int:
    """Where ``wanted`` ends, 0 if it is not there yet."""
    at = screen.find(wanted, begin)
    return 0 if at < 0 else at + len(wanted)


def talk_at_terminal(
    command: Sequence[str],
    *,
    steps: Sequence[tuple[str, str]],
    env: Mapping[str, str],
    cwd: Path,
) -> tuple[int, str]:
    """Run ``command`` at a terminal. Of each step, the second text is typed when the first one has
    come since the step before. The exit code, and everything on the screen."""
    ours, its = pty.openpty()
    process = subprocess.Popen(
        command, env=dict(env), cwd=cwd, stdin=its, stdout=its, stderr=its, start_new_session=True
    )
    os.close(its)
    screen = bytearray()

    def read() -> None:
        with suppress(OSError):  # EIO: the last one has closed the terminal
            while data := os.read(ours, 65536):
                screen.extend(data)

    reader = Thread(target=read, daemon=True)
    reader.start()
    seen = 0
    try:
        for text, typed in steps:
            wanted = text.encode()
            seen = until(partial(_end_of, screen, wanted, seen))
            os.write(ours, typed.encode())
        code = process.wait(timeout=30)
        reader.join(timeout=30)
    finally:
        process.kill()
        os.close(ours)
    return code, screen.decode("utf-8", "replace").replace("\r\n", "\n")
