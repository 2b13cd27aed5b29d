"""Runs a program once and measures it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

_LAUNCHER = [sys.executable, "-I", "-S", str(Path(__file__).with_name("launch.py"))]
_TIMEOUT_S = 120.0
_RSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024


class Sample(NamedTuple):
    """One run. Times are those of ``time.perf_counter`` in seconds, one clock for all processes."""

    started: float
    gone: float
    seen: float | None
    """When the expected text was read from its standard output."""
    cpu_s: float
    """User and system time of the process and of all descendants that it waited for."""
    peak_rss_mb: float
    """That of the largest of these processes."""
    exit_code: int
    stdout: bytes
    stderr: bytes


def run(
    command: Sequence[str],
    env: Mapping[str, str],
    cwd: Path,
    *,
    expect: bytes = b"",
    on_seen: Callable[[], None] = lambda: None,
) -> Sample:
    """Run ``command`` with its output in a pipe and without input, for at most two minutes.

    ``on_seen`` is called once, as soon as its output contains ``expect``.
    """
    report, their_end = os.pipe()
    with tempfile.TemporaryFile() as errors, os.fdopen(report, "rb") as report_file:
        process = subprocess.Popen(
            [*_LAUNCHER, str(their_end), *command],
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            pass_fds=[their_end],
            start_new_session=True,
        )
        os.close(their_end)
        watchdog = threading.Timer(_TIMEOUT_S, os.killpg, (process.pid, signal.SIGKILL))
        watchdog.start()
        output, seen = _drain(process, expect, on_seen)
        figures = [float(figure) for figure in report_file.read().split()]
        exit_code = process.wait()
        watchdog.cancel()
        errors.seek(0)
        stderr = errors.read()
    if not figures:  # the launcher failed or timed out
        return Sample(0, 0, None, 0, 0, exit_code or 1, output, stderr)
    started, gone, cpu_s, peak_rss, status = figures
    exit_code = os.waitstatus_to_exitcode(int(status))
    return Sample(
        started, gone, seen, cpu_s, peak_rss * _RSS_UNIT_BYTES / 1e6, exit_code, output, stderr
    )


def _drain(
    process: subprocess.Popen[bytes], expect: bytes, on_seen: Callable[[], None]
) -> tuple[bytes, float | None]:
    """The whole output, and when it first contained ``expect``."""
    assert process.stdout is not None
    pieces: list[bytes] = []
    seen = None
    with process.stdout as pipe:
        while piece := os.read(pipe.fileno(), 65536):
            pieces.append(piece)
            if expect and seen is None and expect in b"".join(pieces):
                seen = time.perf_counter()
                on_seen()
    return b"".join(pieces), seen
