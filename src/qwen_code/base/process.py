"""Run a program to its end, within a time limit, and ended at once when the turn is stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from qwen_code.base.stop import Stop

_POLL_S = 0.05
"""How often the stop is looked at. The end of the program is seen at once."""


def run(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    timeout_s: float,
    stop: Stop,
    cwd: Path | None = None,
    stdin: bytes | None = None,
    keep_stderr: bool = True,
    with_children: bool = False,
) -> subprocess.CompletedProcess[bytes]:
    """What ``command`` printed, and its exit code.

    ``with_children``: what it has started is ended with it. It cannot ask at the terminal then,
    because it runs in a session of its own.

    Raises:
        OSError: it cannot be started.
        subprocess.TimeoutExpired: it took longer than ``timeout_s``; it was ended.
        Stopped: the turn was stopped; it was ended.
    """
    stop.check()
    deadline = time.monotonic() + timeout_s
    with subprocess.Popen(
        command,
        cwd=cwd,
        env=dict(env),
        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if keep_stderr else subprocess.DEVNULL,
        start_new_session=with_children,
    ) as process:
        try:
            while True:
                try:
                    out, err = process.communicate(stdin, timeout=_POLL_S)
                    break
                except subprocess.TimeoutExpired:
                    stdin = None  # what is left of it is remembered
                    stop.check()
                    if time.monotonic() >= deadline:
                        raise
        except BaseException:
            if with_children and hasattr(os, "killpg"):
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            raise
    return subprocess.CompletedProcess(command, process.returncode, out, err or b"")
