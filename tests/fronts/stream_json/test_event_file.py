from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from waiting import until

from qwen_code.base.errors import QwenError
from qwen_code.fronts.stream_json.event_file import (
    EventFile,
    is_named_file,
    open_descriptor,
    open_path,
)


def test_lines_are_written_in_their_order(tmp_path: Path) -> None:
    told: list[str] = []
    file = EventFile(open_path(tmp_path / "e"), "e", told.append)
    lines = [b"%d\n" % number for number in range(5000)]
    for line in lines:
        file.write(line)
    file.close()
    assert (tmp_path / "e").read_bytes() == b"".join(lines)
    assert stat.S_IMODE((tmp_path / "e").stat().st_mode) == 0o600
    assert not told


def test_an_existing_file_is_continued_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "e"
    path.write_bytes(b"before\n")
    path.chmod(0o644)
    file = EventFile(open_path(path), "e", print)
    file.write(b"after\n")
    file.close()
    assert path.read_bytes() == b"before\nafter\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_nothing_waits_for_a_reader_that_does_not_read() -> None:
    reading, writing = os.pipe()
    told: list[str] = []
    file = EventFile(writing, "the pipe", told.append)
    for _ in range(40):
        file.write(b"x" * 65_536)
    assert told == ["no more events are written to the pipe: its reader does not read"]
    file.close()
    os.close(reading)


@pytest.mark.parametrize("is_blocking", [True, False])
def test_a_slow_reader_gets_everything(is_blocking: bool) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, is_blocking)
    told: list[str] = []
    file = EventFile(writing, "the pipe", told.append)
    for _ in range(8):
        file.write(b"x" * 100_000)
    got = 0
    while got < 800_000:
        got += len(os.read(reading, 10_000))
    file.close()
    assert os.read(reading, 1) == b"" and not told
    os.close(reading)


def test_a_reader_that_has_gone_is_told_once() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    told: list[str] = []
    file = EventFile(writing, "the pipe", told.append)
    file.write(b"a")
    until(lambda: told)
    file.write(b"b")
    file.close()
    assert told == ["no more events are written to the pipe: its reader has gone"]


def test_a_pipe_without_a_reader_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p")
    file = EventFile(open_path(tmp_path / "p"), "p", print)
    file.write(b"a\n")
    with (tmp_path / "p").open("rb") as reader:
        assert reader.readline() == b"a\n"
    file.close()


def test_a_descriptor_is_not_inherited_by_commands() -> None:
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    assert open_descriptor(writing) == writing
    assert not os.get_inheritable(writing)
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize("number", [0, 1, 2, 98_765])
def test_a_descriptor_that_is_not_for_events_is_refused(number: int) -> None:
    with pytest.raises(QwenError, match=f"descriptor {number} is "):
        open_descriptor(number)


def test_a_descriptor_that_this_process_has_opened_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "own").open("w") as own, pytest.raises(QwenError, match="is not open"):
        open_descriptor(own.fileno())


@pytest.mark.skipif(os.geteuid() == 0, reason="root can use every file")
def test_a_file_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "e").touch(0o400)
    with pytest.raises(QwenError, match="Permission denied"):
        open_path(tmp_path / "e")


def test_a_device_is_no_named_file(tmp_path: Path) -> None:
    for path, is_file in ((tmp_path / "e", True), (Path(os.devnull), False)):
        descriptor = open_path(path)
        assert is_named_file(descriptor) is is_file
        os.close(descriptor)
