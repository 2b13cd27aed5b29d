from __future__ import annotations

import codecs
import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from qwen_code.base.secret import Secret
from qwen_code.base.stop import Stop
from qwen_code.tools.base import Result, Tool
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.files import Edit, ReadFile, WriteFile
from qwen_code.tools.listing import ListDirectory
from qwen_code.tools.seen import Seen
from qwen_code.tools.workspace import Workspace

Call = Callable[..., Result]


@pytest.fixture
def read(workspace: Workspace, seen: Seen) -> ReadFile:
    return ReadFile(workspace, seen)


@pytest.fixture
def write(workspace: Workspace, seen: Seen) -> WriteFile:
    return WriteFile(workspace, seen)


@pytest.fixture
def edit(workspace: Workspace, seen: Seen) -> Edit:
    return Edit(workspace, seen)


class TestArguments:
    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("{", "not valid JSON"),
            ("[]", "Expected `object`"),
            ("{}", "missing required field `path`"),
            ('{"path": 5}', "Expected `str`"),
            ('{"path": "x", "offset": -1}', "Expected `int` >= 1"),
        ],
    )
    def test_bad_ones_come_back_as_a_sentence(self, read: Tool, text: str, said: str) -> None:
        with pytest.raises(ToolFailed, match="read_file") as caught:
            read.parse(text)
        assert said in caught.value.message

    def test_numbers_as_text_are_numbers(self, read: Tool) -> None:
        assert read.parse('{"path": "x", "offset": "7"}').offset == 7


class TestRead:
    def test_a_file_as_it_is(self, read: ReadFile, call: Call) -> None:
        result = call(read, path="src/a.py")
        assert (result.text, result.summary) == ("inside", "1 line")

    def test_a_part_says_where_to_go_on(self, read: ReadFile, call: Call, project: Path) -> None:
        (project / "long").write_text("".join(f"line {n}\n" for n in range(1, 5001)))
        result = call(read, path="long")
        assert result.text.startswith("line 1\n")
        assert result.text.endswith("[lines 1–2000 of 5000; continue with offset=2001]")
        result = call(read, path="long", offset=4999)
        assert result.text == "line 4999\nline 5000\n\n[lines 4999–5000 of 5000]"
        with pytest.raises(ToolFailed, match="there is no line 5001"):
            call(read, path="long", offset=5001)

    def test_long_lines_are_cut(self, read: ReadFile, call: Call, project: Path) -> None:
        (project / "min.js").write_text("x" * 100_000)
        assert len(call(read, path="min.js").text) < 2100

    @pytest.mark.parametrize("before", range(1980, 2001, 4))
    def test_no_part_of_a_secret_is_left_at_the_cut(
        self, read: ReadFile, call: Call, project: Path, before: int
    ) -> None:
        Secret("sk-canary-line-0123456789")
        (project / "min.js").write_text("x" * before + "sk-canary-line-0123456789" + "y" * 100)
        assert "sk-" not in call(read, path="min.js").text

    def test_other_encodings_are_read(self, read: ReadFile, call: Call, project: Path) -> None:
        (project / "u16").write_bytes(codecs.BOM_UTF16_LE + "h\u00e9".encode("utf-16-le"))
        (project / "l1").write_bytes("d\u00e9j\u00e0 vu".encode("latin-1"))
        kept = "edit and write_file keep it]"
        assert call(read, path="u16").text == f"h\u00e9\n[encoding: utf-16-le; {kept}"
        assert call(read, path="l1").text == f"d\u00e9j\u00e0 vu\n[encoding: windows-1252; {kept}"

    def test_binaries_are_refused(self, read: ReadFile, call: Call, project: Path) -> None:
        (project / "x.bin").write_bytes(b"\x7fELF\0\0")
        (project / "y.bin").write_bytes(b"\1\0\0\2")
        with pytest.raises(ToolFailed, match="a program or library .ELF., of 6 bytes"):
            call(read, path="x.bin")
        with pytest.raises(ToolFailed, match="binary file of 4 bytes"):
            call(read, path="y.bin")

    def test_a_notebook_is_its_cells(self, read: ReadFile, call: Call, project: Path) -> None:
        cells = [
            {"cell_type": "markdown", "source": ["# Title\n"]},
            {"cell_type": "code", "source": "1 + 1", "outputs": [{"data": {"text/plain": ["2"]}}]},
        ]
        (project / "n.ipynb").write_text(json.dumps({"cells": cells}))
        text = call(read, path="n.ipynb").text
        assert "# %% [markdown] cell 1\n# Title" in text
        assert "1 + 1\n# output:\n2" in text
        (project / "n.ipynb").write_text("{}")
        assert call(read, path="n.ipynb").text == "{}"

    def test_an_empty_file(self, read: ReadFile, call: Call, project: Path) -> None:
        (project / "empty").touch()
        assert call(read, path="empty").text == "(the file is empty)"


