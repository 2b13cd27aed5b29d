"""Which rules are in force, and what they say of a command: as data and in words."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from qwen_code.agent.errors import NotPlain
from qwen_code.agent.rules.types import Decision, Mode, Rule
from qwen_code.agent.toolbox import Call
from qwen_code.base.text import visible_text
from qwen_code.tools import catalogue

if TYPE_CHECKING:
    from qwen_code.agent.rules.judge import Judge

_WORDS = {Decision.ALLOW: "allowed", Decision.ASK: "asked for", Decision.DENY: "denied"}
_WITHOUT_RULES = {
    Mode.PLAN: "nothing is changed, and no command runs",
    Mode.DEFAULT: "edits and commands are asked for, and reading is allowed",
    Mode.AUTO_EDIT: "edits are allowed, and commands are asked for",
    Mode.YOLO: "everything is allowed",
}
_SHELL = catalogue.RUN_SHELL_COMMAND


class Explained(msgspec.Struct, frozen=True):
    """What happens to a command, and why."""

    decision: Decision
    plain: bool
    """Whether it can be read in one way alone. If not, no rule for a part of it allows it."""
    words: list[list[str]]
    """Of each command in it, as bash passes them on; empty if it is not plain."""
    rule: str | None
    """The rule that decided, as it is written."""
    source: str | None
    """Where that rule stands."""
    reason: str


def explain_command(judge: Judge, command: str, directory: str = "") -> Explained:
    """The decision about ``command`` in ``directory``, which is relative to the session's; empty
    for that itself. Nothing runs."""
    from qwen_code.agent.rules.grammar import plain_line  # the parser is slow to import

    ruling = judge(Call(_SHELL.name, _SHELL.effect, command, _SHELL.subject, directory))
    try:
        words = [each.texts for each in plain_line(command).commands]
    except NotPlain:
        words = []
    rule = ruling.rule
    return Explained(
        ruling.decision,
        bool(words),
        words,
        rule.text if rule else None,
        rule.source if rule else None,
        ruling.reason,
    )


def explained_in_words(found: Explained) -> str:
    """The decision for a person: a line a fact."""
    lines = [f"Decision:  {_WORDS[found.decision]}", f"Reason:    {found.reason}"]
    if found.rule is not None:
        lines.append(f"Rule:      {found.rule} ({found.source})")
    lines.append(
        f"Plain:     {'yes' if found.plain else 'no: it asks, unless a rule is for all of it'}"
    )
    lines += [f"Command:   {shlex.join(words)}" for words in found.words]
    return "\n".join(lines)


def rules_as_data(judge: Judge) -> dict[str, Any]:
    """The mode, and the rules of each kind in the order in which they are tried."""
    rules = judge.rules
    return {
        "mode": judge.mode,
        "deny": [_data(rule) for rule in rules.deny],
        "ask": [_data(rule) for rule in rules.ask],
        "allow": [_data(rule) for rule in rules.allow],
        "only": [[_data(rule) for rule in each] for each in rules.only],
    }


def rules_in_words(judge: Judge) -> str:
    """The mode and the rules for a person, each rule with its place."""
    rules = judge.rules
    lines = [f"Mode:      {judge.mode}"]
    for title, found in (
        ("Denied:", rules.deny),
        ("Asked:", rules.ask),
        ("Allowed:", rules.allow),
        *(("Only:", each) for each in rules.only),
    ):
        lines += _rows(title, found)
    for index, text in enumerate(judge.allowed_for_session):
        lines.append(f"{'Session:' if index == 0 else '':<11}{visible_text(text)}")
    if len(lines) == 1:
        lines.append(f"No rules: {_WITHOUT_RULES[judge.mode]}.")
    return "\n".join(lines)


def _rows(title: str, rules: tuple[Rule, ...]) -> Iterator[str]:
    for index, rule in enumerate(rules):
        problem = f", not understood: {rule.problem}" if rule.problem else ""
        yield f"{title if index == 0 else '':<11}{rule.text}  ({rule.source}{problem})"


def _data(rule: Rule) -> dict[str, Any]:
    return {
        "rule": rule.text,
        "source": rule.source,
        "tools": list(rule.tools),
        "problem": rule.problem or None,
    }
