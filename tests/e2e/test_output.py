"""Where the answer goes: pipes that close, disks that are full, encodings that lack a letter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pipes and descriptors of POSIX")


@pytest.fixture
def qwen(qwen: Any, server: Any) -> Any:
    qwen.environ |= {
        "LLAMA_API_KEY": "sk-test-0123456789abcdef",
        "LLAMA_API_BASE_URL": server.base_url,
        "LLAMA_API_MODEL": "m",
    }
    return qwen


@pytest.fixture
def closed_pipe() -> Iterator[int]:
    """The writing end of a pipe whose reader has left."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


FORMATS = pytest.mark.parametrize("output_format", ["text", "json", "stream-json"])


def start(qwen: Any, *arguments: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    options = {"stdin": subprocess.DEVNULL, "stderr": subprocess.PIPE, **options}
    return subprocess.run(
        [*qwen.command, *arguments],
        env=qwen.environ,
        cwd=options.pop("cwd", qwen.project),
        timeout=25,
        check=False,
        **options,
    )


@FORMATS
def test_a_reader_that_left_is_no_error(qwen: Any, closed_pipe: int, output_format: str) -> None:
    done = start(qwen, "-p", "hi", "-o", output_format, stdout=closed_pipe)
    assert (done.returncode, done.stderr) == (0, b"")


@FORMATS
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_is_an_error_of_one_line(qwen: Any, output_format: str) -> None:
    with Path("/dev/full").open("wb") as full:
        done = start(qwen, "-p", "hi", "-o", output_format, stdout=full)
    assert done.returncode == 1
    assert done.stderr == b"qwen: No space left on device\n"


@FORMATS
def test_closed_output_is_no_traceback(qwen: Any, output_format: str) -> None:
    done = start(qwen, "-p", "hi", "-o", output_format, preexec_fn=lambda: os.close(1))
    assert (done.returncode, done.stderr) == (0, b"")


def test_letters_that_the_encoding_lacks_are_replaced(qwen: Any, server: Any) -> None:
    server.words = ["naïve ", "中"]
    done = qwen("-p", "hi", env={"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stdout) == (0, "na?ve ?\n")


@pytest.mark.parametrize("output_format", ["json", "stream-json"])
def test_json_is_utf8_whatever_the_locale(qwen: Any, server: Any, output_format: str) -> None:
    server.words = ["naïve ", "中"]
    done = qwen("-p", "hi", "-o", output_format, env={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert "naïve 中" in done.stdout


def test_a_directory_whose_name_is_not_utf8(qwen: Any) -> None:
    directory = os.fsencode(qwen.project) + b"/caf\xe9"
    try:
        os.mkdir(directory)  # noqa: PTH102 no text, so no Path
    except OSError:
        pytest.skip("this file system has UTF-8 names only")
    done = start(qwen, "-p", "hi", "-o", "json", cwd=directory, stdout=subprocess.PIPE)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["cwd"].endswith("/caf?")


def test_a_prompt_that_is_not_utf8(qwen: Any, server: Any) -> None:
    done = start(qwen, "-p", os.fsdecode(b"caf\xe9"), stdout=subprocess.PIPE)
    assert done.returncode == 42
    assert b"not UTF-8" in done.stderr
    assert not server.requests


def test_a_pipe_that_nobody_writes_to(qwen: Any) -> None:
    reading, writing = os.pipe()
    try:
        done = start(qwen, "-p", "hi", stdin=reading, stdout=subprocess.PIPE)
    finally:
        os.close(reading)
        os.close(writing)
    assert (done.returncode, done.stdout) == (0, b"Hello from the model\n")
    assert b"standard input was ignored" in done.stderr


def test_an_answer_that_is_cut_is_an_error_in_json_too(qwen: Any, server: Any) -> None:
    class Gone(OSError):
        pass

    def leave() -> None:
        raise Gone

    server.after_first_word = leave
    done = qwen("-p", "hi", "-o", "json")
    result = json.loads(done.stdout)[-1]
    assert done.returncode == 1
    assert (result["is_error"], result["result"]) == (True, "Hello")


@pytest.mark.parametrize(
    "words", [("--sandbox", "docker", "-p", "hi"), ("-p", "hi", "more"), ("more", "-p", "hi")]
)
def test_no_word_is_dropped_beside_a_prompt(qwen: Any, server: Any, words: tuple[str, ...]) -> None:
    done = qwen(*words)
    assert done.returncode == 2 and "there are two prompts: -p 'hi' and" in done.stderr
    assert not server.requests
