"""A detached process is not ended by what ends its parent, and PID 1 waits for it."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from waiting import until

from qwen_code.base import detached
from qwen_code.base.detached import DetachedProcess, wait_at_exit
from qwen_code.base.stop import Stop

pytestmark = pytest.mark.process

WORKER = """
import time
from pathlib import Path
from qwen_code.base.detached import serve

def work(job):
    place = Path(job.decode())
    (place / "asked").touch()
    while not (place / "release").exists():
        time.sleep(0.01)
    (place / "stored").touch()
    return b"answer"

serve(work)
"""


class Worker:
    """A process that stores its answer once it is released."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.process = DetachedProcess(
            "held_worker", bytes(place), environ=os.environ.copy(), cwd=place
        )
        until((place / "asked").exists, 10)

    @property
    def pid(self) -> int:
        return self.process._process.pid

    def release(self) -> None:
        (self.place / "release").touch()

    @property
    def has_stored(self) -> bool:
        return (self.place / "stored").exists()


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    (tmp_path / "held_worker.py").write_text(WORKER)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    worker = Worker(tmp_path)
    yield worker
    worker.release()
    worker.process.join(10)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_to_every_process_does_not_lose_the_answer(worker: Worker, name: str) -> None:
    os.kill(worker.pid, getattr(signal, name))
    time.sleep(0.1)
    worker.release()
    assert worker.process.wait(Stop(), timeout_s=10) == b"answer"
    assert worker.has_stored


@pytest.mark.parametrize("who", ["getpid", "getppid"])
def test_pid_1_and_its_child_wait_for_what_is_in_flight(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    monkeypatch.setattr(os, who, lambda: 1)
    began = time.monotonic()
    wait_at_exit(timeout_s=0.2)
    assert 0.2 <= time.monotonic() - began < 2  # not for ever
    worker.release()
    wait_at_exit(timeout_s=10)
    assert worker.has_stored
    assert worker.process not in detached._running


def test_any_other_process_does_not_wait(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getpid", lambda: 4711)
    monkeypatch.setattr(os, "getppid", lambda: 4710)
    began = time.monotonic()
    wait_at_exit(timeout_s=10)
    assert time.monotonic() - began < 1 and not worker.has_stored
