from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from qwen_code.base.errors import ExitCode, InputError
from qwen_code.base.stop import Stop, Stopped
from qwen_code.fronts.prompt_input import read_stdin, take_prompt


@pytest.fixture
def pipe() -> Iterator[tuple[IO[str], int]]:
    """Standard input as a pipe, and its other end."""
    reading, writing = os.pipe()
    with os.fdopen(reading, encoding="utf-8") as stream:
        yield stream, writing
    try:
        os.close(writing)
    except OSError:
        pass


def ignore(text: str) -> None:
    raise AssertionError(f"unexpected: {text}")


@pytest.mark.parametrize(
    ("argument", "stdin", "expected"),
    [
        ("ask", None, "ask"),
        (None, "piped\n", "piped\n"),
        ("ask", "line 1\nline 2\n", "line 1\nline 2\n\nask"),
        ("ask", " \n", "ask"),
        ("", "piped", "piped"),
        ("naïve 中", None, "naïve 中"),
    ],
)
def test_argument_and_stdin(argument: str | None, stdin: str | None, expected: str) -> None:
    assert take_prompt(argument, stdin) == expected


@pytest.mark.parametrize(("argument", "stdin"), [(None, None), ("", ""), (" ", "\n\n"), (None, "")])
def test_no_prompt_is_an_input_error(argument: str | None, stdin: str | None) -> None:
    with pytest.raises(InputError) as caught:
        take_prompt(argument, stdin)
    assert caught.value.exit_code == ExitCode.INPUT
    assert caught.value.hint


def test_an_argument_that_is_not_utf8_is_named() -> None:
    with pytest.raises(InputError, match="command line is not UTF-8"):
        take_prompt(os.fsdecode(b"caf\xe9"), None)


def test_reads_all_of_a_pipe(pipe: tuple[IO[str], int]) -> None:
    stream, writing = pipe
    os.write(writing, "\ufeffnaïve\r\n".encode())
    os.close(writing)
    assert read_stdin(stream, None, ignore, Stop()) == "naïve\r\n"


def test_a_silent_pipe_is_given_up_where_there_is_a_prompt(pipe: tuple[IO[str], int]) -> None:
    stream, _ = pipe
    notices: list[str] = []
    assert read_stdin(stream, "ask", notices.append, Stop(), wait_s=0.01) is None
    assert "nothing arrived for 0.01 s" in notices[0]


def test_a_closed_pipe_needs_no_wait(pipe: tuple[IO[str], int]) -> None:
    stream, writing = pipe
    os.close(writing)
    assert read_stdin(stream, "ask", ignore, Stop(), wait_s=30) == ""


@pytest.mark.process
def test_an_empty_argument_is_none_to_wait_for(pipe: tuple[IO[str], int]) -> None:
    stream, writing = pipe
    pid = os.fork()
    if pid == 0:
        os.read(stream.fileno(), 0)
        os.write(writing, b"late")
        os._exit(0)
    os.close(writing)
    os.waitpid(pid, 0)
    assert read_stdin(stream, " ", ignore, Stop(), wait_s=0) == "late"


@pytest.mark.parametrize("argument", [None, "ask"])
def test_a_stop_ends_the_wait(pipe: tuple[IO[str], int], argument: str | None) -> None:
    stream, _ = pipe
    stop = Stop()
    threading.Timer(0.1, stop.set).start()
    with pytest.raises(Stopped):
        read_stdin(stream, argument, ignore, stop, wait_s=30)


def test_a_terminal_is_never_read() -> None:
    master, slave = os.openpty()
    try:
        with os.fdopen(slave, encoding="utf-8") as stream:
            assert read_stdin(stream, "ask", ignore, Stop()) is None
            assert read_stdin(stream, None, ignore, Stop()) is None
    finally:
        os.close(master)


def test_no_stdin_at_all() -> None:
    closed = io.StringIO()
    closed.close()
    assert read_stdin(None, None, ignore, Stop()) is None
    assert read_stdin(closed, None, ignore, Stop()) is None
    assert read_stdin(io.StringIO("no descriptor"), "ask", ignore, Stop()) is None


def test_files(tmp_path: Path) -> None:
    file = tmp_path / "prompt.txt"
    file.write_bytes(b"from a file")
    with file.open(encoding="utf-8") as stream:
        assert read_stdin(stream, "ask", ignore, Stop()) == "from a file"
    with Path(os.devnull).open(encoding="utf-8") as stream:
        assert read_stdin(stream, None, ignore, Stop()) == ""


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"caf\xe9", "byte 3"),
        ("x".encode("utf-16"), "not UTF-8"),
        (b"a" * (8 << 20) + b"b", "8 MiB"),
    ],
)
def test_what_is_refused(data: bytes, complaint: str, tmp_path: Path) -> None:
    file = tmp_path / "in"
    file.write_bytes(data)
    with file.open(encoding="utf-8") as stream, pytest.raises(InputError, match=complaint):
        read_stdin(stream, None, ignore, Stop())
