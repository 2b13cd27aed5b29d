"""Whether a tool call may go ahead: one pure decision over mode, rules and call."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum

import msgspec

from qwen_code.agent.errors import NotPlain
from qwen_code.agent.shell_grammar import every_command, plain_commands
from qwen_code.base.errors import ConfigError
from qwen_code.tools.base import Reach

__all__ = ["Call", "Decision", "Mode", "Rule", "Rules", "Ruling", "decide", "parse_rule"]

_RULE = re.compile(r"\s*([A-Za-z_][\w-]*)\s*(?:\((.*)\))?\s*", re.DOTALL)


class Mode(StrEnum):
    """PLAN: nothing is changed. DEFAULT: reading is free, the rest is asked. AUTO_EDIT: changes of
    files are free too. YOLO: everything that no rule forbids."""

    PLAN = "plan"
    DEFAULT = "default"
    AUTO_EDIT = "auto-edit"
    YOLO = "yolo"


class Decision(StrEnum):
    """What becomes of a call."""

    ALLOW = "allow"
    ASK = "ask"
    DENY = "deny"


class Rule(msgspec.Struct, frozen=True):
    """A tool, and which of its calls: words that a command begins with, or a pattern of paths.
    Without ``subject``: all of them."""

    tool: str
    subject: str | None
    text: str


class Rules(msgspec.Struct, frozen=True):
    """The user's rules (``permissions`` in settings)."""

    allow: tuple[Rule, ...] = ()
    ask: tuple[Rule, ...] = ()
    deny: tuple[Rule, ...] = ()


class Call(msgspec.Struct, frozen=True):
    """A call as rules see it. ``subject`` is a shell's command line, or a path from the root."""

    tool: str
    reach: Reach
    subject: str = ""


class Ruling(msgspec.Struct, frozen=True):
    """The decision, and why, in words for the user and the model."""

    decision: Decision
    reason: str


def parse_rule(text: str, where: str) -> Rule:
    """``tool`` or ``tool(subject)``; ``where`` says which setting, for the error.

    Raises:
        ConfigError: it is neither.
    """
    found = _RULE.fullmatch(text)
    if found is None:
        raise ConfigError(
            f"{where}: {text!r} is no rule",
            hint='Write it as "tool" or "tool(…)", for example "run_shell_command(git status)".',
        )
    subject = found[2].strip() if found[2] is not None else None
    return Rule(found[1], subject or None, text.strip())


def decide(mode: Mode, rules: Rules, call: Call) -> Ruling:
    """What becomes of ``call``: a rule that forbids comes first, and no mode is above it."""
    if rule := _forbids(rules.deny, call):
        return Ruling(Decision.DENY, f"the rule {rule.text} forbids it")
    if call.reach is Reach.READ:
        if rule := _first(rules.ask, call):
            return Ruling(Decision.ASK, f"the rule {rule.text} asks for it")
        return Ruling(Decision.ALLOW, "it only reads")
    if mode is Mode.PLAN:
        return Ruling(Decision.DENY, "nothing is changed or run in plan mode")
    if rule := _forbids(rules.ask, call):
        return Ruling(Decision.ASK, f"the rule {rule.text} asks for it")
    return _by_mode(mode, call) or _by_allowing_rules(rules.allow, call)


def _by_mode(mode: Mode, call: Call) -> Ruling | None:
    if mode is Mode.YOLO:
        return Ruling(Decision.ALLOW, "everything is allowed (yolo)")
    if mode is Mode.AUTO_EDIT and call.reach is Reach.EDIT:
        return Ruling(Decision.ALLOW, "changes of files are allowed (auto-edit)")
    return None


def _by_allowing_rules(allow: Sequence[Rule], call: Call) -> Ruling:
    own = [rule for rule in allow if rule.tool == call.tool]
    if everything := next((rule for rule in own if rule.subject is None), None):
        return Ruling(Decision.ALLOW, f"the rule {everything.text} allows it")
    if call.reach is Reach.EDIT:
        if rule := _first(own, call):
            return Ruling(Decision.ALLOW, f"the rule {rule.text} allows it")
        return Ruling(Decision.ASK, "no rule allows it")
    try:
        commands = plain_commands(call.subject)
    except NotPlain as error:
        return Ruling(Decision.ASK, f"no rule can allow it: {error}")
    for words in commands:
        if not any(_begins(words, rule) for rule in own):
            return Ruling(Decision.ASK, f"no rule allows {' '.join(words)!r}")
    return Ruling(Decision.ALLOW, "rules allow each of its commands")


def _forbids(rules: Sequence[Rule], call: Call) -> Rule | None:
    """The first rule that meets the call, or for a shell any command in it, however deep."""
    if call.reach is not Reach.RUN:
        return _first(rules, call)
    commands = every_command(call.subject) if any(r.tool == call.tool for r in rules) else []
    for rule in rules:
        if rule.tool != call.tool:
            continue
        if rule.subject is None or any(_begins(words, rule) for words in commands):
            return rule
    return None


def _first(rules: Sequence[Rule], call: Call) -> Rule | None:
    for rule in rules:
        if rule.tool == call.tool and (rule.subject is None or _names(rule.subject, call.subject)):
            return rule
    return None


def _begins(words: Sequence[str], rule: Rule) -> bool:
    wanted = (rule.subject or "").split()
    return list(words[: len(wanted)]) == wanted


def _names(pattern: str, path: str) -> bool:
    from pathspec import GitIgnoreSpec  # only rules about paths need it

    return GitIgnoreSpec.from_lines([pattern]).match_file(path)
