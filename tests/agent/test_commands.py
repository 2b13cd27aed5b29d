from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_code.agent.commands import CommandFile, expand, find_commands, read_commands
from qwen_code.agent.permission import No, Permission
from qwen_code.agent.rules.judge import Judge
from qwen_code.agent.rules.types import Mode
from qwen_code.agent.toolbox import Toolbox
from qwen_code.base.errors import InputError
from qwen_code.base.stop import Stop
from qwen_code.tools.files import ReadFile
from qwen_code.tools.seen import Seen
from qwen_code.tools.shell import RunShellCommand
from qwen_code.tools.workspace import Workspace


def command(text: str) -> CommandFile:
    return CommandFile("/x", "", text, Path("x.md"))


def expanded(text: str, arguments: str, cwd: Path, mode: Mode = Mode.YOLO) -> str:
    workspace = Workspace(cwd)
    tools: dict[str, Any] = {
        "read_file": ReadFile(workspace, Seen()),
        "run_shell_command": RunShellCommand(workspace, {"PATH": "/usr/bin:/bin"}, cwd / "out"),
    }
    toolbox = Toolbox([t.definition for t in tools.values()], lambda each: tools[each.name])
    permission = Permission(Judge(mode), lambda _: No("nobody is there"))
    steps = expand(command(text), arguments, toolbox, permission, Stop())
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return str(end.value)


@pytest.mark.parametrize(
    ("text", "arguments", "prompt"),
    [
        ("Say {{args}}!", "hello", "Say hello!"),
        ("Say $ARGUMENTS, $ARGUMENTSX", "a", "Say a, $ARGUMENTSX"),
        ("Just do it", "now", "Just do it\n\nnow"),
        ("Just do it", "", "Just do it"),
        ("An email@{not closed", "", "An email@{not closed"),
        ("{{args}}", "@{a.txt} !{rm x}", "@{a.txt} !{rm x}"),
        ("see @{ a.txt }.", "", "see alpha."),
        pytest.param("!{echo {{args}}}", "$(id); 'x'", "$(id); 'x'", marks=pytest.mark.process),
        pytest.param("!{printf %s {a,b}}", "", "ab", marks=pytest.mark.process),
    ],
)
def test_what_it_becomes(tmp_path: Path, text: str, arguments: str, prompt: str) -> None:
    (tmp_path / "a.txt").write_text("alpha")
    assert expanded(text, arguments, tmp_path) == prompt


@pytest.mark.parametrize("text", ["@{../secret}", "@{missing}", "!{touch made}"])
def test_what_may_not_be_had(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError):
        expanded(text, "", tmp_path, Mode.DEFAULT)
    assert not (tmp_path / "made").exists()


@given(st.text(max_size=80))
def test_any_arguments_are_only_words(text: str) -> None:
    assert expanded("[{{args}}]", text, Path("/")) == f"[{text}]".strip()


def test_files_by_name(tmp_path: Path) -> None:
    mine, ours = tmp_path / "mine", tmp_path / "ours"
    for path, text in (
        (mine / "a.md", "mine"),
        (ours / "a.md", "---\nmodel: x\ndescription: 'Ours'\n---\n\nbody\n"),
        (ours / "git" / "commit.md", "\n# Commit\r\nall"),
        (ours / "bad name.md", "x"),
        (ours / "notes.txt", "x"),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (ours / "binary.md").write_bytes(b"\xff")
    (tmp_path / "secret.md").write_text("token")
    (ours / "link.md").symlink_to(tmp_path / "secret.md")
    found_files = find_commands([mine, ours])
    assert set(found_files) == {"/a", "/project:a", "/git:commit", "/binary"}
    assert found_files["/a"] == mine / "a.md"  # a project does not take the place of the user's
    found = read_commands([mine, ours, tmp_path / "none"])
    assert [(c.name, c.description, c.text) for c in found] == [
        ("/a", "mine", "mine"),
        ("/git:commit", "# Commit", "# Commit\nall"),
        ("/project:a", "Ours", "body"),
    ]


def test_a_directory_that_leads_to_everything(tmp_path: Path) -> None:
    """Only so many of its entries are looked at."""
    everything = tmp_path / "everything"
    for n in range(60):
        folder = everything / f"d{n:02}"
        folder.mkdir(parents=True)
        for k in range(100):
            (folder / f"{k}").touch()
    (everything / "d00" / "first.md").write_text("x")
    (everything / "d59" / "last.md").write_text("x")
    commands = tmp_path / "commands"
    commands.symlink_to(everything)
    assert list(find_commands([commands])) == ["/d00:first"]


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_command_that_is_no_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.md"
    os.mkfifo(path) if kind == "pipe" else path.symlink_to("/dev/zero")
    assert read_commands([tmp_path]) == []
