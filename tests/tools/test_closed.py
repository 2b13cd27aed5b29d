from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from qwen_code.tools.base import Result
from qwen_code.tools.closed import IGNORE_FILES
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.files import ReadFile
from qwen_code.tools.listing import ListDirectory
from qwen_code.tools.sandbox_paths import layout
from qwen_code.tools.search import Glob, Grep
from qwen_code.tools.seen import Seen
from qwen_code.tools.workspace import Place, Workspace


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository in which ``secret.txt`` and ``keys/`` are to be closed."""
    project = tmp_path / "project"
    for name in (".git/HEAD", "secret.txt", "keys/a.txt", "src/secret.txt", "src/open.txt"):
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("word\n")
    return project


def found_by_tools(
    workspace: Workspace, environ: dict[str, str], call: Callable[..., Result]
) -> set[str]:
    """The files that any tool shows or reads."""
    found = set()
    for path in (p for p in workspace.roots[0].rglob("*") if p.is_file() and ".git" not in p.parts):
        name = path.relative_to(workspace.roots[0]).as_posix()
        try:
            call(ReadFile(workspace, Seen()), path=name)
            found.add(name)
        except ToolFailed:
            pass
        try:
            listed = call(ListDirectory(workspace), path=str(path.parent)).text
            if path.name in listed.splitlines():
                found.add(name)
        except ToolFailed:
            pass
    lines = call(Grep(workspace, environ), pattern="word").text.splitlines()
    found |= {line.partition(":")[0] for line in lines if ":" in line}
    for pattern in ("**/*.txt", "*.txt"):
        names = call(Glob(workspace, environ), pattern=pattern).text.splitlines()
        found |= {name for name in names if name.endswith(".txt")}
    return found


@pytest.mark.process
@pytest.mark.parametrize("ignore_file", IGNORE_FILES)
@pytest.mark.parametrize("opened_by", ["", ".ignore", ".rgignore", ".gitignore"])
def test_no_tool_shows_what_an_ignore_file_names(
    project: Path,
    environ: dict[str, str],
    call: Callable[..., Result],
    ignore_file: str,
    opened_by: str,
) -> None:
    """Whatever a project's files say that ripgrep reads."""
    (project / ignore_file).write_text("secret.txt\nkeys/\n")
    if opened_by:
        (project / opened_by).write_text("!secret.txt\n!keys/\n!*.txt\n")
        (project / "src" / opened_by).write_text("!*.txt\n")
    found = found_by_tools(Workspace(project), environ, call)
    assert {name for name in found if name.endswith(".txt")} == {"src/open.txt"}


@pytest.mark.process
def test_no_tool_shows_what_rules_forbid_to_read(
    project: Path, environ: dict[str, str], call: Callable[..., Result]
) -> None:
    def forbidden(path: Path) -> str:
        return "a rule denies it" if "secret" in path.name or path.parent.name == "keys" else ""

    workspace = Workspace(project, forbidden=forbidden)
    assert found_by_tools(workspace, environ, call) == {"src/open.txt"}


@pytest.mark.parametrize("cwd", ["src", "src/deeper"])
def test_the_lists_of_the_folders_above_count(project: Path, cwd: str) -> None:
    (project / ".qwenignore").write_text("/src/secret.txt\n")
    (project / cwd).mkdir(exist_ok=True)
    with pytest.raises(ToolFailed, match="outside|names it"):
        Workspace(project / "src").locate("secret.txt")
    Workspace(project / "src").locate("open.txt")


@pytest.mark.parametrize("kind", ["pipe", "directory", "device", "link to nothing", "huge"])
def test_a_list_that_cannot_be_read_closes_everything(project: Path, kind: str) -> None:
    file = project / ".aiignore"
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "directory":
        file.mkdir()
    elif kind == "device":
        file.symlink_to("/dev/zero")
    elif kind == "huge":
        file.write_bytes(b"#" * 1_100_000)
    else:
        file.symlink_to("nothing")
    with pytest.raises(ToolFailed, match="cannot be read"):
        Workspace(project).locate("src/open.txt")


@pytest.mark.parametrize("data", [b"\xef\xbb\xbfsecret.txt\n", b"\xef\xbb\xbf\r\nsecret.txt\r\n"])
def test_a_list_with_a_byte_order_mark(project: Path, data: bytes) -> None:
    (project / ".qwenignore").write_bytes(data)
    with pytest.raises(ToolFailed, match="names it"):
        Workspace(project).locate("secret.txt")
    Workspace(project).locate("src/open.txt")


