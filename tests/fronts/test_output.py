"""Standard output whose reader does not read."""

from __future__ import annotations

import io
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from qwen_code.base.stop import Stop
from qwen_code.fronts.output import InterruptibleOutput
from qwen_code.fronts.signals import ending_by_signals, is_given_up, leaving_by_signals


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)
    os.close(writing)


def test_all_is_written_as_it_is_read(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    data, got = os.urandom(500_000), b""
    out = io.BufferedWriter(InterruptibleOutput(writing))

    def write() -> None:
        out.write(data)
        out.flush()

    thread = threading.Thread(target=write)
    thread.start()
    while len(got) < len(data):
        got += os.read(reading, 10_000)
    thread.join()
    assert got == data


def test_a_second_signal_ends_the_wait_for_a_reader(pipe: tuple[int, int]) -> None:
    out = io.BufferedWriter(InterruptibleOutput(pipe[1]))
    with ending_by_signals(Stop()) as received:
        signal.raise_signal(signal.SIGTERM)
        received.is_finishing = True
        out.write(b"x" * 1000)
        out.flush()
        assert not is_given_up(), "one signal cuts nothing off"
        signal.raise_signal(signal.SIGTERM)
        assert is_given_up()
        out.write(b"x" * 1000)
        out.flush()
        with pytest.raises(KeyboardInterrupt):
            out.write(b"x" * 1_000_000)
    assert not is_given_up()


def test_one_signal_is_enough_after_a_while(pipe: tuple[int, int], monkeypatch: Any) -> None:
    monkeypatch.setattr("qwen_code.fronts.signals._MAX_WRITE_WAIT_S", 0.2)
    out = io.BufferedWriter(InterruptibleOutput(pipe[1]))
    with leaving_by_signals() as received:
        received.is_finishing = True
        signal.raise_signal(signal.SIGHUP)
        with pytest.raises(KeyboardInterrupt):
            out.write(b"x" * 1_000_000)


def test_a_reader_that_is_gone_is_a_broken_pipe() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    out = io.BufferedWriter(InterruptibleOutput(writing))
    with pytest.raises(BrokenPipeError):
        out.write(b"x" * 1_000_000)
    out.close()
    os.close(writing)
