"""Big files and long lines are read in parts, and every part says how to go on."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_code.base.secret import Secret
from qwen_code.base.stop import Stop, Stopped
from qwen_code.tools.base import Result
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.files import ReadFile
from qwen_code.tools.seen import Seen
from qwen_code.tools.workspace import Workspace

Call = Callable[..., Result]


@pytest.fixture
def read(workspace: Workspace, seen: Seen) -> ReadFile:
    return ReadFile(workspace, seen)


@pytest.fixture
def log(project: Path) -> Path:
    """12 MB in 300,000 lines."""
    path = project / "big.log"
    path.write_text("".join(f"{n:06} {'x' * 33}\n" for n in range(1, 300_001)))
    return path


@pytest.mark.parametrize(
    ("offset", "limit", "first", "end"),
    [
        (1, 2, "000001 ", "[lines 1–2 of 300000; continue with offset=3]"),
        (150_000, 1, "150000 ", "[lines 150000–150000 of 300000; continue with offset=150001]"),
        (299_999, 50, "299999 ", "[lines 299999–300000 of 300000]"),
    ],
)
def test_a_log_of_12_mb(
    read: ReadFile, call: Call, log: Path, offset: int, limit: int, first: str, end: str
) -> None:
    text = call(read, path="big.log", offset=offset, limit=limit).text
    assert text.startswith(first) and text.endswith(end)


def test_past_its_end_and_stopped(read: ReadFile, call: Call, log: Path) -> None:
    with pytest.raises(ToolFailed, match="the file has 300000 lines; there is no line 300001"):
        call(read, path="big.log", offset=300_001)
    stop = Stop()
    stop.set()
    with pytest.raises(Stopped):
        call(read, path="big.log", offset=1000, stop=stop)


def test_a_huge_file_is_not_read_into_memory(read: ReadFile, call: Call, project: Path) -> None:
    with (project / "huge").open("wb") as file:
        file.write(b"first\nsecond\n" * 10_000)
        file.truncate(5 << 30)  # a hole: no disk is used
    text = call(read, path="huge", limit=2).text
    assert text == (
        "first\nsecond\n\n[lines 1–2 of a file of 5,368,709,120 bytes; continue with offset=3]"
    )


def test_a_big_file_whose_beginning_is_ascii(read: ReadFile, call: Call, project: Path) -> None:
    line = "初始化数据库连接".encode("gb18030")
    (project / "big").write_bytes(b"x" * 99 + b"\n" + b"ascii line\n" * 1_000_000 + line + b"\n")
    text = call(read, path="big", offset=1_000_002).text
    assert text.startswith("初始化数据库连接\n") and "[encoding: gb18030" in text


def test_a_long_line_is_read_in_pieces(read: ReadFile, call: Call, project: Path) -> None:
    line = "".join(chr(0x4E00 + n % 5000) for n in range(50_000))
    (project / "min.js").write_text(f"a\n{line}\nb\n")
    text = call(read, path="min.js").text
    assert text.startswith(f"a\n{line[:2000]}… [cut: the line has 150,001 bytes; ")
    assert text.endswith("continue with offset=2, column=2001]\nb\n")
    whole, column = line[:2000], 2001
    for _ in range(3):
        text = call(read, path="min.js", offset=2, column=column).text
        piece, _, note = text.partition("\n[")
        whole += piece
        if found := re.search(r"continue with offset=2, column=(\d+)", note):
            column = int(found[1])
    assert whole == line and note.endswith("the line ends here; the next is offset=3]")
    with pytest.raises(ToolFailed, match="line 2 ends before column 50001"):
        call(read, path="min.js", offset=2, column=50_001)


def test_one_line_of_30_mb(read: ReadFile, call: Call, project: Path) -> None:
    (project / "one.json").write_bytes(b"[" + b"12345678," * 3_400_000 + b"0]")
    text = call(read, path="one.json").text
    assert len(text) < 2200 and "30,600,003 bytes; continue with offset=1, column=2001" in text
    text = call(read, path="one.json", column=30_600_001).text
    assert text.startswith(",0]") and "the line ends here" in text


@pytest.mark.parametrize("column", range(19_980, 20_020, 7))
def test_no_part_of_a_secret_is_left_at_a_cut(
    read: ReadFile, call: Call, project: Path, column: int
) -> None:
    Secret("sk-canary-piece-0123456789")
    (project / "l").write_text("x" * 20_000 + "sk-canary-piece-0123456789" + "y" * 30_000)
    for text in (
        call(read, path="l", column=column).text,
        call(read, path="l", column=max(2, column - 20_000)).text,
    ):
        assert not re.search(r"sk-|canary|piece-|0123456789", text)


@pytest.mark.parametrize("end", ["\x0c", "\x1c", "\u2028", "\x85", "\x0b", "\r"])
def test_only_a_newline_ends_a_line(read: ReadFile, call: Call, project: Path, end: str) -> None:
    (project / "f").write_text(f"a{end}b\nc\n", newline="")
    assert call(read, path="f", offset=2).text == "c\n\n[lines 2–2 of 2]"


@given(
    st.lists(st.text(st.sampled_from("a\u00e9\u4e2d\U0001f600\r\x0c"), max_size=9), max_size=9),
    st.integers(1, 12),
    st.integers(1, 12),
    st.booleans(),
)
def test_parts_are_the_lines(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], offset: int, limit: int, ends: bool
) -> None:
    project = tmp_path_factory.mktemp("p")
    text = "\n".join(lines) + "\n" * ends
    (project / "f").write_text(text, "utf-8", newline="")
    read = ReadFile(Workspace(project), Seen())
    wanted = text.split("\n")[:-1] if text.endswith("\n") else text.split("\n") if text else []
    arguments = read.parse(f'{{"path": "f", "offset": {offset}, "limit": {limit}}}')
    try:
        shown = read.run(arguments, lambda _: None, Stop()).text
    except ToolFailed as error:
        assert f"has {len(wanted)} line" in error.message and offset > len(wanted)
        return
    if not text:
        assert shown == "(the file is empty)"
        return
    part = "\n".join(wanted[offset - 1 : offset - 1 + limit])
    assert shown.startswith(part) and shown[len(part) :].lstrip("\n").startswith(("[lines", ""))
