from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest
from fake_clock import FakeClock
from node_records import Chat

from qwen_code.agent.node_chats import chat_files, chats, find_chat, read_chat
from qwen_code.agent.session import SessionStore
from qwen_code.agent.session_list import (
    files_of_all,
    search,
    summaries_of,
    with_chat_files,
    with_chats,
)
from qwen_code.base.errors import InputError, UsageError
from qwen_code.base.secret import Secret


class Place:
    """A project, and the directory of all projects' sessions."""

    def __init__(self, root: Path) -> None:
        self.projects = root / "qwen" / "projects"
        self.root = root / "my.project"
        self.root.mkdir()
        self.directory = "".join(c if c.isascii() and c.isalnum() else "-" for c in str(self.root))

    def chat(self, prompt: str = "hi", number: int = 1, cwd: Path | None = None) -> Chat:
        chat = Chat(cwd or self.root, str(UUID(int=number)))
        chat.user(prompt)
        chat.model("Hello")
        return chat

    def write(self, chat: Chat, at: float = 1e9) -> Path:
        path = chat.write(self.projects, self.directory)
        os.utime(path, (at, at))
        return path

    def store(self) -> SessionStore:
        directory = self.projects / "own" / "sessions"
        return SessionStore(directory, self.root, FakeClock(), self.root)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_sessions_are_listed_with_what_their_ends_say(place: Place) -> None:
    chat = place.chat("fix\nit")
    path = place.write(chat)
    (found,) = chats(chat_files(place.projects, place.root), place.root)
    assert (found.id, found.title, found.project) == (path.stem, "fix\nit", str(place.root))
    assert found.changed_at == 1e9 and found.started_at == pytest.approx(1795777810.799)
    chat.system("custom_title", customTitle="First")
    chat.user("x" * 200_000)
    chat.system("custom_title", customTitle="Last")
    place.write(chat)
    (found,) = chats(chat_files(place.projects, place.root), place.root)
    assert found.title == "Last"


def test_a_long_first_prompt_is_listed(place: Place) -> None:
    chat = Chat(place.root)
    chat.system("at_command", filesRead=["log.txt"])
    chat.user("look at @log.txt", "\n--- Content ---", "x" * 3_000_000)
    chat.model("Hello")
    path = place.write(chat)
    (found,) = chats(chat_files(place.projects, place.root), place.root)
    assert found.title == "look at @log.txt"
    assert find_chat(place.projects, place.root) == path


def test_only_those_of_this_project(place: Place, tmp_path: Path) -> None:
    place.write(place.chat("here", 1))
    place.write(place.chat("below", 2, place.root / "src"))
    place.write(place.chat("another with the same directory", 3, tmp_path / "my-project"))
    chat = place.chat("beside", 4, tmp_path / "my.project2")
    chat.write(place.projects, f"{place.directory}2")
    found = chats(chat_files(place.projects, place.root), place.root)
    assert {each.title for each in found} == {"here", "below"}
    assert len(list(chats(chat_files(place.projects)))) == 4


def test_what_is_no_session_is_not_listed(place: Place) -> None:
    path = place.write(place.chat())
    chats_dir = path.parent
    (chats_dir / "notes.jsonl").write_text(path.read_text())
    (chats_dir / f"{UUID(int=8)}.json").write_text(path.read_text())
    (chats_dir / f"{UUID(int=9)}.jsonl").write_text("")
    (chats_dir / f"{UUID(int=10)}.jsonl").write_text("{damaged\n\x00\n[]\n5\n")
    (chats_dir / f"{UUID(int=11)}.jsonl").mkdir()
    (chats_dir / f"{UUID(int=12)}.jsonl").symlink_to("nowhere")
    os.mkfifo(chats_dir / f"{UUID(int=13)}.jsonl")
    only_system = Chat(place.root, str(UUID(int=14)))
    only_system.system("ui_telemetry")
    place.write(only_system)
    found = list(chats(chat_files(place.projects, place.root), place.root))
    assert [each.path for each in found] == [path]


def test_lists_of_both_programs(place: Place) -> None:
    session = place.store().begin()
    with session:
        session.messages.append({"role": "user", "content": "ours"})
        session.save()
    place.write(place.chat("theirs, older"), at=1e9)
    place.write(place.chat("theirs, later", 2), at=time.time() + 100)
    listed = place.store().summaries()
    assert [(each.title, each.program) for each in listed] == [
        *[("theirs, later", "node"), ("ours", "qwen"), ("theirs, older", "node")]
    ]
    assert [each.label for each in listed][0:2] == ["theirs, later (Node Qwen Code)", "ours"]
    assert [each.count for each in listed] == [None, 1, None]
    everywhere = with_chats(summaries_of(files_of_all(place.projects)), place.projects)
    assert len(everywhere) == 3


def test_the_latest_of_both_goes_on(place: Place) -> None:
    old = place.write(place.chat("theirs"))
    with place.store().resume() as copy:
        assert copy.copied_from == old and copy.id != old.stem
        assert [m["content"] for m in copy.messages] == ["theirs", "Hello"]
        assert copy.prompts() == ["theirs"]
    with place.store().resume() as ours:
        assert ours.id == copy.id and ours.copied_from is None
        assert [m["content"] for m in ours.messages] == ["theirs", "Hello"]
    later = place.write(place.chat("later", 2), at=time.time() + 100)
    with place.store().resume() as again:
        assert again.copied_from == later


