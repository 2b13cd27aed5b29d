from __future__ import annotations

import os
import shutil
import stat
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.workspace import Place, Workspace


def read(workspace: Workspace, text: str) -> bytes:
    return workspace.read(workspace.locate(text), 1000)


def test_paths_inside_by_any_spelling(workspace: Workspace, project: Path) -> None:
    for text in ("src/a.py", "./src/../src/a.py", str(project / "src" / "a.py"), "src//a.py"):
        assert read(workspace, text) == b"inside"
    assert workspace.locate(".").shown == "."


@pytest.mark.parametrize(
    "text",
    ["../secret", "src/../../secret", "/etc/passwd", "..", "/", "", "a\0b"],
)
def test_paths_outside(workspace: Workspace, text: str) -> None:
    with pytest.raises(ToolFailed):
        workspace.locate(text)


def test_a_sibling_with_the_same_beginning_is_outside(workspace: Workspace, project: Path) -> None:
    with pytest.raises(ToolFailed, match="outside"):
        workspace.locate(f"{project}-evil/x")


@pytest.mark.parametrize("target", ["../secret", "..", "/etc"])
def test_links_that_lead_out(workspace: Workspace, project: Path, target: str) -> None:
    (project / "link").symlink_to(target)
    for text in ("link", "link/passwd", "link/secret", "src/../link"):
        with pytest.raises(ToolFailed, match="outside"):
            workspace.locate(text)


def test_links_that_stay_inside_are_followed(workspace: Workspace, project: Path) -> None:
    (project / "link").symlink_to("src")
    assert read(workspace, "link/a.py") == b"inside"
    workspace.write(workspace.locate("link/b.py"), b"new")
    assert (project / "src" / "b.py").read_bytes() == b"new"


def test_added_folders_belong_to_it(project: Path, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    workspace = Workspace(project, [tmp_path / "more"])
    workspace.write(workspace.locate(str(tmp_path / "more" / "x")), b"1")
    assert (tmp_path / "more" / "x").read_bytes() == b"1"


def test_a_link_that_comes_after_the_check_is_not_followed(
    workspace: Workspace, project: Path, tmp_path: Path
) -> None:
    place = workspace.locate("src/a.py")
    (project / "src").rename(project / "was")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.py").write_text("stolen")
    (project / "src").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ToolFailed, match="link"):
        workspace.read(place, 1000)
    with pytest.raises(ToolFailed, match="link"):
        workspace.write(place, b"overwritten")
    assert (tmp_path / "elsewhere" / "a.py").read_text() == "stolen"


def test_a_link_at_the_end_is_replaced_and_not_followed(
    workspace: Workspace, project: Path, tmp_path: Path
) -> None:
    place = workspace.locate("src/new")
    (project / "src" / "new").symlink_to(tmp_path / "secret")
    with pytest.raises(ToolFailed):
        workspace.read(place, 1000)
    with pytest.raises(ToolFailed):
        workspace.write(place, b"x")
    assert (tmp_path / "secret").read_text() == "outside"