@pytest.mark.parametrize("data", ["secret.txt\n".encode("utf-16"), "g\xe4heim\n".encode("latin-1")])
def test_a_list_in_another_encoding_closes_everything(project: Path, data: bytes) -> None:
    (project / ".qwenignore").write_bytes(data)
    with pytest.raises(ToolFailed, match="it is not UTF-8"):
        Workspace(project).locate("src/open.txt")


def test_what_a_sandbox_has_to_hide(project: Path) -> None:
    for folder in (project, project / "src", project / "src" / "deep"):
        (folder / ".qwen").mkdir(parents=True)
        (folder / ".qwen" / ".env").touch()
    found = {p for p in Workspace(project).closed.below(project) if p.exists()}
    assert found == {project / f / ".qwen" / ".env" for f in ("", "src", "src/deep")}
    (project / ".qwenignore").write_text("keys/\n")
    assert project / "keys" in set(Workspace(project).closed.below(project))


def test_a_sandbox_is_refused_where_too_much_must_be_looked_at(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / ".qwenignore").write_text("*.pem\n")
    many = project / "many"
    many.mkdir()
    for number in range(20):
        (many / f"{number}.txt").touch()
    monkeypatch.setattr("qwen_code.tools.closed._MAX_LOOKED_AT", 15)
    with pytest.raises(ToolFailed, match=r"more than 15 files: .* without the sandbox"):
        list(Workspace(project).closed.below(project))


def test_what_is_closed_stays_closed_in_the_session(project: Path) -> None:
    file = project / ".qwenignore"
    file.write_text("secret.txt\n")
    workspace = Workspace(project)
    for change in (lambda: file.write_text("keys/\n"), file.unlink):
        change()
        with pytest.raises(ToolFailed, match="names it"):
            workspace.locate("secret.txt")
    with pytest.raises(ToolFailed, match="names it"):
        workspace.locate("keys/a.txt")


@pytest.mark.parametrize("name", [*IGNORE_FILES, ".QwenIgnore"])
def test_tools_do_not_change_the_lists(project: Path, name: str) -> None:
    (project / name).write_text("secret.txt\n")
    workspace = Workspace(project)
    place = Place(workspace.roots[0], (name,))
    with pytest.raises(ToolFailed, match="only the user"):
        workspace.write(place, b"")
    with pytest.raises(ToolFailed, match="only the user"):
        workspace.remove(place)
    assert (project / name).read_text() == "secret.txt\n"


@pytest.mark.process
@pytest.mark.parametrize("folder", ["", "sub", "sub/deep"])
def test_files_for_keys_at_any_depth(
    project: Path, environ: dict[str, str], call: Callable[..., Result], folder: str
) -> None:
    keys = project / folder / ".qwen" / ".env"
    keys.parent.mkdir(parents=True)
    keys.write_text("KEY=word\n")
    (project / ".ignore").write_text("!.env\n!.qwen\n")
    workspace = Workspace(project)
    assert not [name for name in found_by_tools(workspace, environ, call) if ".env" in name]
    assert workspace.closed.holds(keys) and not workspace.closed.holds(project / "src")


@pytest.mark.process
@pytest.mark.parametrize("is_there", [True, False])
def test_the_files_of_another_program_are_closed(
    project: Path, environ: dict[str, str], call: Callable[..., Result], is_there: bool
) -> None:
    """Also under other names, and to what would create one."""
    channel = project / "src" / "secret.txt"
    (project / "linked.txt").symlink_to(channel)
    (project / "same.txt").hardlink_to(channel)
    if not is_there:
        (project / "same.txt").unlink()
        channel.unlink()
    workspace = Workspace(project, channels=[channel])
    for name in ("src/secret.txt", "src/../src/secret.txt", "linked.txt", "same.txt"):
        if is_there or name != "same.txt":
            with pytest.raises(ToolFailed, match="another program takes part"):
                workspace.locate(name)
    if is_there:
        assert found_by_tools(workspace, environ, call) == {
            *("secret.txt", "keys/a.txt", "src/open.txt")
        }
    closed = workspace.closed
    assert closed.holds(project / "src") and not closed.holds(project / "keys")
    assert channel in layout([project], closed, {}).hidden or not is_there
