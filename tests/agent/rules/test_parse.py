from __future__ import annotations

import pytest

from qwen_code.agent.rules.parse import parse_rule, split_rules


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("edit", ["edit"]),
        ("Bash(ls)", ["Bash(ls)"]),
        ("Bash(ls),Bash(pwd)", ["Bash(ls)", "Bash(pwd)"]),
        ("Bash(ls -l) Bash(pwd)", ["Bash(ls -l)", "Bash(pwd)"]),
        ("Edit, Bash(git log *), Read", ["Edit", "Bash(git log *)", "Read"]),
        ("Bash(echo $(date))", ["Bash(echo $(date))"]),
        ("read_file,edit", ["read_file", "edit"]),
        (" read_file , ,edit,", ["read_file", "edit"]),
        ("Read(a, b),Edit", ["Read(a, b)", "Edit"]),
        ("ShellTool(git status)", ["ShellTool(git status)"]),
        ("mcp__docs__search,mcp__docs", ["mcp__docs__search", "mcp__docs"]),
        ("Bash(a (b (c)) d),Read", ["Bash(a (b (c)) d)", "Read"]),
        ("Bash (git push),Read", ["Bash(git push)", "Read"]),
        ("Bash(git", ["Bash(git"]),
        ("Read,Bash(git log, Edit", ["Read", "Bash(git log, Edit"]),
        ("", []),
    ],
)
def test_a_list_of_rules(text: str, expected: list[str]) -> None:
    assert split_rules([text]) == expected


def test_a_bracket_that_is_not_closed_allows_nothing() -> None:
    rules = [parse_rule(text, "here", allows=True) for text in split_rules(["Bash(git", "Read"])]
    assert [bool(rule.problem) for rule in rules] == [True, False]


@pytest.mark.parametrize("allows", [True, False])
@pytest.mark.parametrize("text", ["Bash(ls),Bash(pwd)", "Bash(ls) Bash(pwd)", "Edit(a), Read(b)"])
def test_several_rules_in_one_text_are_not_understood(text: str, allows: bool) -> None:
    assert (
        parse_rule(text, "here", allows=allows).problem == "it is several rules: write each apart"
    )


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("WebFetch(https://example.com/*)", "example.com"),
        ("WebFetch(https://example.com)", "example.com"),
        ("WebFetch(example.com/private/*)", "example.com"),
        ("WebFetch(domain:https://example.com/)", "example.com"),
    ],
)
def test_an_address_forbids_its_host(text: str, host: str) -> None:
    rule = parse_rule(text, "here", allows=False)
    assert (rule.subject, rule.problem) == (host, "")
    assert "write a host" in parse_rule(text, "here", allows=True).problem


@pytest.mark.parametrize("text", ["Read(a\\)", "Edit(" + "x" * 1001 + ")"])
def test_a_pattern_that_cannot_be_used_is_not_understood(text: str) -> None:
    assert parse_rule(text, "here", allows=False).problem
