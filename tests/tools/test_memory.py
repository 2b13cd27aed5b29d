from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from qwen_code.tools.base import Result
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.memory import SaveMemory


def test_facts_are_lines_under_a_heading(tmp_path: Path, call: Callable[..., Result]) -> None:
    file = tmp_path / "home" / "QWEN.md"
    memory = SaveMemory(file)
    call(memory, fact="- prefers  tabs\n")
    call(memory, fact="lives in Ulm")
    assert file.read_text() == "## Qwen Added Memories\n- prefers tabs\n- lives in Ulm\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "already" in call(memory, fact="prefers tabs").text
    assert file.read_text().count("tabs") == 1


def test_everything_else_stays(tmp_path: Path, call: Callable[..., Result]) -> None:
    file = tmp_path / "QWEN.md"
    file.write_text("# Mine\nBe kind.\n\n## Qwen Added Memories\n- a\n\n# More\nx\n")
    call(SaveMemory(file), fact="b")
    assert file.read_text() == (
        "# Mine\nBe kind.\n\n## Qwen Added Memories\n- a\n- b\n\n# More\nx\n"
    )


@pytest.mark.parametrize("fact", ["", "  - ", "x" * 1001])
def test_what_is_no_fact(tmp_path: Path, call: Callable[..., Result], fact: str) -> None:
    with pytest.raises(ToolFailed, match="1 to 1000 characters"):
        call(SaveMemory(tmp_path / "QWEN.md"), fact=fact)


def test_a_file_that_is_no_text_is_left_alone(tmp_path: Path, call: Callable[..., Result]) -> None:
    file = tmp_path / "QWEN.md"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ToolFailed, match="cannot be read"):
        call(SaveMemory(file), fact="b")
    assert file.read_bytes() == b"\xff\xfe\x00"
