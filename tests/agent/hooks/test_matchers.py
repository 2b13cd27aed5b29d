from __future__ import annotations

import pytest

from qwen_code.agent.hooks.matchers import fits, fits_word, problem_of

NAMES = ["read_file", "write_file", "edit", "grep", "run_shell_command", "task", "mcp__a__b"]


@pytest.mark.parametrize(
    ("matcher", "expected"),
    [
        *[(each, NAMES) for each in ("", "*", ".*", " * ", "|*", "edit|.*")],
        ("edit", ["edit"]),
        ("Edit", ["edit"]),
        ("Write|Edit", ["write_file", "edit"]),
        (" Write | Edit ", ["write_file", "edit"]),
        ("Bash", ["run_shell_command"]),
        ("Shell|Task", ["run_shell_command", "task"]),
        ("grep_search", ["grep"]),
        ("^grep_search$", ["grep"]),
        ("agent", ["task"]),
        ("_file", ["read_file", "write_file"]),
        ("^read", ["read_file"]),
        ("(read|write)_file", ["read_file", "write_file"]),
        ("read_(file|edit)|", ["read_file"]),
        ("read_file|[", NAMES),
        ("mcp__.*", ["mcp__a__b"]),
        ("mcp__a__.*|edit", ["edit", "mcp__a__b"]),
        ("|", []),
        ("^nothing$", []),
        ("^(?!edit).*$", [name for name in NAMES if name != "edit"]),
        ("^edit$|^write_file$", ["write_file", "edit"]),
        ("e[d|x]it", ["edit"]),
    ],
)
def test_the_tools_of_a_matcher(matcher: str, expected: list[str]) -> None:
    assert [name for name in NAMES if fits(matcher, name)] == expected


@pytest.mark.parametrize(
    "matcher", ["(", "[", "*a", "(a+)+$", "(ab|a)*c", "((a*)*)*", "(?:x+x+)+y", "(.*)*", "a" * 501]
)
def test_one_that_cannot_be_used_is_for_every_tool(matcher: str) -> None:
    assert problem_of(matcher)
    assert all(fits(matcher, name) for name in NAMES)


@pytest.mark.parametrize(
    "matcher", ["read_.*", "^(Bash|Explorer)$", "a{2,3}", "[a-z]+_file", "(ab)?c"]
)
def test_ordinary_ones_can_be_used(matcher: str) -> None:
    assert problem_of(matcher) == ""


@pytest.mark.parametrize(
    ("matcher", "expected"),
    [
        ("", ["startup", "resume", "clear", "compact"]),
        ("*", ["startup", "resume", "clear", "compact"]),
        ("startup", ["startup"]),
        ("startup|resume", ["startup", "resume"]),
        (" clear | compact ", ["clear", "compact"]),
        ("^c", ["clear", "compact"]),
        ("(start|res)u", ["startup", "resume"]),
        ("edit", []),
    ],
)
def test_the_words_of_a_matcher(matcher: str, expected: list[str]) -> None:
    words = ["startup", "resume", "clear", "compact"]
    assert [word for word in words if fits_word(matcher, word)] == expected


def test_no_word_is_as_any() -> None:
    assert fits_word("startup", "")
