"""Runs a program to its end, with a timeout, and kills it when the turn is stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from qwen_code.base.stop import Stop

_POLL_S = 0.05
"""How often the stop is checked. The end of the program is noticed at once."""


_PR_SET_DUMPABLE = 4
"""``PR_SET_DUMPABLE`` of Linux's ``prctl``."""


@cache
def forbid_inspection() -> None:
    """Keep other processes of this user from reading the memory and the environment of this one, in
    ``/proc`` or with a debugger. Linux only; root still can."""
    if sys.platform != "linux":
        return
    import ctypes  # with the first child process

    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


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
    """The output of ``command``, and its exit code.

    ``with_children``: the processes that it has started are killed with it. It then runs in a new
    session, and so it cannot ask anything at the terminal.

    Raises:
        OSError: it cannot be started.
        subprocess.TimeoutExpired: it took longer than ``timeout_s``, and was killed.
        Stopped: the turn was stopped, and it was killed.
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
                    stdin = None  # ``communicate`` has kept what is not written yet
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
