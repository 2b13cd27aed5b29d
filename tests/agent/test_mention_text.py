from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_code.agent.mention_text import Lines, find_mentions

THERE = {
    "a.py": "file",
    "b.py": "file",
    "Makefile": "file",
    "src": "directory",
    "src/": "directory",
    "src/a.py": "file",
    "src/[id]/page.tsx": "file",
    "(group)/page.tsx": "file",
    "my file.txt": "file",
    "name with blanks.md": "file",
    "it's.md": "file",
    "a,b.txt": "file",
    "x@2.png": "file",
    "文档/说明.md": "file",
    "übung.txt": "file",
    "v1.2": "directory",
    "/etc/passwd": "file",
    "~/x": "file",
    "../up.py": "file",
    "time:10": "file",
    ".env": "file",
    "./a.py": "file",
    "back\\slash": "file",
}


def read(text: str) -> list[str]:
    """What is found: ``path``, ``path:1-2``, ``path?`` if it is not there, ``path*`` of patterns."""
    said = []
    for each in find_mentions(text, lambda path: THERE.get(path, "")):
        lines = f":{each.lines.first}-{each.lines.last}" if each.lines else ""
        mark = "*" if each.is_pattern else "" if each.kind else "?"
        said.append(f"{each.path}{lines}{mark}")
        assert text.count(each.written)
    return said


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("explain @a.py", ["a.py"]),
        ("@a.py", ["a.py"]),
        ("@src/a.py and @src/ and @src", ["src/a.py", "src/", "src"]),
        ("see @a.py, and @b.py.", ["a.py", "b.py"]),
        ("(@a.py)", ["a.py"]),
        ("is it @a.py?", ["a.py"]),
        ("@a.py: what?", ["a.py"]),
        ("@a.py's tests", ["a.py"]),
        ("@a.py...", ["a.py"]),
        ("**@a.py**", ["a.py"]),
        ("`@a.py`", ["a.py"]),
        ('"@a.py"', ["a.py"]),
        ("<@a.py>", ["a.py"]),
        ("[@a.py](x)", ["a.py"]),
        ("compare @a.py,@b.py", ["a.py", "b.py"]),
        ("@a.py\n@b.py\t@Makefile", ["a.py", "b.py", "Makefile"]),
        ("看@a.py的内容", ["a.py"]),
        ("解释 @a.py，然后 @b.py。", ["a.py", "b.py"]),
        ("@文档/说明.md 是什么", ["文档/说明.md"]),
        ("@übung.txt", ["übung.txt"]),
        ("@src/[id]/page.tsx", ["src/[id]/page.tsx"]),
        ("@(group)/page.tsx", ["(group)/page.tsx"]),
        ("@a,b.txt", ["a,b.txt"]),
        ("@x@2.png", ["x@2.png"]),
        ("@v1.2.", ["v1.2"]),
        ("@.env", [".env"]),
        ("@./a.py", ["./a.py"]),
        ("@/etc/passwd", ["/etc/passwd"]),
        ("@~/x", ["~/x"]),
        ("@../up.py", ["../up.py"]),
        ('@"name with blanks.md"', ["name with blanks.md"]),
        ("@'name with blanks.md'", ["name with blanks.md"]),
        ('@"it\'s.md"', ["it's.md"]),
        ("@my\\ file.txt", ["my file.txt"]),
        ("@back\\slash", ["back\\slash"]),
        ("@a.py:10-20", ["a.py:10-20"]),
        ("@a.py:10", ["a.py:10-None"]),
        ("@a.py:10:5 fails", ["a.py:10-None"]),
        ("@a.py#L3-L9.", ["a.py:3-9"]),
        ("@a.py#L3", ["a.py:3-None"]),
        ('@"my file.txt:2-3"', ["my file.txt:2-3"]),
        ("@time:10", ["time:10"]),
        ("@src:10", ["src"]),
        ("@**/*.py", ["**/*.py*"]),
        ("@src/*.{js,ts}, please", ["src/*.{js,ts}*"]),
        ("all of @*.md.", ["*.md*"]),
        ("(@src/**)", ["src/***"]),
        ("@missing.py", ["missing.py?"]),
        ("@src/missing", ["src/missing?"]),
        ("@./nothing", ["./nothing?"]),
        ("@no\\ file", ["no file?"]),
        ('@"no such"', ["no such?"]),
        ("@missing.py:10, and", ["missing.py:10?"]),
        ("@missing.py的内容", ["missing.py?"]),
    ],
)
def test_what_is_named(text: str, found: list[str]) -> None:
    assert read(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "mail me@example.com or jürgen@example.com",
        "@property\ndef x(self): ...",
        '@app.route("/x")',
        "@pytest.mark.parametrize('x', [1])",
        "@dataclass(frozen=True)",
        "@types/node and @angular/core and @babel/preset-env",
        "npm i left-pad@1.2.3",
        "git@github.com:a/b.git",
        "https://medium.com/@a.py",
        "escaped \\@a.py",
        "@",
        "a @ b",
        "@ a.py",
        "@. @.. @...",
        "@@a.py",
        "@media (max-width: 3px)",
        "@import url(x)",
        "@param {string} name",
        "**@alice** and __@bob__",
        "@agent-reviewer look",
        "@/components/Button",
        "user:pw@a.py",
        "$HOME@a.py",
        '@""',
        "@{a.py}",
        "@docs:res://x",
        "#L1 @#L1",
    ],
)
def test_what_is_only_text(text: str) -> None:
    assert read(text) == []


def test_a_range_the_wrong_way_round_is_one_line() -> None:
    [found] = find_mentions("@a.py:20-10", lambda path: THERE.get(path, ""))
    assert found.lines == Lines(20, 10)
    assert found.lines.count == 1


@given(st.text(alphabet=st.sampled_from("@a.py/ \"'\\:10-L#*{}[](),;!?~看。b"), max_size=60))
def test_any_text_is_read_in_order_and_nothing_is_made_up(text: str) -> None:
    at = 0
    for each in find_mentions(text, lambda path: THERE.get(path, "")):
        at = text.index(each.written, at) + len(each.written)
        assert each.written.startswith("@")
        assert each.path


@given(st.text(max_size=200))
def test_without_files_only_what_is_clear_is_named(text: str) -> None:
    assert all(not each.kind for each in find_mentions(text, lambda _: ""))


def test_a_long_text_asks_a_bounded_number_of_times() -> None:
    asked: list[str] = []

    def kind_of(path: str) -> str:
        asked.append(path)
        return ""

    text = " ".join(f"@{'x,' * 400}" for _ in range(1000))
    assert not list(find_mentions(text, kind_of))
    assert len(asked) < 100_000
