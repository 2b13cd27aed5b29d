from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from subprocess import TimeoutExpired

import pytest

from qwen_code.base import process
from qwen_code.base.stop import Stop, Stopped

pytestmark = pytest.mark.process


@pytest.mark.parametrize("is_stopped", [True, False])
def test_with_its_children_it_leaves_nothing_running(tmp_path: Path, is_stopped: bool) -> None:
    """bash waits for the program that it runs, so ending bash alone would leave that behind."""
    command, stop = ["bash", "-c", "sleep 60 & echo $! > pid; wait; true"], Stop()
    if is_stopped:
        threading.Timer(0.5, stop.set).start()
    with pytest.raises(Stopped if is_stopped else TimeoutExpired):
        process.run(
            command,
            env={"PATH": os.environ["PATH"]},
            timeout_s=30 if is_stopped else 0.5,
            stop=stop,
            cwd=tmp_path,
            with_children=True,
        )
    stat = Path("/proc") / (tmp_path / "pid").read_text().strip() / "stat"
    deadline = time.monotonic() + 30
    while stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < deadline
