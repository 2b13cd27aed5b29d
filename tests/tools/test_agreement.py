"""``glob``, ``grep``, ``list_directory`` and ``read_file`` agree on lines, patterns and ignore
rules, and say what they leave out."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from qwen_code.base.secret import Secret
from qwen_code.tools.base import Result
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.files import ReadFile
from qwen_code.tools.listing import ListDirectory
from qwen_code.tools.search import Glob, Grep
from qwen_code.tools.seen import Seen
from qwen_code.tools.workspace import Workspace

pytestmark = pytest.mark.process

Call = Callable[..., Result]


@pytest.fixture
def grep(project: Path, environ: dict[str, str]) -> Grep:
    return Grep(Workspace(project), environ)


@pytest.fixture
def glob(project: Path, environ: dict[str, str]) -> Glob:
    return Glob(Workspace(project), environ)


@pytest.fixture
def read(project: Path) -> ReadFile:
    return ReadFile(Workspace(project), Seen())


@pytest.fixture
def listed(project: Path) -> ListDirectory:
    return ListDirectory(Workspace(project))


class TestLines:
    @pytest.mark.parametrize("end", ["\x0c", "\x1c", "\x1d", "\u2028", "\x85", "\x0b", "\r"])
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    def test_numbers_are_the_same(
        self, grep: Grep, read: ReadFile, call: Call, project: Path, end: str, encoding: str
    ) -> None:
        text = f"a{end}b\nneedle{end}c\nd needle\n"
        (project / "f.txt").write_bytes(text.encode(encoding))
        found = call(grep, pattern="needle").text.split("\n")
        numbers = [int(n) for n in re.findall(r"^f\.txt:(\d+):", "\n".join(found), re.MULTILINE)]
        assert numbers == [2, 3]
        for number in numbers:
            assert "needle" in call(read, path="f.txt", offset=number, limit=1).text.split("\n")[0]

    @pytest.mark.parametrize("size", [200, 5_000, 3_000_000])
    @pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
    def test_the_part_of_a_long_line_around_the_match(
        self, grep: Grep, call: Call, project: Path, size: int, mark: bytes
    ) -> None:
        line = "\u00e9" * size + "needle in it" + "y" * size
        (project / "min.js").write_bytes(mark + f"first\n{line}\nlast needle\n".encode())
        first, second = call(grep, pattern="needle").text.split("\n")
        assert "\u00e9\u00e9needle in ityy" in first and len(first) < 400
        assert first.startswith(f"min.js:2:{'[…] ' if size > 150 else ''}\u00e9")
        assert second == "min.js:3:last needle"

    def test_no_part_of_a_secret_at_either_end(self, grep: Grep, call: Call, project: Path) -> None:
        key = "sk-canary-around-0123456789"
        Secret(key)
        for gap in range(70, 110, 6):
            line = f"{'x' * 500}{key}{'-' * gap}needle{'-' * (gap + 90)}{key}{'y' * 500}\n"
            (project / "l").write_text(line)
            text = call(grep, pattern="needle").text
            assert "needle" in text and not re.search("sk-|canary|around|0123456789", text)


class TestEncodings:
    @pytest.mark.parametrize(
        "encoding", ["gb18030", "big5", "utf-16", "utf-8", "utf-8-sig", "euc_jp", "shift_jis"]
    )
    @pytest.mark.parametrize("pattern", ["\u5bb9\u5668", "x = \u5bb9\u5668?", "x = "])
    def test_text_is_found_in_each(
        self, grep: Grep, call: Call, project: Path, encoding: str, pattern: str
    ) -> None:
        text = "# \u5bb9\u5668\u8cc7\u6599 \u6587\u5b57\n" * 3 + "x = \u5bb9\u5668 # \u5206\u6790\n"
        if encoding == "gb18030":
            text = text.replace("\u8cc7", "\u8d44")
        if encoding in ("euc_jp", "shift_jis"):
            text = text.replace("\u8cc7", "\u8cc7\u306e")
        (project / "f.txt").write_bytes(text.encode(encoding))
        assert "f.txt:4:x = \u5bb9\u5668 # \u5206\u6790" in call(grep, pattern=pattern).text

    def test_files_of_several_together(self, grep: Grep, call: Call, project: Path) -> None:
        text = "Возвращает имя пользователя\n"
        for encoding in ("cp1251", "koi8_r", "utf-8", "cp866", "iso8859_5"):
            (project / f"{encoding}.txt").write_bytes(text.encode(encoding))
        (project / "ascii.txt").write_text("no letters of it\n")
        lines = call(grep, pattern="имя").text.split("\n")
        assert sorted(lines) == sorted(
            f"{encoding}.txt:1:{text.strip()}"
            for encoding in ("cp1251", "koi8_r", "utf-8", "cp866", "iso8859_5")
        )


FILES = [
    *("top.py", "src/a.py", "src/deep/b.py", "src/deep/b.test.ts", "src/c.tsx", ".hidden/d.py"),
    *("src/.dot.py", "lib/src/e.py", "A.PY", "docs/x[1].md", "docs/{y}.md", "docs/a,b.md"),
]


class TestGlobs:
    @pytest.fixture(autouse=True)
    def tree(self, project: Path) -> None:
        for name in FILES:
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            (project / name).write_text("needle\n")

    @pytest.mark.parametrize(
        ("pattern", "names"),
        [
            ("*.py", {f for f in FILES if f.endswith(".py")}),
            ("**/*.py", {f for f in FILES if f.endswith(".py")}),
            ("/*.py", {"top.py"}),
            ("./*.py", {"top.py"}),
            ("src/*.py", {"src/a.py", "src/.dot.py"}),
            ("src/**/*.py", {"src/a.py", "src/.dot.py", "src/deep/b.py"}),
            ("**/src/*.py", {"src/a.py", "src/.dot.py", "lib/src/e.py"}),
            ("src/", {f for f in FILES if "src/" in f}),
            ("/src/", {f for f in FILES if f.startswith("src/")}),
            ("src/**", {f for f in FILES if f.startswith("src/")}),
            ("*.{ts,tsx}", {"src/deep/b.test.ts", "src/c.tsx"}),
            ("{top,src/a}.py", {"top.py", "src/a.py"}),
            ("src/{a,deep/b}.py", {"src/a.py", "src/deep/b.py"}),
            ("*.PY", {"A.PY"}),
            ("[a-b].py", {"src/a.py", "src/deep/b.py"}),
            ("?.py", {"src/a.py", "src/deep/b.py", "lib/src/e.py", ".hidden/d.py"}),
            (".*.py", {"src/.dot.py"}),
            (r"x\[1\].md", {"docs/x[1].md"}),
            ("b.test.ts", {"src/deep/b.test.ts"}),
            ("!*.py", {f for f in FILES if not f.endswith(".py")}),
            ("nothing.*", set()),
        ],
    )
    def test_both_tools_understand_them_alike(
        self, glob: Glob, grep: Grep, call: Call, pattern: str, names: set[str]
    ) -> None:
        found = call(glob, pattern=pattern).text.split("\n")
        assert set(found) - {"no file matches"} == names
        lines = call(grep, pattern="needle", glob=pattern).text.split("\n")
        assert {line.split(":")[0] for line in lines} - {"nothing matches"} == names

    def test_absolute_ones(self, glob: Glob, call: Call, project: Path) -> None:
        assert call(glob, pattern=f"{project}/src/*.py").text.split("\n").sort() is None
        assert set(call(glob, pattern=f"{project}/src/a*").text.split("\n")) == {"src/a.py"}


_CLOSED = "[left out as always: what .qwenignore closes]"


class TestWhatIsLeftOut:
    @pytest.fixture(autouse=True)
    def tree(self, project: Path) -> None:
        (project / ".git" / "info").mkdir(parents=True)
        (project / ".git" / "info" / "exclude").write_text("excluded\n")
        (project / ".gitignore").write_text("build/\n*.log\n!keep.log\n/src/only-here\n")
        (project / ".ignore").write_text("dotignored\n")
        (project / ".qwenignore").write_text("closed.txt\n")
        (project / "src" / ".gitignore").write_text("*.tmp\n!a.log\n/sub/x\n")
        for name in (
            *("build/o.py", "x.log", "keep.log", "excluded", "dotignored", "closed.txt"),
            *("src/y.tmp", "src/a.log", "src/only-here", "only-here", "src/sub/x", "src/sub/z"),
        ):
            (project / name).parent.mkdir(exist_ok=True)
            (project / name).write_text("needle\n")
        (project / "bin.dat").write_bytes(b"needle\0\1\2")

    @pytest.mark.parametrize(
        ("directory", "names"),
        [
            (".", "build/, dotignored, excluded, x.log"),
            ("src", "only-here, y.tmp"),
            ("src/sub", "x"),
        ],
    )
    def test_a_listing_says_what_searches_skip(
        self, listed: ListDirectory, glob: Glob, call: Call, directory: str, names: str
    ) -> None:
        text = call(listed, path=directory).text
        assert f"[ignored by git, so glob and grep leave out: {names}]" in text
        assert ("[left out: 1 closed by the user]" in text) == (directory == ".")
        found = call(glob, pattern="*", path=directory).text.split("\n")
        for name in names.split(", "):
            shown = name if directory == "." else f"{directory}/{name}"
            assert not [each for each in found if each.startswith(shown)], found

    def test_what_is_named_is_read(self, read: ReadFile, grep: Grep, call: Call) -> None:
        for name in ("build/o.py", "x.log", "excluded", "dotignored", "src/sub/x"):
            assert call(read, path=name).text == "needle\n"
            assert call(grep, pattern="needle", path=name).text == f"{name}:1:needle"
        with pytest.raises(ToolFailed, match="names it"):
            call(read, path="closed.txt")

    @pytest.mark.parametrize(
        ("pattern", "note"),
        [
            ("*.tmp", "[left out: 1 file, ignored by git or an ignore file: src/y.tmp]"),
            ("build/**", "[left out: 1 file, ignored by git or an ignore file: build/o.py]"),
        ],
    )
    def test_an_empty_glob_says_why(self, glob: Glob, call: Call, pattern: str, note: str) -> None:
        assert call(glob, pattern=pattern).text == (f"no file matches\n{note}\n{_CLOSED}")

    def test_links_and_git_are_said(self, glob: Glob, call: Call, project: Path) -> None:
        (project / "way").symlink_to("src")
        (project / "link.py").symlink_to("src/a.py")
        for pattern, name in (("way/*.py", "way"), ("./way/**", "way"), ("/link.py", "link.py")):
            text = call(glob, pattern=pattern).text
            assert f"[left out: {name}, a link. It is followed" in text
        assert call(glob, pattern="*.py", path="way").text == "src/a.py"
        assert call(glob, pattern="x" * 300).text.startswith("no file matches")
        assert "[left out: .git, always]" in call(glob, pattern=".git/**").text

    def test_an_empty_grep_says_why(self, grep: Grep, call: Call, project: Path) -> None:
        assert call(grep, pattern="needle", glob="*.dat").text == (
            f"nothing matches\n[left out: 1 file, binary: bin.dat]\n{_CLOSED}"
        )
        assert "x.log" in call(grep, pattern="needle", glob="x.log").text

    def test_a_search_does_not_tell_what_closed_files_hold(
        self, grep: Grep, glob: Glob, call: Call
    ) -> None:
        for pattern in ("needle", "nowhere to be found"):
            text = call(grep, pattern=pattern, glob="closed.txt").text
            assert text == f"nothing matches\n{_CLOSED}"
        for pattern in ("closed.*", "nowhere.*"):
            assert call(glob, pattern=pattern).text == f"no file matches\n{_CLOSED}"


def test_files_over_100_mb_are_searched(grep: Grep, call: Call, project: Path) -> None:
    with (project / "big.log").open("wb") as file:
        file.write(b"x" * 80 + b"\n")
        for _ in range(110):
            file.write((b"y" * 1023 + b"\n") * 1024)
        file.write(b"the needle\n")
    text = call(grep, pattern="needle", context=1).text
    assert text.split("\n")[1] == f"big.log:{110 * 1024 + 2}:the needle"


def test_a_directory_that_cannot_be_entered_is_listed(
    listed: ListDirectory, call: Call, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mode 0444: its names can be read, and nothing about them."""

    def refused(self: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_dir", refused)
    monkeypatch.setattr(Path, "exists", refused)
    assert call(listed, path="src").text == "a.py"
