"""Whether a rule that asks or denies is about a command: in case of doubt it is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

from qwen_code.agent.rules.reach import ANYTHING, Reached, program_of
from qwen_code.agent.rules.types import Rule

_GAP = r"[^\n;|&]{0,80}?"
"""What may stand between the words of a rule in a text that some program runs."""


def meets(rule: Rule, command: Reached) -> bool:
    """Whether ``command`` is, or may be, one that ``rule`` is about."""
    if command is ANYTHING or not rule.subject:
        return True
    if rule.form == "pattern":
        return _fits_pattern(rule.subject, command.words)
    if not rule.words:
        return True
    first, program = rule.words[0], command.words[0] or ""
    is_same = _is_named(program_of(first), program_of(program)) or _is_named(first, program)
    if is_same and _fits(rule.words[1:], command.words[1:]):
        return True
    return not command.is_data and _is_mentioned(rule.words, command.words[1:])


def _is_named(wanted: str, word: str) -> bool:
    """Whether a word is the rule's, or begins as a word of it that ends in ``*``."""
    return word == wanted or (wanted.endswith("*") and word.startswith(wanted[:-1]))


def _fits(wanted: Sequence[str], words: Sequence[str | None]) -> bool:
    """Whether the words begin with the operands of the rule and have its options, in any order. The
    word after an option may be an operand, or the value of the option."""
    options = [word.removesuffix("*") for word in wanted if _is_option(word)]
    operands = [word for word in wanted if not _is_option(word)]
    return _has_operands(operands, words) and all(_has_option(each, words) for each in options)


def _has_operands(operands: Sequence[str], words: Sequence[str | None]) -> bool:
    index, may_be_value = 0, False
    for word in words:
        if index == len(operands) or word is None:
            return True
        if _is_option(word):
            may_be_value = "=" not in word
        elif _is_named(operands[index], word) or fnmatchcase(operands[index], word):
            index += 1
            may_be_value = False
        elif not may_be_value:
            return False
        else:
            may_be_value = False
    return index == len(operands)


def _has_option(option: str, words: Sequence[str | None]) -> bool:
    if None in words or option in words:
        return True
    given = [word.partition("=")[0] for word in words if word is not None and _is_option(word)]
    if option.startswith("--"):
        name = option.partition("=")[0]
        return any(_abbreviates(each, name) or _is_short_for(each, name) for each in given)
    short = {
        letter for each in given if not each.startswith("--") for letter in each[1:].casefold()
    }
    initials = {each[2:3].casefold() for each in given if each.startswith("--")}
    return set(option[1:].casefold()) <= short | initials


def _abbreviates(word: str, name: str) -> bool:
    return (
        word.startswith("--") and len(word) > 3 and (name.startswith(word) or word.startswith(name))
    )


def _is_short_for(word: str, name: str) -> bool:
    return not word.startswith("--") and name[2:3].casefold() in word[1:].casefold()


def _is_option(word: str) -> bool:
    return word.startswith("-") and word != "-"


def _fits_pattern(pattern: str, words: Sequence[str | None]) -> bool:
    """Whether the line of the command may match a pattern with ``*`` anywhere. Words after it may
    follow."""
    pattern = re.sub(r"\s+\*$", "", re.sub(r":\*$", "*", pattern))
    parts = re.split(r"(\s?\*)", pattern)
    regex = [re.escape(text) for text in parts]
    regex[1::2] = [".*" if star == "*" else r"(?:\s.*)?" for star in parts[1::2]]
    compiled = re.compile(rf"{''.join(regex)}(?:\s.*)?", re.DOTALL)
    name = program_of(words[0] or "")
    text = " ".join([name, *(word or "" for word in words[1:])])
    if None not in words:
        return any(map(compiled.fullmatch, (text, " ".join(map(str, words)))))
    known = text.split(" ")[: words.index(None)]
    return any(compiled.fullmatch(" ".join(known[:n])) for n in range(1, len(known) + 1)) or (
        fnmatchcase(name, pattern.split(maxsplit=1)[0])
    )


def _is_mentioned(wanted: Sequence[str], words: Sequence[str | None]) -> bool:
    """Whether the words hold the rule's as text that a program may run: ``ssh host 'git push'``."""
    names = [word for word in (program_of(wanted[0]), *wanted[1:]) if not _is_option(word)]
    pattern = _GAP.join(_as_a_word(name) for name in names)
    text = " ".join(word or "" for word in words)
    return re.search(pattern, text, re.IGNORECASE) is not None


def _as_a_word(name: str) -> str:
    end = "" if name.endswith("*") else r"(?![\w-])"
    return rf"(?<![\w.-]){re.escape(name.removesuffix('*'))}{end}"
