from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_clock import FakeClock

from qwen_code.agent.checkpoints import Checkpoint, Checkpoints, Undone
from qwen_code.base.errors import ConfigError, UsageError
from qwen_code.base.secret import Secret
from qwen_code.base.stop import Stop
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.files import Edit, ReadFile, WriteFile
from qwen_code.tools.seen import Seen
from qwen_code.tools.workspace import Workspace


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
        self.workspace = workspace
        self._write = WriteFile(workspace, seen, self.checkpoints.keep)
        self._edit = Edit(workspace, seen, self.checkpoints.keep)

    def write(self, path: str, content: str) -> None:
        arguments = f'{{"path": "{path}", "content": "{content}"}}'
        self._write.run(self._write.parse(arguments), lambda _: None, Stop())

    def edit(self, path: str, old: str, new: str) -> None:
        self._read.run(self._read.parse(f'{{"path": "{path}"}}'), lambda _: None, Stop())
        arguments = f'{{"path": "{path}", "old_string": "{old}", "new_string": "{new}"}}'
        self._edit.run(self._edit.parse(arguments), lambda _: None, Stop())

    def remove(self, path: str) -> None:
        place = self.workspace.locate(path)
        self.checkpoints.keep(place, None)
        self.workspace.remove(place)

    def turn(self, title: str, number: int = 0, session: str = "s") -> None:
        self.checkpoints.begin_turn(title, session, number)

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
    assert (undone.restored, undone.removed) == (("a.txt",), ("new/b.txt",))
    assert (world.text("a.txt"), world.text("new/b.txt")) == ("one\n", None)


def test_each_turn_by_itself(world: World) -> None:
    for number, word in enumerate(["two", "three"]):
        world.checkpoints.begin_turn(f"turn {number}")
        world.edit("a.txt", "one" if number == 0 else "two", word)
    world.checkpoints.undo()
    assert world.text("a.txt") == "two\n"
    first = world.checkpoints.all()[-1]
    assert first.state == "done"
    assert world.checkpoints.undo(first.id).restored == ("a.txt",)
    assert world.text("a.txt") == "one\n"


def test_what_somebody_changed_since_is_left(world: World) -> None:
    world.checkpoints.begin_turn("t")
    world.edit("a.txt", "one", "two")
    world.write("b.txt", "fresh")
    (world.project / "a.txt").write_text("two, and my own work\n")
    undone = world.checkpoints.undo()
    assert (undone.removed, undone.left) == (("b.txt",), ("a.txt",))
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
    assert world.directory.stat().st_mode & 0o077 == 0
    contents = world.directory / "contents"
    assert len(list(contents.iterdir())) > 50, "another process may be about to refer to them"
    for content in contents.iterdir():
        os.utime(content, (0, 0))
    world.turn("the next")
    world.write("b.txt", "the next")
    assert len(list(contents.iterdir())) <= 50


def test_a_content_about_to_be_referred_to_is_not_forgotten(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.turn("first")
    world.edit("a.txt", "one", "two")
    (world.project / "a.txt").write_text("one\n")
    world.turn("only talk")
    (world.directory / f"{world.checkpoints.all()[0].id}.json").unlink()
    for content in (world.directory / "contents").iterdir():
        os.utime(content, (0, 0))
    save, other = Checkpoints._save, Checkpoints(world.directory, world.workspace, FakeClock())

    def save_late(self: Checkpoints, checkpoint: Checkpoint) -> None:
        if self is not other:
            other.begin_turn("at that moment")
            other.keep(world.workspace.locate("c.txt"), b"c")
        save(self, checkpoint)

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "_save", save_late)
        world.turn("second")
        world.edit("a.txt", "one", "three")
    assert world.checkpoints.undo(session_id="s").restored == ("a.txt",)


