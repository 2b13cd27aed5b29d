from __future__ import annotations

from pathlib import Path

import pytest

from qwen_code.agent.rule_notes import find_rule_notes


@pytest.mark.parametrize(
    ("text", "patterns", "body"),
    [
        ("Use tabs", "", "Use tabs"),
        ("---\ndescription: x\n---\nUse tabs\n", "", "Use tabs"),
        ("---\npaths: 'src/**'\n---\nx", "src/**", "x"),
        ("---\npaths:\n  - 'a/**/*.ts'\n- \"b\"\n---\nx", "a/**/*.ts, b", "x"),
        ("---\npaths: [a, 'b']\n---\nx", "a, b", "x"),
        ("---\npaths: []\n---\nx", "", "x"),
        ("a <!-- b\nc --> d", "", "a  d"),
        ("---\r\npaths: a\r\n---\r\nx", "a", "x"),
    ],
)
def test_forms(tmp_path: Path, text: str, patterns: str, body: str) -> None:
    (tmp_path / "a.md").write_text(text)
    [found] = find_rule_notes(tmp_path, print)
    assert (found.patterns, found.text) == (patterns, body)


def test_what_is_not_used_is_said(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    (rules / "deep").mkdir(parents=True)
    (tmp_path / "secret.md").write_text("secret")
    (rules / "link.md").symlink_to(tmp_path / "secret.md")
    (rules / "empty.md").write_text("<!-- only this -->")
    (rules / "no.txt").write_text("x")
    (rules / "deep" / "b.md").write_text("b")
    for number in range(3):
        (rules / f"z{number}.md").write_text("z" * 20_000)
    said: list[str] = []
    assert [each.text[:1] for each in find_rule_notes(rules, said.append)] == ["z", "z"]
    assert ["link.md" in said[0], "holds too much" in said[-1]] == [True, True]
