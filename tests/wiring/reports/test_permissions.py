from __future__ import annotations

import pytest

from qwen_code.agent.rules.judge import Judge
from qwen_code.agent.rules.parse import parse_rule
from qwen_code.agent.rules.types import Decision, Mode, Rules
from qwen_code.wiring.reports.permissions import (
    Explained,
    explain_command,
    explained_in_words,
    rules_as_data,
    rules_in_words,
)

JUDGE = Judge(
    Mode.DEFAULT,
    Rules(
        allow=(parse_rule("Bash(git status *)", "settings.json:3", allows=True),),
        deny=(parse_rule("Bash(rm *)", "settings.json:4", allows=False),),
    ),
)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (
            "git status -s",
            Explained(
                Decision.ALLOW,
                plain=True,
                words=[["git", "status", "-s"]],
                rule="Bash(git status *)",
                source="settings.json:3",
                reason="rules allow all of its commands",
            ),
        ),
        (
            "git 'status' && rm -r x",
            Explained(
                Decision.DENY,
                plain=True,
                words=[["git", "status"], ["rm", "-r", "x"]],
                rule="Bash(rm *)",
                source="settings.json:4",
                reason="the rule Bash(rm *) denies it",
            ),
        ),
        (
            "ls -l",
            Explained(
                Decision.ASK,
                plain=True,
                words=[["ls", "-l"]],
                rule=None,
                source=None,
                reason="no rule allows 'ls -l'",
            ),
        ),
        (
            "git status $X",
            Explained(
                Decision.ASK,
                plain=False,
                words=[],
                rule=None,
                source=None,
                reason="it contains '$'",
            ),
        ),
    ],
)
def test_what_happens_to_a_command(command: str, expected: Explained) -> None:
    assert explain_command(JUDGE, command) == expected


def test_an_explanation_in_words() -> None:
    assert explained_in_words(explain_command(JUDGE, "git status; rm 'a b'")).splitlines() == [
        "Decision:  denied",
        "Reason:    the rule Bash(rm *) denies it",
        "Rule:      Bash(rm *) (settings.json:4)",
        "Plain:     yes",
        "Command:   git status",
        "Command:   rm 'a b'",
    ]
    assert "Plain:     no" in explained_in_words(explain_command(JUDGE, "git status &"))


def test_rules_with_their_places() -> None:
    unclear = parse_rule("Frob(x)", "settings.json:5", allows=False)
    judge = Judge(Mode.PLAN, Rules(allow=JUDGE.rules.allow, ask=(unclear,)))
    assert rules_in_words(judge).splitlines() == [
        "Mode:      plan",
        "Asked:     Frob(x)  (settings.json:5, not understood: there is no tool 'Frob')",
        "Allowed:   Bash(git status *)  (settings.json:3)",
    ]
    data = rules_as_data(judge)
    assert [each["rule"] for each in data["allow"]] == ["Bash(git status *)"]
    assert data["ask"][0]["problem"] == "there is no tool 'Frob'"
    assert data["only"] == []


def test_no_rules() -> None:
    assert "No rules" in rules_in_words(Judge())
