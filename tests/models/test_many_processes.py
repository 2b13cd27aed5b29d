"""Real processes that share one ledger, with the server's clock as the witness."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from listeners import stop_listening

from qwen_code.base.clock import BlockingClock
from qwen_code.models.ledger import SqliteLedger
from qwen_code.models.quota import Limits

pytestmark = pytest.mark.process

CLIENT = """
import sys
from contextlib import closing
from pathlib import Path
from qwen_code.base.clock import BlockingClock
from qwen_code.base.http import HttpClient, Network
from qwen_code.base.stop import Stop
from qwen_code.models.client import ModelClient
from qwen_code.models.events import Paced
from qwen_code.models.ledger import SqliteLedger
from qwen_code.models.openai_wire import Endpoint
from qwen_code.models.quota import Limits

path, url, count, per_minute, minute_s = sys.argv[1:]
clock = BlockingClock()
limits = Limits(per_minute=int(per_minute), minute_s=float(minute_s))
client = ModelClient(
    HttpClient(Network(), user_agent="t"),
    Endpoint(url, "m"),
    auth=None,
    clock=clock,
    ledger=SqliteLedger(Path(path), "a", limits, clock),
)

def talk():
    for _ in range(int(count)):
        with closing(client.complete([{"role": "user", "content": "hi"}], stop=Stop())) as answer:
            for events in answer:
                for event in events:
                    if isinstance(event, Paced):
                        print("paced", event.wait_s, flush=True)
                    else:
                        print(type(event).__name__, getattr(event, "text", ""), flush=True)

talk()
"""

ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    b'data: {"model":"m","choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}\n\n'
    b"data: [DONE]\n\n"
)


class FakeServer:
    """Answers every request, and notes when it came."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        self.times: list[float] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        stop_listening(self._listener)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            data = b""
            while not data.endswith(b"}"):
                data += connection.recv(65536)
            self.times.append(time.monotonic())
            connection.sendall(ANSWER)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    server = FakeServer()
    yield server
    server.close()


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path, server: FakeServer) -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def begin(count: int, per_minute: int, minute_s: float) -> subprocess.Popen[str]:
        arguments = [str(tmp_path / "quota.sqlite"), server.url, count, per_minute, minute_s]
        process = subprocess.Popen(
            [sys.executable, "-c", CLIENT, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def ended(processes: list[subprocess.Popen[str]]) -> list[str]:
    outputs = []
    for process in processes:
        output, errors = process.communicate(timeout=30)
        assert (process.returncode, errors) == (0, "")
        outputs.append(output)
    return outputs


@pytest.mark.long
@pytest.mark.parametrize("is_damaged", [False, True])
def test_eight_processes_together_never_pass_the_limit(
    server: FakeServer, start: Start, tmp_path: Path, is_damaged: bool
) -> None:
    most, window_s = 6, 1.0
    if is_damaged:
        (tmp_path / "quota.sqlite").write_bytes(b"no database at all" * 500)
    outputs = ended([start(3, most, window_s) for _ in range(8)])
    times = sorted(server.times)
    assert len(times) == 24
    spans = [beyond - first for first, beyond in zip(times, times[most:], strict=False)]
    assert min(spans) >= window_s
    assert times[-1] - times[0] < 3 * window_s + 20  # no process waits much longer than needed
    assert "paced" in "".join(outputs)
    aside = list(tmp_path.glob("quota.sqlite.corrupt-*"))
    assert len(aside) == int(is_damaged)
    assert "".join(outputs).count("was damaged and is reset") == int(is_damaged)


def test_ctrl_c_ends_a_wait_at_once_and_leaves_the_queue(
    server: FakeServer, start: Start, tmp_path: Path
) -> None:
    process = start(2, 1, 60)
    assert process.stdout
    lines = iter(process.stdout.readline, "")
    assert any(line.startswith("paced") for line in lines)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.wait(timeout=30)
    assert time.monotonic() - began < 30
    assert len(server.times) == 1
    limits = Limits(per_minute=1, minute_s=60)
    waiting = SqliteLedger(tmp_path / "quota.sqlite", "a", limits, BlockingClock()).reserve("m")
    assert getattr(waiting, "wait_s", 99) <= 60  # no process is ahead


def test_a_killed_process_costs_one_slot_and_no_more(
    server: FakeServer, start: Start, tmp_path: Path
) -> None:
    process = start(2, 1, 60)
    assert process.stdout
    assert any(line.startswith("paced") for line in iter(process.stdout.readline, ""))
    process.kill()
    process.wait(timeout=30)
    snapshot = SqliteLedger(tmp_path / "quota.sqlite", "a", Limits(), BlockingClock()).snapshot()
    assert snapshot
    assert snapshot.requests_day == 1
