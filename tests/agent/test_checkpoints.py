from __future__ import annotations

from pathlib import Path

import pytest

from qwen_code.agent.checkpoints import Checkpoints
from qwen_code.base.errors import ConfigError, UsageError
from qwen_code.tools.files import Edit, ReadFile, WriteFile
from qwen_code.tools.seen import Seen
from qwen_code.tools.workspace import Workspace


class FakeClock:
    def now(self) -> float:
        return 1_790_000_000.0

    def monotonic(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None: ...


class World:
    """A project, its checkpoints, and a model's way to change files."""

    def __init__(self, tmp_path: Path) -> None:
        self.project = tmp_path / "project"
        self.project.mkdir()
        (self.project / "a.txt").write_text("one\n")
        workspace, seen = Workspace(self.project), Seen()
        self.directory = tmp_path / "checkpoints"
        self.checkpoints = Checkpoints(self.directory, workspace, FakeClock())
        self._read = ReadFile(workspace, seen)
        self._write = WriteFile(workspace, seen, self.checkpoints.keep)
        self._edit = Edit(workspace, seen, self.checkpoints.keep)

    def write(self, path: str, content: str) -> None:
        arguments = f'{{"path": "{path}", "content": "{content}"}}'
        self._write.run(self._write.parse(arguments), lambda _: None)

    def edit(self, path: str, old: str, new: str) -> None:
        self._read.run(self._read.parse(f'{{"path": "{path}"}}'), lambda _: None)
        arguments = f'{{"path": "{path}", "old_string": "{old}", "new_string": "{new}"}}'
        self._edit.run(self._edit.parse(arguments), lambda _: None)

    def text(self, path: str) -> str | None:
        file = self.project / path
        return file.read_text() if file.exists() else None


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_turn_is_undone_as_a_whole(world: World) -> None:
    world.checkpoints.begin_turn("rename it")
    world.edit("a.txt", "one", "two")
    world.edit("a.txt", "two", "three")
    world.write("new/b.txt", "fresh")
    (checkpoint,) = world.checkpoints.all()
    assert (checkpoint.title, checkpoint.paths) == ("rename it", ["a.txt", "new/b.txt"])
    undone = world.checkpoints.undo()
    assert undone.restored == ("new/b.txt", "a.txt")
    assert (world.text("a.txt"), world.text("new/b.txt")) == ("one\n", None)


def test_an_undo_is_undone_like_any_turn(world: World) -> None:
    world.checkpoints.begin_turn("t")
    world.edit("a.txt", "one", "two")
    world.write("b.txt", "fresh")
    world.checkpoints.undo()
    world.checkpoints.undo()
    assert (world.text("a.txt"), world.text("b.txt")) == ("two\n", "fresh")


def test_each_turn_by_itself(world: World) -> None:
    for number, word in enumerate(["two", "three"]):
        world.checkpoints.begin_turn(f"turn {number}")
        world.edit("a.txt", "one" if number == 0 else "two", word)
    world.checkpoints.undo()
    assert world.text("a.txt") == "two\n"
    first = world.checkpoints.all()[-1]
    assert world.checkpoints.undo(first.id).restored == ("a.txt",)
    assert world.text("a.txt") == "one\n"


def test_what_somebody_changed_since_is_left(world: World) -> None:
    world.checkpoints.begin_turn("t")
    world.edit("a.txt", "one", "two")
    world.write("b.txt", "fresh")
    (world.project / "a.txt").write_text("two, and my own work\n")
    undone = world.checkpoints.undo()
    assert (undone.restored, undone.left) == (("b.txt",), ("a.txt",))
    assert world.text("a.txt") == "two, and my own work\n"


def test_it_survives_the_process(world: World, tmp_path: Path) -> None:
    world.checkpoints.begin_turn("t")
    world.edit("a.txt", "one", "two")
    again = Checkpoints(world.directory, Workspace(world.project), FakeClock())
    again.undo()
    assert world.text("a.txt") == "one\n"


def test_a_turn_without_changes_leaves_nothing(world: World) -> None:
    world.checkpoints.begin_turn("only talk")
    assert world.checkpoints.all() == []
    with pytest.raises(UsageError, match="nothing to undo"):
        world.checkpoints.undo()


def test_what_cannot_be_kept_is_not_changed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from qwen_code.agent import checkpoints

    def full(*_: object, **__: object) -> None:
        raise ConfigError("no space left on device")

    monkeypatch.setattr(checkpoints, "write_atomic", full)
    world.checkpoints.begin_turn("t")
    with pytest.raises(ConfigError):
        world.edit("a.txt", "one", "two")
    assert world.text("a.txt") == "one\n"


def test_old_ones_are_forgotten_with_their_contents(world: World) -> None:
    for number in range(60):
        world.checkpoints.begin_turn(f"turn {number}")
        world.write("b.txt", f"content {number}")
    assert len(world.checkpoints.all()) == 50
    assert world.checkpoints.all()[0].title == "turn 59"
    assert len(list((world.directory / "contents").iterdir())) <= 50
    assert world.directory.stat().st_mode & 0o077 == 0


def test_a_list_that_is_damaged_is_passed_over(world: World) -> None:
    world.checkpoints.begin_turn("t")
    world.edit("a.txt", "one", "two")
    (world.directory / "20990101-000000-000.json").write_text("{")
    assert world.checkpoints.undo().restored == ("a.txt",)