def test_a_race_never_reads_or_writes_outside(
    workspace: Workspace, project: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.py").write_text("stolen")
    ended = threading.Event()

    def swap() -> None:
        inside, aside = project / "src", project / "aside"
        while not ended.is_set():
            inside.rename(aside)
            with suppress(FileExistsError):  # a write has made the directory anew
                inside.symlink_to(outside)
            if inside.is_symlink():
                inside.unlink()
            while aside.exists():
                shutil.rmtree(inside, ignore_errors=True)
                with suppress(OSError):
                    aside.rename(inside)

    swapping = threading.Thread(target=swap, daemon=True)
    swapping.start()
    for number in range(400):
        try:
            place = workspace.locate("src/a.py")
            assert workspace.read(place, 1000) != b"stolen"
            workspace.write(place, b"inside %d" % number)
        except ToolFailed:
            continue
    ended.set()
    swapping.join(5)
    assert (outside / "a.py").read_text() == "stolen"
    assert [path.name for path in outside.iterdir()] == ["a.py"]


def test_writing_keeps_the_mode_and_makes_directories(workspace: Workspace, project: Path) -> None:
    script = project / "src" / "run.sh"
    script.write_text("old")
    script.chmod(0o751)
    workspace.write(workspace.locate("src/run.sh"), b"new")
    assert stat.S_IMODE(script.stat().st_mode) == 0o751
    workspace.write(workspace.locate("a/b/c.txt"), b"deep")
    assert (project / "a" / "b" / "c.txt").read_bytes() == b"deep"
    assert [path.name for path in (project / "a" / "b").iterdir()] == ["c.txt"]


def test_a_write_that_fails_leaves_what_was_there(
    workspace: Workspace, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ToolFailed, match="no space left"):
        workspace.write(workspace.locate("src/a.py"), b"new")
    assert [path.name for path in (project / "src").iterdir()] == ["a.py"]
    assert (project / "src" / "a.py").read_text() == "inside"


def test_what_is_no_file(workspace: Workspace, project: Path) -> None:
    os.mkfifo(project / "pipe")
    for text, reason in [
        ("src", "not a regular file"),
        ("pipe", "not a regular file"),
        ("none", "no such file"),
    ]:
        with pytest.raises(ToolFailed, match=reason):
            read(workspace, text)
    for text in ("src", ".", "pipe"):
        with pytest.raises(ToolFailed):
            workspace.write(workspace.locate(text), b"x")


def test_a_file_that_is_too_large_says_how_to_go_on(workspace: Workspace, project: Path) -> None:
    (project / "big").write_bytes(bytes(1001))
    with pytest.raises(ToolFailed, match="1,001 bytes.*grep"):
        read(workspace, "big")


def test_a_place_shows_itself_from_its_root(workspace: Workspace) -> None:
    place = workspace.locate("src/a.py")
    assert place == Place(workspace.roots[0], ("src", "a.py"))
    assert place.shown == "src/a.py"


class TestWhatStaysClosed:
    @pytest.fixture
    def home(self, tmp_path: Path) -> Path:
        home = tmp_path / "somebody"
        (home / ".qwen").mkdir(parents=True)
        (home / ".qwen" / "oauth_creds.json").write_text("a token")
        (home / "link").symlink_to(".qwen")
        return home

    @pytest.mark.parametrize(
        "path", [".qwen", ".qwen/oauth_creds.json", "link/oauth_creds.json", ".qwen/new"]
    )
    def test_credentials_when_the_workspace_is_the_home(self, home: Path, path: str) -> None:
        workspace = Workspace(home, private=[home / ".qwen"])
        with pytest.raises(ToolFailed, match="holds credentials"):
            workspace.locate(path)
        assert workspace.closed.is_private(home / path)
        assert not workspace.closed.is_private(home)

    def test_a_hard_copy_of_the_directory_under_another_spelling(self, home: Path) -> None:
        workspace = Workspace(home, private=[home / "x" / ".." / ".qwen"])
        with pytest.raises(ToolFailed, match="holds credentials"):
            workspace.locate(str(home / ".qwen"))

    def test_a_projects_own_file_for_keys(self, workspace: Workspace, project: Path) -> None:
        (project / ".qwen").mkdir()
        for closed in (".qwen/.env", "src/.qwen/.env"):
            with pytest.raises(ToolFailed, match="holds credentials"):
                workspace.locate(closed)
        workspace.locate(".env")

    def test_what_the_ignore_file_names(self, workspace: Workspace, project: Path) -> None:
        (project / ".qwenignore").write_text("/private/\n*.pem\n!ok.pem\n")
        (project / "private").mkdir()
        for closed in ("private", "private/a.txt", "src/key.pem"):
            with pytest.raises(ToolFailed, match="denied: .qwenignore names it"):
                workspace.locate(closed)
        for open_ in (".", "src/a.py", "src/ok.pem", "src/private.txt"):
            workspace.locate(open_)
