from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_code.agent.front_matter import FrontMatterError, read_front_matter

_LONG = "Reads PDFs. Use when: a form has to be filled"


def fields(text: str) -> Any:
    return read_front_matter(f"---\n{text}\n---\nbody")[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: text", "text"),
        ("a:   text   ", "text"),
        ("a: text # said", "text"),
        ("a: C# and F#", "C# and F#"),
        ("a:", None),
        ("a: ~", None),
        ("a: # nothing", None),
        ("a: true", True),
        ("a: False", False),
        ("a: yes", "yes"),
        ("a: 12", 12),
        ("a: -1.5", -1.5),
        ("a: 007", "007"),
        ("a: 1.0.0", "1.0.0"),
        ("a: 2026-01-02", "2026-01-02"),
        (f"a: {_LONG}", _LONG),
        ("a: see https://host/path: it says", "see https://host/path: it says"),
        ("a: one\n  two\n  three", "one two three"),
        ("a: one\n\n  two", "one\ntwo"),
        ("a:\n  one\n  two", "one two"),
        ("a: one\n  # said\n  two", "one two"),
        ('a: "quoted: # text"', "quoted: # text"),
        ('a: " kept "', " kept "),
        (r'a: "tab\t, \"q\", \u00e9, \\n"', 'tab\t, "q", é, \\n'),
        ('a: "one\n  two"', "one two"),
        ('a: "one\n\n  two"', "one\ntwo"),
        ('a: "one \\\n  two"', "one two"),
        ("a: 'it''s'", "it's"),
        ("a: 'one\n  two'", "one two"),
        ('a: "Foo" and bar', '"Foo" and bar'),
        ('a: "text" # said', "text"),
        ("a: >\n  one\n  two", "one two\n"),
        ("a: >-\n  one\n  two\n\n  three", "one two\nthree"),
        ("a: >-\n  one\n    indented\n  two", "one\n  indented\ntwo"),
        ("a: |\n  one\n    two\n", "one\n  two\n"),
        ("a: |-\n  one: two # kept", "one: two # kept"),
        ("a: |+\n  one\n\nb: 1", "one\n\n"),
        ("a: |2-\n    one\n  two", "  one\ntwo"),
        ("a: |-\n  ---x\n  one", "---x\none"),
        ("a: [one, two]", ["one", "two"]),
        ("a: [ 'one, two', \"three\", 4, true, ]", ["one, two", "three", 4, True]),
        ("a: [\n  one,  # said\n  two\n]", ["one", "two"]),
        ("a: []", []),
        ("a: [[x], {k: v}]", [["x"], {"k": "v"}]),
        ("a: [FILE] [OPTIONS]", "[FILE] [OPTIONS]"),
        ("a: [Bash(git:*), Read]", ["Bash(git:*)", "Read"]),
        ("a: {one: 1, 'two': [x]}", {"one": 1, "two": ["x"]}),
        ("a: {}", {}),
        ("a:\n  - one\n  - two", ["one", "two"]),
        ("a:\n- one\n- two\nb: 1", ["one", "two"]),
        ("a:\n  - one # said\n  # between\n\n  - 'two'", ["one", "two"]),
        ("a:\n  - Bash(git commit:*)\n  - mcp__server", ["Bash(git commit:*)", "mcp__server"]),
        ("a:\n  - Use when: needed", ["Use when: needed"]),
        ("a:\n  -\n  - x", [None, "x"]),
        ("a:\n  - - x\n    - y\n  - z", [["x", "y"], "z"]),
        ("a:\n  - k: 1\n    l: 2\n  - k: 3", [{"k": 1, "l": 2}, {"k": 3}]),
        ("a:\n  b: 1\n  c:\n    d: [x]", {"b": 1, "c": {"d": ["x"]}}),
        ("a: *", "*"),
        ("a: '*'", "*"),
        ("a: @scope/name", "@scope/name"),
        ("a: %d items", "%d items"),
        ("a: - not a list", "- not a list"),
        ("a: 日本語の説明", "日本語の説明"),
    ],
)
def test_a_value_is_read_as_yaml_has_it(text: str, expected: Any) -> None:
    assert fields(text)["a"] == expected


def test_hooks_of_a_skill_are_read_whole() -> None:
    text = (
        "name: gated\nhooks:\n  PreToolUse:\n    - matcher: run_shell_command\n      hooks:\n"
        "        - type: command\n          command: '\"$QWEN_SKILL_ROOT/gate.sh\"'\n"
        '          timeout: 5\nmetadata:\n  version: "1.0"'
    )
    group = {
        "matcher": "run_shell_command",
        "hooks": [{"type": "command", "command": '"$QWEN_SKILL_ROOT/gate.sh"', "timeout": 5}],
    }
    assert fields(text) == {
        "name": "gated",
        "hooks": {"PreToolUse": [group]},
        "metadata": {"version": "1.0"},
    }


@pytest.mark.parametrize(
    "whole",
    [
        "---\na: 1\n---\nbody\n",
        "\ufeff---\na: 1\n---\nbody",
        "---\r\na: 1\r\n---\r\nbody\r\n",
        "---\ra: 1\r---\rbody",
        "---  \na: 1\n--- \nbody",
        "---\na: 1\n...\n\nbody",
        "---\n# said\n\na: 1\n\n---\nbody",
    ],
)
def test_marks_and_ends_of_lines_do_not_matter(whole: str) -> None:
    assert read_front_matter(whole) == ({"a": 1}, "body")


def test_what_follows_is_kept_as_it_is() -> None:
    text = "---\nname: a\n---\n# Title\n\n---\n\nkey: value\n"
    assert read_front_matter(text)[1] == "# Title\n\n---\n\nkey: value"
    assert read_front_matter("---\n---")[0] == {}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("name: a\n\tb: c", "line 3: a tab cannot indent"),
        ("name: a\nname: b", "line 3: 'name' is there twice"),
        ("a: 1\njust text", "line 3: this is not a line of the form"),
        ("  a: 1\nb: 2", "line 3: this is not a line of the form"),
        ("- a\n- b", "line 2: this is not a line of the form"),
        ("a: !!python/object x", "line 2: tags, anchors"),
        ("a: &x text", "line 2: tags, anchors"),
        ("? a", "line 2: this is not a line"),
        ('a: "open', "a text in quotes does not end"),
        ("a: [x,\n  y", "a list in brackets does not end"),
        ('a: "\\q"', "is not an escape"),
        ('a: "\\ud800"', "is not a character"),
        ("a:\n" + "".join(f"{' ' * n}- \n" for n in range(1, 40)) + " " * 40 + "- x", "nested"),
        ("a: " + "[" * 60 + "]" * 60, None),
    ],
)
def test_what_is_not_valid_is_an_error_with_its_line(text: str, problem: str | None) -> None:
    if problem is None:
        assert isinstance(fields(text)["a"], str)
        return
    with pytest.raises(FrontMatterError, match=problem.replace("(", r"\(")):
        fields(text)


@pytest.mark.parametrize("text", ["", "# Title", "name: a\n---\n", "\n---\na: 1\n---\n"])
def test_a_file_without_front_matter_is_told_so(text: str) -> None:
    with pytest.raises(FrontMatterError, match="does not begin with front matter"):
        read_front_matter(text)
    with pytest.raises(FrontMatterError, match="does not end"):
        read_front_matter("---\nname: a\n# body")


@given(st.text("ab:-#[]{}\"'|>& \t\n,\\*1", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found, body = read_front_matter(f"---\n{text}\n---\nend")
    except FrontMatterError:
        return
    assert all(isinstance(name, str) for name in found)
    assert isinstance(body, str)