def test_many_can_record_at_once(world: World) -> None:
    """Each has its own turn, under its own id, with all that an undo needs."""
    everyone = threading.Barrier(8)

    def record(number: int) -> None:
        own = Checkpoints(world.directory, Workspace(world.project), FakeClock())
        (world.project / f"{number}.txt").write_text(f"before {number}")
        own.begin_turn(f"turn {number}", f"session {number}")
        everyone.wait()
        own.keep(world.workspace.locate(f"{number}.txt"), b"after")
        (world.project / f"{number}.txt").write_bytes(b"after")

    threads = [threading.Thread(target=record, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = world.checkpoints.all()
    assert {each.title for each in found} == {f"turn {number}" for number in range(8)}
    assert len({each.id for each in found}) == 8
    for number in range(8):
        undone = world.checkpoints.undo(session_id=f"session {number}")
        assert undone.restored == (f"{number}.txt",)
        assert world.text(f"{number}.txt") == f"before {number}"


def test_a_session_steps_through_its_own_turns(world: World) -> None:
    world.turn("mine", 0, "mine")
    world.write("mine.txt", "m")
    world.turn("theirs", 0, "theirs")
    world.write("theirs.txt", "t")
    checkpoints = world.checkpoints
    assert checkpoints.undo(session_id="mine").removed == ("mine.txt",)
    with pytest.raises(UsageError, match="nothing to undo in this conversation"):
        checkpoints.undo(session_id="mine")
    with pytest.raises(UsageError, match="nothing to redo"):
        checkpoints.redo(session_id="theirs")
    assert checkpoints.redo(session_id="mine").restored == ("mine.txt",)
    assert world.text("theirs.txt") == "t"
    assert checkpoints.undo().removed == ("theirs.txt",), "the project's latest"


def test_a_turn_of_which_nothing_could_be_undone_is_not_undone(world: World) -> None:
    world.turn("t")
    world.edit("a.txt", "one", "two")
    (world.project / "a.txt").write_text("mine\n")
    for _ in range(2):
        assert world.checkpoints.undo() == Undone(left=("a.txt",))
    (world.project / "a.txt").write_text("two\n")
    assert world.checkpoints.undo().restored == ("a.txt",)
    (world.project / "a.txt").write_text("mine\n")
    for _ in range(2):
        assert world.checkpoints.redo() == Undone(left=("a.txt",))
    (world.project / "a.txt").write_text("one\n")
    assert world.checkpoints.redo().restored == ("a.txt",)


def test_a_list_that_is_damaged_is_passed_over(world: World) -> None:
    world.checkpoints.begin_turn("t")
    world.edit("a.txt", "one", "two")
    (world.directory / "20990101-000000-000.json").write_text("{")
    (world.directory / "20990101-000000-001.json").write_text("[" * 100_000)
    assert world.checkpoints.undo().restored == ("a.txt",)


def three_turns(world: World) -> None:
    """Edits, a new file, and a removed one."""
    (world.project / "old.txt").write_text("old\n")
    world.turn("first", 0)
    world.edit("a.txt", "one", "two")
    world.turn("second", 1)
    world.edit("a.txt", "two", "three")
    world.write("new/b.txt", "fresh")
    world.turn("third", 2)
    world.write("new/b.txt", "fresher")
    world.remove("old.txt")


def texts(world: World) -> tuple[str | None, str | None, str | None]:
    return world.text("a.txt"), world.text("new/b.txt"), world.text("old.txt")


STATES = [
    ("one\n", None, "old\n"),
    ("two\n", None, "old\n"),
    ("three\n", "fresh", "old\n"),
    ("three\n", "fresher", None),
]


def test_undo_steps_back_and_redo_forward(world: World) -> None:
    three_turns(world)
    for state in reversed(STATES[:-1]):
        assert world.checkpoints.undo().left == ()
        assert texts(world) == state
    with pytest.raises(UsageError, match="nothing to undo"):
        world.checkpoints.undo()
    for state in STATES[1:]:
        assert world.checkpoints.redo().left == ()
        assert texts(world) == state
    with pytest.raises(UsageError, match="nothing to redo"):
        world.checkpoints.redo()
    assert [each.state for each in world.checkpoints.all()] == ["done"] * 3


def test_what_was_removed_and_what_was_put_back_is_told_apart(world: World) -> None:
    three_turns(world)
    assert world.checkpoints.undo() == Undone(restored=("old.txt", "new/b.txt"))
    assert world.checkpoints.undo() == Undone(restored=("a.txt",), removed=("new/b.txt",))
    assert world.checkpoints.redo() == Undone(restored=("a.txt", "new/b.txt"))
    assert world.checkpoints.redo() == Undone(restored=("new/b.txt",), removed=("old.txt",))


def test_states_are_on_disk(world: World) -> None:
    three_turns(world)
    world.checkpoints.undo()
    world.checkpoints.undo()
    again = Checkpoints(world.directory, Workspace(world.project), FakeClock())
    assert [each.state for each in again.all()] == ["undone", "undone", "done"]
    again.redo()
    assert texts(world) == STATES[2]


def test_a_new_change_ends_the_redo(world: World) -> None:
    three_turns(world)
    world.checkpoints.undo()
    world.checkpoints.undo()
    world.turn("another")
    world.edit("a.txt", "two", "four")
    with pytest.raises(UsageError, match="nothing to redo"):
        world.checkpoints.redo()
    assert len(world.checkpoints.all()) == 4, "nothing is deleted"
    world.checkpoints.undo()
    world.checkpoints.redo()
    assert world.text("a.txt") == "four\n", "the turn that was undone last, not an older branch"
    with pytest.raises(UsageError, match="nothing to redo"):
        world.checkpoints.redo()


def test_talk_after_an_undo_keeps_the_redo(world: World) -> None:
    three_turns(world)
    world.checkpoints.undo()
    world.turn("only talk")
    world.checkpoints.redo()
    assert texts(world) == STATES[3]


def test_a_given_turn_is_undone_and_redone(world: World) -> None:
    world.turn("first")
    world.write("b.txt", "b")
    world.turn("second")
    world.write("c.txt", "c")
    second, first = world.checkpoints.all()
    world.checkpoints.undo(first.id)
    assert (world.text("b.txt"), world.text("c.txt")) == (None, "c")
    with pytest.raises(UsageError, match="already undone") as error:
        world.checkpoints.undo(first.id)
    assert error.value.hint == f"Redo it: qwen --redo {first.id}"
    with pytest.raises(UsageError, match="not undone"):
        world.checkpoints.redo(second.id)
    with pytest.raises(UsageError, match="no checkpoint 'x'"):
        world.checkpoints.undo("x")
    assert world.checkpoints.redo(first.id).restored == ("b.txt",)
    assert world.text("b.txt") == "b"


def test_a_change_by_hand_survives_undo_and_redo(world: World) -> None:
    three_turns(world)
    (world.project / "a.txt").write_text("mine\n")
    for _ in range(3):
        world.checkpoints.undo()
    assert world.text("a.txt") == "mine\n"
    assert world.checkpoints.redo() == Undone(restored=("new/b.txt",), left=("a.txt",))
    world.checkpoints.redo()
    assert texts(world) == ("mine\n", "fresher", None)


def test_a_change_by_hand_after_an_undo_survives_the_redo(world: World) -> None:
    world.turn("t")
    world.edit("a.txt", "one", "two")
    world.checkpoints.undo()
    (world.project / "a.txt").write_text("mine\n")
    assert world.checkpoints.redo().left == ("a.txt",)
    assert world.text("a.txt") == "mine\n"


def test_what_is_no_file_any_more_is_left(world: World) -> None:
    world.turn("t")
    world.write("b.txt", "b")
    world.write("c.txt", "c")
    (world.project / "b.txt").unlink()
    (world.project / "b.txt").mkdir()
    (world.project / "c.txt").unlink()
    (world.project / "c.txt").symlink_to("a.txt")
    assert set(world.checkpoints.undo().left) == {"b.txt", "c.txt"}
    assert (world.project / "a.txt").read_text() == "one\n"


def test_a_content_that_is_gone_is_told(world: World) -> None:
    world.turn("t")
    world.edit("a.txt", "one", "two")
    for content in (world.directory / "contents").iterdir():
        content.write_bytes(b"damaged")
    assert world.checkpoints.undo().missing == ("a.txt",)
    assert world.text("a.txt") == "two\n"


@pytest.mark.parametrize("survives", range(4))
@pytest.mark.parametrize("way", ["undo", "redo"])
def test_a_kill_in_the_middle_is_finished_by_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch, survives: int, way: str
) -> None:
    world.turn("t")
    world.edit("a.txt", "one", "two")
    world.write("b.txt", "b")
    (world.project / "old.txt").write_text("old\n")
    world.remove("old.txt")
    if way == "redo":
        world.checkpoints.undo()
    calls = 0

    def dying(original: Callable[..., None]) -> Callable[..., None]:
        def replacement(*arguments: object, **options: object) -> None:
            nonlocal calls
            calls += 1
            if calls > survives:
                raise KeyboardInterrupt
            original(*arguments, **options)

        return replacement

    with monkeypatch.context() as patch:
        for name in ("write", "remove"):
            patch.setattr(Workspace, name, dying(getattr(Workspace, name)))
        patch.setattr(Checkpoints, "_save", dying(Checkpoints._save))
        with pytest.raises(KeyboardInterrupt):
            getattr(world.checkpoints, way)()
    again = Checkpoints(world.directory, Workspace(world.project), FakeClock())
    finished = getattr(again, way)()
    assert (finished.left, finished.missing) == ((), ())
    undone, done = ("one\n", None, "old\n"), ("two\n", "b", None)
    names = ("a.txt", "b.txt", "old.txt")
    assert tuple(map(world.text, names)) == (undone if way == "undo" else done)
    getattr(again, "redo" if way == "undo" else "undo")()
    assert tuple(map(world.text, names)) == (done if way == "undo" else undone)


def test_a_write_that_failed_does_not_keep_a_turn_from_being_undone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise ToolFailed("a.txt: no space left on device")

    world.turn("t")
    world.edit("a.txt", "one", "two")
    with monkeypatch.context() as patch:
        patch.setattr(Workspace, "write", full)
        for word in ("three", "four"):
            with pytest.raises(ToolFailed):
                world.edit("a.txt", "two", word)
    assert world.checkpoints.undo().restored == ("a.txt",)
    assert world.text("a.txt") == "one\n"
    assert world.checkpoints.redo().restored == ("a.txt",)
    assert world.text("a.txt") == "two\n"


def test_the_turns_of_a_session_are_undone_together(world: World) -> None:
    three_turns(world)
    world.turn("elsewhere", 5, session="other")
    world.write("other.txt", "other")
    assert world.checkpoints.undo_back_to("s", 1) == Undone(
        restored=("old.txt", "a.txt"), removed=("new/b.txt",)
    )
    assert texts(world) == STATES[1]
    assert world.text("other.txt") == "other"
    assert [each.state for each in world.checkpoints.all()] == ["done", "undone", "undone", "done"]
    assert world.checkpoints.undo_back_to("s", 1) == Undone()
    assert world.checkpoints.undo_back_to("", 0) == Undone()
    assert world.checkpoints.undo_back_to("s", 0).restored == ("a.txt",)


def test_a_killed_undo_of_several_turns_is_finished(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    three_turns(world)
    with monkeypatch.context() as patch:
        patch.setattr(Workspace, "remove", lambda *_: pytest.fail("killed"))
        with pytest.raises(BaseException, match="killed"):
            world.checkpoints.undo_back_to("s", 0)
    assert world.checkpoints.undo_back_to("s", 0).left == ()
    assert texts(world) == STATES[0]


def test_files_of_older_versions_are_read(world: World) -> None:
    world.turn("t", 3)
    world.edit("a.txt", "one", "two")
    (path,) = world.directory.glob("*.json")
    data = json.loads(path.read_text())
    assert (data["session_id"], data["turn"]) == ("s", 3)
    old_fields = ("id", "at", "title", "files")
    old_file_fields = ("root", "names", "before", "after")
    data["files"] = [{name: file[name] for name in old_file_fields} for file in data["files"]]
    path.write_text(json.dumps({name: data[name] for name in old_fields}))
    (checkpoint,) = world.checkpoints.all()
    assert (checkpoint.state, checkpoint.session_id) == ("done", "")
    world.checkpoints.undo()
    world.checkpoints.redo()
    assert world.text("a.txt") == "two\n"


def test_contents_for_a_redo_outlive_the_forgetting_of_old_turns(world: World) -> None:
    for number in range(49):
        world.turn(f"turn {number}")
        world.write("b.txt", f"content {number}")
    world.checkpoints.undo()
    world.turn("another")
    world.write("c.txt", "c")
    world.turn("and another")
    world.write("c.txt", "cc")
    undone = next(each for each in world.checkpoints.all() if each.state == "undone")
    world.checkpoints.redo(undone.id)
    assert world.text("b.txt") == "content 48"


def test_a_title_holds_no_secret(world: World) -> None:
    Secret("sk-checkpoint-0123456789")
    world.turn("use sk-checkpoint-0123456789")
    world.edit("a.txt", "one", "two")
    assert world.checkpoints.all()[0].title.startswith("use [secret:")


def test_a_change_by_hand_in_the_middle_of_a_turn_is_what_undo_goes_back_to(world: World) -> None:
    world.turn("t")
    world.edit("a.txt", "one", "two")
    (world.project / "a.txt").write_text("two\nand a paragraph of mine\n")
    world.edit("a.txt", "two", "three")
    world.edit("a.txt", "three", "four")
    assert world.checkpoints.undo().restored == ("a.txt",)
    assert world.text("a.txt") == "two\nand a paragraph of mine\n"
    assert world.checkpoints.redo().restored == ("a.txt",)
    assert world.text("a.txt") == "four\nand a paragraph of mine\n"


def test_one_file_that_cannot_be_put_back_does_not_keep_the_others(world: World) -> None:
    """A directory of the turn has become a file, or a link."""
    for number, name in enumerate(("d", "e")):
        world.turn(f"turn {number}", number)
        world.write(f"{name}/deep/one.txt", "1")
        world.write(f"{name}.txt", "z")
        world.checkpoints.undo()
        shutil.rmtree(world.project / name)
    (world.project / "d").write_text("mine")
    (world.project / "e").symlink_to(world.project)
    assert world.checkpoints.redo() == Undone(restored=("e.txt",), left=("e/deep/one.txt",))
    assert world.checkpoints.redo(world.checkpoints.all()[-1].id) == Undone(
        restored=("d.txt",), left=("d/deep/one.txt",)
    )
    assert (world.text("d"), world.text("d.txt"), world.text("e.txt")) == ("mine", "z", "z")


@pytest.mark.parametrize("torn", ["one\nx", "ONE\ntwo\n", "ON\u0045\ntwo\nthr"])
def test_a_write_in_place_that_was_killed_is_undone(world: World, torn: str) -> None:
    file = world.project / "a.txt"
    os.link(file, world.project / "other.txt")
    world.turn("t")
    world.edit("a.txt", "one", "ONE\\ntwo\\nthree" if "x" not in torn else "one\\nxyz")
    file.write_text(torn)
    assert world.checkpoints.undo().restored == ("a.txt",)
    assert world.text("other.txt") == "one\n"


def test_a_users_change_of_a_linked_file_is_left(world: World) -> None:
    os.link(world.project / "a.txt", world.project / "other.txt")
    world.turn("t")
    world.edit("a.txt", "one", "two")
    (world.project / "a.txt").write_text("mine\n")
    assert world.checkpoints.undo().left == ("a.txt",)
