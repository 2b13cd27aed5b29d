"""A repository with names and entries that hurt: one bad entry costs that entry."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_code.tools.base import Result
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.files import Edit, ReadFile, WriteFile
from qwen_code.tools.listing import ListDirectory
from qwen_code.tools.names import find_name, shown_name, true_name
from qwen_code.tools.search import Glob, Grep
from qwen_code.tools.seen import Seen
from qwen_code.tools.workspace import Workspace

pytestmark = pytest.mark.process

Call = Callable[..., Result]

NAMES = [
    b"caf\xe9.txt",
    b"new\nline.txt",
    b"tab\t.txt",
    b"-dash.txt",
    b"--pre=x.txt",
    b"[br]{a,b}.txt",
    b"star*.txt",
    b"back\\slash.txt",
    b"back\\xe9.txt",
    b" blank .txt",
    b"#hash.txt",
    b"!bang.txt",
    b"a" * 251 + b".txt",
    "nfc-\u00e9.txt".encode(),
    "nfd-e\u0301.txt".encode(),
    "\u2028line.txt".encode(),
    "emoji \U0001f600.txt".encode(),
    b"\xff\xfe.txt",
    b"~.txt",
    b"$HOME.txt",
]


class Bad:
    """The project and its tools."""

    def __init__(self, project: Path, environ: dict[str, str]) -> None:
        self.project = project
        workspace, seen = Workspace(project), Seen()
        self.read, self.edit = ReadFile(workspace, seen), Edit(workspace, seen)
        self.write = WriteFile(workspace, seen)
        self.list, self.glob = ListDirectory(workspace), Glob(workspace, environ)
        self.grep = Grep(workspace, environ)


@pytest.fixture
def bad(tmp_path: Path, environ: dict[str, str]) -> Bad:
    project = tmp_path / "bad"
    project.mkdir()
    for name in NAMES:
        (project / os.fsdecode(name)).write_bytes(b"needle in " + os.fsencode(name.hex()) + b"\n")
    (project / "self").symlink_to("self")
    (project / "gone").symlink_to("nowhere")
    (project / "loop").mkdir()
    (project / "loop" / "up").symlink_to("..")
    os.mkfifo(project / "pipe")
    os.mknod(project / "sock", stat.S_IFSOCK | 0o600)
    return Bad(project, environ)


def test_every_name_comes_back_and_is_accepted(bad: Bad, call: Call) -> None:
    listed = call(bad.list).text.split("\n")
    globbed = call(bad.glob, pattern="*.txt").text.split("\n")
    found = {
        line.rpartition(":1:")[0] for line in call(bad.grep, pattern="needle").text.split("\n")
    }
    assert len(globbed) == len(NAMES) and set(globbed) == found and found <= set(listed)
    contents = {call(bad.read, path=name).text for name in globbed}
    assert contents == {f"needle in {name.hex()}\n" for name in NAMES}
    for name in globbed:
        call(bad.edit, path=name, old_string="needle", new_string="thread")
        assert call(bad.grep, pattern="thread", path=name).text.startswith(f"{name}:1:thread")
    assert len(list(bad.project.glob("*.txt"))) == len(NAMES)


def test_what_cannot_be_read_is_said(bad: Bad, call: Call) -> None:
    text = call(bad.list).text
    assert "[a link that leads nowhere: gone, self]" in text
    assert "[a pipe: pipe]" in text and "[a socket: sock]" in text
    assert call(bad.list, path="loop").text == "up/"
    for name, said in (
        ("pipe", "is a pipe|not a regular file"),
        ("self", "leads nowhere|part of the path is a link"),
        ("gone", "no such file"),
        ("sock", "not a regular file|is a socket|no such device"),
        ("x" * 300, "too long"),
    ):
        for tool in (bad.read, bad.grep):
            with pytest.raises(ToolFailed, match=said):
                call(tool, path=name, pattern="x") if tool is bad.grep else call(tool, path=name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_closed_directory_costs_itself(bad: Bad, call: Call) -> None:
    (bad.project / "closed").mkdir(mode=0o000)
    assert "needle" in call(bad.grep, pattern="needle").text
    assert "[could not be read: closed (permission denied)]" in call(bad.glob, pattern="*.txt").text
    assert "closed/" in call(bad.list).text.split("\n")


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_the_other_normal_form_finds_it(bad: Bad, call: Call, form: str) -> None:
    for text in ("nfc-\u00e9.txt", "nfd-e\u0301.txt"):
        other = unicodedata.normalize(form, text)  # type: ignore[arg-type]
        assert call(bad.read, path=other).text.startswith("needle")
    (bad.project / "nfc-e\u0301.txt").write_text("the other")
    assert call(bad.read, path=unicodedata.normalize("NFC", "nfc-\u00e9.txt")).text != "the other"


def test_new_files_get_the_name_as_it_is_written(bad: Bad, call: Call) -> None:
    call(bad.write, path="caf\\xe9/\u00fc.txt", content="x")
    assert (bad.project / "caf\\xe9" / "\u00fc.txt").read_text() == "x"
    with pytest.raises(ToolFailed, match="not valid text"):
        Workspace(bad.project).locate("\ud800")


@given(
    st.binary(min_size=1, max_size=12).filter(
        lambda b: not {0, 47} & {*b} and b not in (b".", b"..")
    )
)
def test_every_name_is_found_by_what_is_shown(
    tmp_path_factory: pytest.TempPathFactory, name: bytes
) -> None:
    directory = tmp_path_factory.mktemp("n")
    path = directory / os.fsdecode(name)
    path.touch()
    shown = shown_name(path.name)
    assert shown.encode().isascii() or shown.isprintable() or "\n" not in shown
    assert find_name(directory, shown) == path and true_name(shown) == path.name