def test_a_file_is_read_and_nothing_else(place: Place) -> None:
    path = place.write(place.chat())
    before, status = path.read_bytes(), path.stat()
    path.chmod(0o400)
    path.parent.chmod(0o500)
    with place.store().resume(path.stem[:12]) as session:
        session.messages.append({"role": "user", "content": "more"})
        session.save()
    assert path.read_bytes() == before
    assert (path.stat().st_ino, path.stat().st_mtime) == (status.st_ino, status.st_mtime)
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_compressed_one_goes_on_with_its_summary(place: Place) -> None:
    chat = place.chat("old words")
    summary = [{"role": "user", "parts": [{"text": "in short"}]}]
    chat.system("chat_compression", compressedHistory=summary)
    chat.model("Go on.")
    place.write(chat)
    with place.store().resume() as first:
        sent = [m["content"] for m in first.messages]
        assert sent == ["in short", "Go on."]
    with place.store().resume() as again:
        assert [m["content"] for m in again.messages] == sent
        assert "old words" in again.prompts()
        again.rewind(0)
        assert again.messages == []


def test_secrets_are_masked_in_the_copy(place: Place) -> None:
    known = Secret("sk-canary-0123456789abcdef")
    place.write(place.chat("my key is sk-canary-0123456789abcdef"))
    with place.store().resume() as session:
        assert known.reveal().encode() not in session.path.read_bytes()
    assert "sk-canary" not in place.store().summaries()[-1].title


def test_beginnings_of_ids(place: Place, tmp_path: Path) -> None:
    place.write(place.chat("one", 1))
    place.write(place.chat("two", 2))
    there = place.write(place.chat("elsewhere", 0xF << 120, tmp_path))
    store = place.store()
    with pytest.raises(UsageError, match="2 sessions here begin"):
        store.resume("0000")
    with pytest.raises(UsageError, match="no session here begins"):
        store.resume("abc")
    with pytest.raises(UsageError, match="belongs to another project"):
        store.resume(there.stem[:8])
    with store.resume(str(UUID(int=2))) as session:
        assert session.prompts() == ["two"]


def test_one_of_node_is_not_deleted(place: Place) -> None:
    path = place.write(place.chat())
    with pytest.raises(UsageError, match="Node Qwen Code"):
        place.store().delete(path.stem)
    assert path.exists()


def test_an_export_has_all_of_it(place: Place) -> None:
    path = place.write(place.chat("all of it"))
    assert [m["content"] for m in place.store().messages(path.stem)] == ["all of it", "Hello"]


def test_a_search_finds_both(place: Place) -> None:
    with place.store().begin() as session:
        session.messages.append({"role": "user", "content": "a kumquat of ours"})
        session.save()
    chat = place.chat("nothing", 2)
    chat.user("a KUMQUAT of theirs")
    chat.model("a mango")
    place.write(chat)
    files = with_chat_files(files_of_all(place.projects), place.projects)
    found = list(search(files, ["kumquat"]))
    assert [each.session.program for each in found] == ["qwen", "node"]
    assert found[1].excerpt == "a KUMQUAT of theirs"
    assert len(list(search(files, ["kumquat", "mango"]))) == 1
    assert list(search(files, ["papaya"])) == []


@pytest.mark.parametrize(
    ("change", "damaged"),
    [
        (lambda text: text + '{"uuid": "torn', 1),
        (lambda text: text.replace("\n", "{broken\n", 1), 1),
        (lambda text: "\0\0\n" + text, 0),
        (lambda text: "\ufeff" + text, 0),
        (lambda text: text.replace("\n", "\r\n"), 0),
        (lambda text: text.replace("\n", "\n\n"), 0),
        (lambda text: text.replace("}\n{", "}{", 1), 0),
        (lambda text: text.replace("}\n{", "} {", 1), 0),
        (lambda text: "[1]\n5\nnull\n" + text, 3),
        (lambda text: text + "[" * 100_000 + "\n", 1),
        (lambda text: text + '{"a":' * 5000 + "\n", 1),
    ],
)
def test_damaged_lines_cost_themselves(
    place: Place, change: Callable[[str], str], damaged: int
) -> None:
    path = place.write(place.chat())
    path.write_bytes(change(path.read_text()).encode())
    read = read_chat(path)
    said = [m["content"] for m in read.converted.history]
    assert said == ["hi", "Hello"] and read.damaged == damaged
    with place.store().resume() as session:
        assert session.left_out == damaged


def test_bytes_that_are_not_utf8(place: Place) -> None:
    path = place.write(place.chat())
    path.write_bytes(path.read_bytes() + b'{"uuid": "\xff\xfe"}\n')
    assert read_chat(path).damaged == 1


def test_a_large_session_is_listed_by_its_ends_and_read_whole(place: Place) -> None:
    chat = place.chat("the beginning")
    chat.model("m" * 1000)
    line = json.dumps(chat.records[-1])
    path = place.write(chat)
    with path.open("a") as file:
        for number in range(20_000):
            uuid = str(UUID(int=number + 10))
            parent = str(UUID(int=number + 9)) if number else chat.last
            file.write(line.replace(chat.records[-1]["uuid"], uuid, 1).replace(
                json.dumps(chat.records[-1]["parentUuid"]), json.dumps(parent), 1) + "\n")  # fmt: skip
    assert path.stat().st_size > 20 << 20
    started = time.monotonic()
    for _ in range(50):
        assert [c.title for c in chats(chat_files(place.projects), None)] == ["the beginning"]
    assert time.monotonic() - started < 5
    assert len(read_chat(path).converted.history) == 20_003


def test_a_file_that_is_too_large_is_an_error(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = place.write(place.chat())
    monkeypatch.setattr("qwen_code.agent.node_chats.MAX_BYTES", 10)
    with pytest.raises(InputError, match="too large"):
        place.store().resume(path.stem)


def test_without_node_nothing_changes(place: Place, tmp_path: Path) -> None:
    assert chat_files(tmp_path / "none") == [] and find_chat(tmp_path, place.root) is None
    with pytest.raises(UsageError, match="no session to resume"):
        place.store().resume()
