from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from qwen_code.base.errors import QwenError
from qwen_code.fronts.stream_json import command_file
from qwen_code.fronts.stream_json.command_file import Command, CommandFile, Confirmation, Submit


def submit(text: str) -> str:
    return json.dumps({"type": "submit", "text": text}) + "\n"


class Reader:
    """A file of commands, and what came from it."""

    def __init__(self, path: Path, before: str | None = "") -> None:
        self.path = path
        if before is not None:
            path.write_text(before)
            path.chmod(0o600)
        self.taken: list[Command] = []
        self.told: list[str] = []
        self.file = CommandFile(path, self.taken.append, self.told.append)

    def append(self, text: str) -> None:
        with self.path.open("a") as file:
            file.write(text)

    def texts(self) -> list[str]:
        """What was submitted since the last call."""
        self.file.look()
        found = [each.text for each in self.taken if isinstance(each, Submit)]
        self.taken.clear()
        return found


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path / "commands.jsonl")


def test_what_is_appended_is_taken_once(reader: Reader) -> None:
    reader.append(submit("a") + submit("b"))
    assert reader.texts() == ["a", "b"]
    assert reader.texts() == []
    reader.append('{"type":"confirmation_response","request_id":"r","allowed":false,"more":1}\r\n')
    reader.file.look()
    assert reader.taken == [Confirmation("r", allowed=False)] and not reader.told


def test_what_is_there_at_the_start_is_not_taken(tmp_path: Path) -> None:
    reader = Reader(tmp_path / "c", submit("before"))
    reader.append(submit("after"))
    assert reader.texts() == ["after"]


def test_a_line_counts_when_it_is_whole(reader: Reader) -> None:
    line = submit("größer")
    for character in line:
        assert reader.texts() == []
        reader.append(character)
    assert reader.texts() == ["größer"]


@pytest.mark.parametrize("before", ["", submit("before"), submit("x" * 10_000)])
def test_a_file_that_is_written_anew_is_read_from_its_beginning(
    tmp_path: Path, before: str
) -> None:
    reader = Reader(tmp_path / "c", before)
    reader.append(submit("first") + '{"type": "sub')
    assert reader.texts() == ["first"]
    for text in ("second", "third", "z" * 20_000):
        reader.path.write_text(submit(text))  # shorter or longer than what was read
        assert reader.texts() == [text]


def test_a_file_with_the_same_content_is_not_read_again(reader: Reader) -> None:
    """As an editor saves it."""
    reader.append(submit("first"))
    assert reader.texts() == ["first"]
    other = reader.path.with_name("other")
    other.write_text(submit("first") + submit("second"))
    other.chmod(0o600)
    other.replace(reader.path)
    assert reader.texts() == ["second"]


def test_a_file_that_is_not_there_is_made(tmp_path: Path) -> None:
    reader = Reader(tmp_path / "c", None)
    assert stat.S_IMODE(reader.path.stat().st_mode) == 0o600
    reader.path.unlink()
    assert reader.texts() == []
    reader.append(submit("later"))
    reader.path.chmod(0o600)
    assert reader.texts() == ["later"]


@pytest.mark.parametrize(
    "line",
    [
        *("x", "[]", "{}", "null", '{"type": "other"}', '{"type": "submit"}', "\\ud800"),
        *('{"type": "submit", "text": 1}', '{"type": "submit", "text": " "}', "[" * 5000),
        '{"type": "confirmation_response", "request_id": "r", "allowed": "true"}',
        '{"type": "confirmation_response", "request_id": 1, "allowed": true}',
        '{"type": "submit", "text": "\\ud800"}',
    ],
)
def test_a_line_that_is_no_command_is_told_and_skipped(reader: Reader, line: str) -> None:
    reader.append(f"\n{line}\n{submit('next')}")
    assert reader.texts() == ["next"]
    assert len(reader.told) == 1 and "is not a command: " in reader.told[0]


def test_a_line_without_end_is_not_kept(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_file, "_MAX_LINE_BYTES", 1000)
    monkeypatch.setattr(command_file, "_CHUNK_BYTES", 300)
    reader.append(submit("y" * 5000) + submit("next"))
    reader.append("z" * 5000)
    assert reader.texts() == ["next"]
    reader.append(f"\n{submit('last')}")
    assert reader.texts() == ["last"]
    assert [" is longer than " in each for each in reader.told] == [True, True]


@pytest.mark.parametrize("mode", [0o602, 0o666, 0o622])
def test_a_file_that_others_can_write_is_not_read(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "c"
    path.touch()
    os.chown(path, -1, os.getgid() if mode != 0o622 or os.geteuid() else 12345)
    path.chmod(mode)
    with pytest.raises(QwenError, match="other users can write to it"):
        CommandFile(path, print, print)


def test_nor_one_that_becomes_such(reader: Reader) -> None:
    reader.append(submit("before"))
    assert reader.texts() == ["before"]
    reader.path.chmod(0o666)
    reader.append(submit("evil"))
    assert reader.texts() == reader.texts() == []
    assert len(reader.told) == 1
    reader.path.chmod(0o600)
    assert reader.texts() == ["evil"]  # the user has made it theirs again


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_nor_one_of_another_user(tmp_path: Path) -> None:
    path = tmp_path / "c"
    path.touch(0o600)
    os.chown(path, 12345, -1)
    with pytest.raises(QwenError, match="belongs to another user"):
        CommandFile(path, print, print)


def test_the_group_of_a_user_alone_may_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "c"
    path.touch()
    path.chmod(0o664)
    monkeypatch.setattr(command_file, "_is_private_group", lambda number: True)
    CommandFile(path, print, print)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "c")
    with pytest.raises(QwenError, match="not a regular file"):
        CommandFile(tmp_path / "c", print, print)
