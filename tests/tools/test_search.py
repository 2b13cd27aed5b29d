from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from qwen_code.base.secret import Secret
from qwen_code.tools.base import Result
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.search import Glob, Grep
from qwen_code.tools.workspace import Workspace

pytestmark = pytest.mark.process

Call = Callable[..., Result]


@pytest.fixture
def glob(workspace: Workspace, environ: dict[str, str]) -> Glob:
    return Glob(workspace, environ)


@pytest.fixture
def grep(workspace: Workspace, environ: dict[str, str]) -> Grep:
    return Grep(workspace, environ)


@pytest.fixture(autouse=True)
def tree(project: Path, tmp_path: Path) -> None:
    (project / ".git").mkdir()
    (project / ".git" / "config").write_text("needle in git\n")
    (project / ".gitignore").write_text("build/\n")
    (project / ".qwenignore").write_text("private.txt\n")
    (project / "build").mkdir()
    (project / "build" / "out.py").write_text("needle built\n")
    (project / "private.txt").write_text("needle private\n")
    (project / "src" / "deep").mkdir()
    (project / "src" / "deep" / "b.py").write_text("one\nNeedle two\nthree\n")
    (project / "src" / "c.js").write_text("needle = 1\n")
    (tmp_path / "outside.py").write_text("needle outside\n")
    (project / "link.py").symlink_to(tmp_path / "outside.py")
    (project / "way-out").symlink_to(tmp_path)


def test_files_by_name_newest_first(glob: Glob, call: Call, project: Path) -> None:
    os.utime(project / "src" / "a.py", (1, 1))
    result = call(glob, pattern="**/*.py")
    assert result.text.split("\n") == ["src/deep/b.py", "src/a.py"]
    assert call(glob, pattern="*.py", path="src/deep").text == "src/deep/b.py"
    assert call(glob, pattern="*.rs").text.startswith("no file matches\n[left out as always")
    assert call(glob, pattern="src/**/*.{js,rs}").text == "src/c.js"
    assert set(call(glob, pattern="{a,c}.{py,js}").text.split()) == {"src/a.py", "src/c.js"}


def test_lines_by_content(grep: Grep, call: Call) -> None:
    assert call(grep, pattern="needle").text == "src/c.js:1:needle = 1"
    both = call(grep, pattern="needle", ignore_case=True).text
    assert both == "src/c.js:1:needle = 1\nsrc/deep/b.py:2:Needle two"
    assert call(grep, pattern="needle", glob="*.py").text == (
        "nothing matches\n[left out: 1 file, ignored by git or an ignore file: build/out.py]\n"
        "[left out as always: what .qwenignore closes]"
    )
    assert call(grep, pattern="needle", path="src/c.js").text == "src/c.js:1:needle = 1"


def test_lines_around(grep: Grep, call: Call) -> None:
    text = call(grep, pattern="Needle", context=1).text
    assert text == "src/deep/b.py-1-one\nsrc/deep/b.py:2:Needle two\nsrc/deep/b.py-3-three"


@pytest.mark.parametrize("pattern", ["!build/**", "!*", "!!private.txt"])
def test_what_is_left_out_cannot_be_brought_back(
    glob: Glob, grep: Grep, call: Call, pattern: str
) -> None:
    assert "outside" not in call(grep, pattern="needle", glob=pattern).text
    names = call(glob, pattern=pattern).text
    assert "private.txt" not in names and ".git/" not in names


def test_a_pattern_is_no_option(grep: Grep, glob: Glob, call: Call, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    assert call(grep, pattern=f"--pre=touch {marker}").text.startswith("nothing matches")
    assert call(glob, pattern="--pre=x").text.startswith("no file matches")
    assert not marker.exists()


def test_settings_of_ripgrep_do_not_count(
    workspace: Workspace, environ: dict[str, str], call: Call, tmp_path: Path
) -> None:
    (tmp_path / "rc").write_text("--no-ignore\n--follow\n")
    grep = Grep(workspace, {**environ, "RIPGREP_CONFIG_PATH": str(tmp_path / "rc")})
    assert "outside" not in call(grep, pattern="needle").text


def test_outside_is_outside(grep: Grep, call: Call) -> None:
    for path in ("..", "way-out", "/etc"):
        with pytest.raises(ToolFailed, match="outside"):
            call(grep, pattern="x", path=path)


def test_a_bad_expression_is_explained(grep: Grep, call: Call) -> None:
    with pytest.raises(ToolFailed, match="unclosed"):
        call(grep, pattern="(")


def test_many_results_are_cut_and_counted(
    grep: Grep, glob: Glob, call: Call, project: Path
) -> None:
    for number in range(300):
        (project / "src" / f"f{number}.txt").write_text("needle " + "x" * 1000)
    text = call(grep, pattern="needle", glob="src/*.txt").text
    assert text.endswith("[100 more lines: narrow the search]")
    assert max(map(len, text.split("\n"))) < 400
    assert call(glob, pattern="*.txt").text.endswith("[100 more: narrow the search]")


class TestWhatStaysClosed:
    def test_private_directories_are_not_searched(
        self, project: Path, environ: dict[str, str], call: Callable[..., Result]
    ) -> None:
        (project / "a [1]").mkdir()
        (project / "a [1]" / "token").write_text("haystack")
        (project / "open").write_text("haystack")
        workspace = Workspace(project, private=[project / "a [1]"])
        assert call(Glob(workspace, environ), pattern="*").text.count("token") == 0
        assert call(Grep(workspace, environ), pattern="haystack").text == "open:1:haystack"

    @pytest.mark.parametrize("where", [".", "src"])
    def test_the_ignore_file_counts_from_its_own_directory(
        self, project: Path, environ: dict[str, str], call: Callable[..., Result], where: str
    ) -> None:
        (project / ".qwenignore").write_text("/src/hidden\n")
        (project / "src" / "hidden").write_text("haystack")
        (project / "src" / "shown").write_text("haystack")
        workspace = Workspace(project)
        found = call(Grep(workspace, environ), pattern="haystack", path=where)
        assert found.text == "src/shown:1:haystack"
        assert "hidden" not in call(Glob(workspace, environ), pattern="*", path=where).text


@pytest.mark.process
@pytest.mark.parametrize(
    "pattern", ["{a,b}" * 30 + "/x", "{" + "a," * 1500 + "b}/x", "x" * 5000 + "/y"]
)
def test_patterns_that_stand_for_too_many(
    tmp_path: Path, environ: dict[str, str], call: Callable[..., Result], pattern: str
) -> None:
    with pytest.raises(ToolFailed, match="the pattern"):
        call(Glob(Workspace(tmp_path), environ), pattern=pattern)


@pytest.mark.parametrize("before", range(270, 300, 4))
def test_no_part_of_a_secret_is_left_where_ripgrep_cuts(
    grep: Grep, project: Path, call: Call, before: int
) -> None:
    key = "sk-canary-search-0123456789"
    Secret(key)
    (project / "long.txt").write_text(f"start {'x' * before}{key}{'y' * 400}\n")
    text = call(grep, pattern="start x").text
    assert "[…]" in text and "sk-" not in text
