"""What Node Qwen Code remembers by itself, and the notes of one person about a project."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from qwen_code.agent.context import find_notes
from qwen_code.agent.memories import find_memories
from qwen_code.config.paths import Paths


def remembered(directory: Path, **notes: str) -> Path:
    directory.mkdir(parents=True)
    for number, (name, text) in enumerate(notes.items()):
        file = directory / f"{name.replace('__', '/')}.md"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        os.utime(file, (number, number))
    return directory / "MEMORY.md"


def test_the_index_comes_first_and_then_the_newest(tmp_path: Path) -> None:
    index = remembered(tmp_path / "memories", MEMORY="index", old="1", user__new="2", pinned__x="3")
    found = find_memories([index])
    assert [note.path.stem for note in found] == ["MEMORY", "x", "new", "old"]
    assert [note.text for note in found] == ["index", "3", "2", "1"]


def test_there_is_room_for_so_much(tmp_path: Path) -> None:
    index = remembered(tmp_path / "memories", MEMORY="index", small="s", large="x" * 9000, last="l")
    assert [note.path.stem for note in find_memories([index])] == ["MEMORY", "last", "small"]


def test_links_and_hidden_directories_are_left_out(tmp_path: Path) -> None:
    index = remembered(tmp_path / "memories", MEMORY="index")
    (tmp_path / "key.md").write_text("secret")
    (tmp_path / "memories" / "link.md").symlink_to(tmp_path / "key.md")
    (tmp_path / "memories" / ".git").mkdir()
    (tmp_path / "memories" / ".git" / "a.md").write_text("hidden")
    assert [note.path.stem for note in find_memories([index])] == ["MEMORY"]


def test_where_they_are(tmp_path: Path) -> None:
    paths = Paths.of({"HOME": "/home/me"}, tmp_path)
    own, projects = paths.memories(Path("/srv/my_app.v2"))
    assert own == Path("/home/me/.qwen/memories/MEMORY.md")
    assert projects == Path("/home/me/.qwen/projects/-srv-my-app-v2/memory/MEMORY.md")


@pytest.mark.parametrize("where", [".", "sub"])
def test_notes_of_one_person_come_last(tmp_path: Path, where: str) -> None:
    project = tmp_path / "app"
    (project / ".git").mkdir(parents=True)
    (project / "sub").mkdir()
    (project / ".qwen").mkdir()
    (project / "QWEN.md").write_text("shared")
    (project / ".qwen" / "QWEN.local.md").write_text("own")
    notes = find_notes(tmp_path / ".qwen", project / where)
    assert [note.text for note in notes] == ["shared", "own"]
