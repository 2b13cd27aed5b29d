"""What rules are about and what they decide, as data."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec

Form = Literal["exact", "prefix", "known", "pattern"]
"""How an allowing rule reads a command. ``exact``: these words and no others. ``prefix``: operands
may follow, and options that the table of safe options has. ``known``: only what the table has may
follow. In rules that ask and deny, all are prefixes, and ``pattern`` has a ``*`` anywhere."""


def names(text: str) -> frozenset[str]:
    """The words of ``text``: for tables of names."""
    return frozenset(text.split())


class Mode(StrEnum):
    """PLAN: read-only calls alone. DEFAULT: other calls need approval. AUTO_EDIT: as DEFAULT, but
    changes of files need none. YOLO: everything that no rule denies."""

    PLAN = "plan"
    DEFAULT = "default"
    AUTO_EDIT = "auto-edit"
    YOLO = "yolo"


AUTO = "auto"
"""The mode of Node Qwen Code in which a model decides about calls."""

AUTO_MEANS = (
    "the mode auto is auto-edit here: changes of files need no approval, and commands are asked for"
)


def mode_named(text: str) -> Mode | None:
    """The mode that ``text`` names; for `AUTO`, the one below it that asks more."""
    name = text.strip().lower().replace("_", "-")
    name = Mode.AUTO_EDIT.value if name in (AUTO, "autoedit") else name
    return next((mode for mode in Mode if mode.value == name), None)


class Decision(StrEnum):
    """What is done with a call."""

    ALLOW = "allow"
    ASK = "ask"
    DENY = "deny"


class Rule(msgspec.Struct, frozen=True):
    """One line of the user's, as it is understood."""

    text: str
    """As it was written."""
    source: str
    """The place: a file with its line, or an option."""
    tools: tuple[str, ...]
    """The names of the tools that it covers; ``*`` at the end of one stands for anything."""
    subject: str | None = None
    """Which of their calls: a command, a pattern of paths, a host. ``None``: all of them."""
    form: Form = "exact"
    words: tuple[str, ...] = ()
    """The words of a command; empty if the subject is not plain."""
    problem: str = ""
    """Why it is not understood. Then it allows nothing, or asks for every call that it may mean."""


class Rules(msgspec.Struct, frozen=True):
    """The rules that are in force. ``only``: for each settings file that has one, the list of the
    built-in tools that there are; all lists count."""

    allow: tuple[Rule, ...] = ()
    ask: tuple[Rule, ...] = ()
    deny: tuple[Rule, ...] = ()
    only: tuple[tuple[Rule, ...], ...] = ()


class Ruling(msgspec.Struct, frozen=True):
    """The decision, the reason for the user and the model, and the rule that led to it."""

    decision: Decision
    reason: str
    rule: Rule | None = None