class TestWrite:
    def test_a_new_file(self, write: WriteFile, call: Call, project: Path) -> None:
        assert call(write, path="new/x.py", content="a\nb\n").text == "Created new/x.py (2 lines)."
        assert (project / "new" / "x.py").read_text() == "a\nb\n"

    def test_what_was_not_read_is_not_overwritten(
        self, write: WriteFile, read: ReadFile, call: Call, project: Path
    ) -> None:
        with pytest.raises(ToolFailed, match="you have not read it"):
            call(write, path="src/a.py", content="x")
        call(read, path="src/a.py")
        (project / "src" / "a.py").write_text("somebody's work")
        with pytest.raises(ToolFailed, match="has changed since you read it"):
            call(write, path="src/a.py", content="x")
        call(read, path="src/a.py")
        call(write, path="src/a.py", content="x")
        call(write, path="src/a.py", content="y")  # its own writing it knows
        assert (project / "src" / "a.py").read_text() == "y"

    def test_the_way_it_was_written_stays(
        self, write: WriteFile, read: ReadFile, call: Call, project: Path
    ) -> None:
        file = project / "win.txt"
        file.write_bytes(codecs.BOM_UTF8 + b"a\r\nb\r\n")
        file.chmod(0o600)
        call(read, path="win.txt")
        call(write, path="win.txt", content="c\nd\n")
        assert file.read_bytes() == codecs.BOM_UTF8 + b"c\r\nd\r\n"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600

    def test_text_is_never_lost_to_an_old_encoding(
        self, write: WriteFile, read: ReadFile, call: Call, project: Path
    ) -> None:
        (project / "l1").write_bytes("d\u00e9j\u00e0".encode("latin-1"))
        call(read, path="l1")
        call(write, path="l1", content="\u4ef7")
        assert (project / "l1").read_text() == "\u4ef7"


class TestEdit:
    def test_a_change(self, edit: Edit, read: ReadFile, call: Call, project: Path) -> None:
        call(read, path="src/a.py")
        result = call(edit, path="src/a.py", old_string="in", new_string="out")
        assert result.text == "Changed 1 place in src/a.py."
        assert (project / "src" / "a.py").read_text() == "outside"

    def test_somebody_elses_change_is_not_overwritten(
        self, edit: Edit, read: ReadFile, call: Call, project: Path
    ) -> None:
        call(read, path="src/a.py")
        (project / "src" / "a.py").write_text("inside, changed")
        with pytest.raises(ToolFailed, match="has changed since you read it"):
            call(edit, path="src/a.py", old_string="in", new_string="out")


def test_a_directory_is_listed(workspace: Workspace, call: Call, project: Path) -> None:
    (project / "b.txt").touch()
    tool = ListDirectory(workspace)
    assert call(tool).text == "b.txt\nsrc/"
    assert call(tool, path="src").text == "a.py"
    for number in range(600):
        (project / "src" / f"{number:03}").touch()
    assert call(tool, path="src").text.endswith("[101 more; use glob]")
    with pytest.raises(ToolFailed, match="no such file"):
        call(tool, path="nowhere")


class TestPreview:
    def test_what_an_edit_would_change(
        self, read: ReadFile, edit: Edit, call: Call, project: Path
    ) -> None:
        (project / "a").write_bytes(b"one\r\ntwo\r\n")
        with pytest.raises(ToolFailed, match="Read it first"):
            edit.preview(edit.parse('{"path": "a", "old_string": "two", "new_string": "drei"}'))
        call(read, path="a")
        arguments = edit.parse('{"path": "a", "old_string": "two", "new_string": "drei"}')
        change = edit.preview(arguments).change
        assert change is not None
        assert change.diff()[2:] == [
            "@@ -1,2 +1,2 @@",
            " one",
            "-two",
            "+drei",
        ]
        assert (project / "a").read_bytes() == b"one\r\ntwo\r\n"

    def test_a_secret_is_masked_in_it(
        self, edit: Edit, read: ReadFile, call: Call, project: Path
    ) -> None:
        Secret("sk-canary-diff-0123456789")
        (project / "keys").write_text("A=sk-canary-diff-0123456789\nB=1\n")
        call(read, path="keys")
        arguments = edit.parse('{"path": "keys", "old_string": "B=1", "new_string": "B=2"}')
        changes = [edit.preview(arguments).change, edit.run(arguments, print, Stop()).change]
        for change in changes:
            assert change is not None and change.old is not None and change.new is not None
            assert "canary" not in change.old + change.new
            assert change.new.endswith("]\nB=2\n")

    def test_what_a_new_file_would_hold(self, write: WriteFile) -> None:
        arguments = write.parse('{"path": "new", "content": "x\\n"}')
        change = write.preview(arguments).change
        assert change is not None
        assert change.diff() == [*("--- new (now)", "+++ new", "@@ -0,0 +1 @@", "+x")]

    def test_what_cannot_be_done_has_none(self, edit: Edit) -> None:
        with pytest.raises(ToolFailed):
            edit.preview(edit.parse('{"path": "no", "old_string": "a", "new_string": "b"}'))
