"""Searches and listings in a repository of 100,000 files. The bounds are generous: they find what
grows faster than the repository."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from qwen_code.tools.base import Result
from qwen_code.tools.files import ReadFile
from qwen_code.tools.listing import ListDirectory
from qwen_code.tools.search import Glob, Grep
from qwen_code.tools.seen import Seen
from qwen_code.tools.workspace import Workspace

pytestmark = [pytest.mark.long, pytest.mark.process, pytest.mark.timeout(600)]

_MAX_S = 120.0


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1,000 directories of 100 files; every tenth directory is ignored."""
    root = tmp_path_factory.mktemp("large")
    (root / ".git").mkdir()
    (root / ".gitignore").write_text("ignored-*/\n")
    for number in range(1000):
        kind = "ignored" if number % 10 == 0 else "package"
        directory = root / f"{kind}-{number:04}" / "src"
        directory.mkdir(parents=True)
        for index in range(100):
            suffix = ("py", "ts", "md", "json")[index % 4]
            (directory / f"f{index:03}.{suffix}").write_text(f"value = {number}\nneedle {index}\n")
    return root


@pytest.mark.parametrize(
    ("tool", "arguments", "summary", "begins"),
    [
        (Glob, {"pattern": "**/*.py"}, "22500 files", "package-"),
        (Glob, {"pattern": "package-0001/**/f00?.{py,md}"}, "5 files", "package-0001/src/f00"),
        (Glob, {"pattern": "!*.py"}, "67501 files", ""),
        (Glob, {"pattern": "ignored-0010/**"}, "0 files", "no file matches\n[left out: 100 files"),
        (Grep, {"pattern": "needle 42$"}, "900 lines", "package-0001/src/f042.md:2:needle 42"),
        (Grep, {"pattern": "value = 0$"}, "0 lines", "nothing matches\n[left out: 100 files"),
        (Grep, {"pattern": "价格"}, "0 lines", "nothing matches"),
    ],
)
def test_searches(
    large: Path,
    environ: dict[str, str],
    call: Callable[..., Result],
    tool: type[Glob | Grep],
    arguments: dict[str, str],
    summary: str,
    begins: str,
) -> None:
    started = time.monotonic()
    result = call(tool(Workspace(large), environ), **arguments)
    assert (result.summary, result.text[: len(begins)]) == (summary, begins)
    assert len(result.text) < 40_000
    assert time.monotonic() - started < _MAX_S


def test_the_listing_and_a_file(large: Path, call: Callable[..., Result]) -> None:
    started = time.monotonic()
    result = call(ListDirectory(Workspace(large)))
    assert result.summary == "1002 entries"
    assert "and 80 more]" in result.text and len(result.text) < 10_000
    text = call(ReadFile(Workspace(large), Seen()), path="package-0999/src/f099.json").text
    assert text == "value = 999\nneedle 99\n"
    assert time.monotonic() - started < _MAX_S
