from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_code.agent.commands import CommandFile, expand, find_commands, read_commands
from qwen_code.agent.mentions import MentionReader, Sight
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
    sight = Sight(frozenset(), 10_000)
    reader = MentionReader(toolbox, permission, workspace, cwd / "home", sight, Stop())
    steps = expand(command(text), arguments, toolbox, permission, reader, Stop())
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return str(end.value.text)


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


@pytest.mark.parametrize("text", ["!{touch made}", "!{touch made} !{touch too}"])
def test_a_command_that_is_not_allowed_ends_it(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError):
        expanded(text, "", tmp_path, Mode.DEFAULT)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("text", ["see @{../secret}!", "see @{missing}!", "see @{ }!"])
def test_a_file_that_cannot_be_read_stays_as_it_is_written(tmp_path: Path, text: str) -> None:
    assert expanded(text, "", tmp_path, Mode.DEFAULT) == text


@pytest.mark.process
@pytest.mark.parametrize(
    ("text", "arguments", "prompt"),
    [
        ("!{printf %s $ARGUMENTS}", "a b", "ab"),
        ("!{printf %s $ARGUMENTS}", "a; id", "a; id"),
        ("!{printf %s {{args}}}", "a b", "a b"),
        ("!{ echo a }!{}!{echo b}", "", "ab"),
    ],
)
def test_arguments_of_a_command(tmp_path: Path, text: str, arguments: str, prompt: str) -> None:
    assert expanded(text, arguments, tmp_path) == prompt


@pytest.mark.process
def test_a_command_that_fails_is_told_with_its_exit_code(tmp_path: Path) -> None:
    found = expanded("The tests: !{echo no >&2; exit 3}", "", tmp_path)
    assert "no" in found
    assert "exit code 3" in found


def test_what_is_put_in_is_not_looked_at_again(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("!{touch made} @{b.txt} {{args}}")
    assert expanded("@{a.txt}", "", tmp_path) == "!{touch made} @{b.txt} {{args}}"
    assert expanded("@{{{args}}}", "a.txt", tmp_path).startswith("!{touch")


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


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('prompt = "a"\nprompt = "b"', "line 2"),
        ("prompt = 1", "line 1: prompt must be a text"),
        ('description = "x"', "line 1: prompt is missing"),
        ('prompt = "a"\ndescription = 3', "line 2: description must be a text"),
        ('prompt = "a', "line 1"),
        ('prompt = ""', "it has no text"),
    ],
)
def test_a_broken_toml_file_costs_itself(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "good.toml").write_text('description = "Good"\nprompt = """\nDo {{args}}\n"""\n')
    (tmp_path / "bad.toml").write_text(text)
    said: list[str] = []
    [good] = read_commands([tmp_path], said.append)
    assert (good.name, good.description, good.text) == ("/good", "Good", "Do {{args}}")
    assert len(said) == 1
    assert str(tmp_path / "bad.toml") in said[0]
    assert problem in said[0]


def test_front_matter_of_other_programs(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(
        "---\ndescription: >\n  Looks at\n  it\nargument-hint: '[file]'\nallowed-tools:\n"
        "  - Bash(git *)\nmodel: big # why\n---\nbody"
    )
    [found] = read_commands([tmp_path])
    assert (found.description, found.argument_hint) == ("Looks at it", "[file]")
    assert found.without_effect == ("allowed-tools", "model")


def test_markdown_counts_before_toml_and_names_are_in_one_word(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("markdown")
    (tmp_path / "a.toml").write_text('prompt = "toml"')
    (tmp_path / "_own").mkdir()
    (tmp_path / "_own" / "x:y.md").write_text("b")
    found = find_commands([tmp_path])
    assert sorted(found) == ["/_own:x_y", "/a"]
    assert found["/a"].suffix == ".md"
