"""Options as users of Node Qwen Code write them, and what is said about those without effect.

Loaded only for a command line with an option that is not known as it is written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import click

from qwen_code.base.errors import UsageError
from qwen_code.config.node_names import find

_TRUE_FALSE = {"true": True, "false": False}
_SHORT = {"-e": "--extensions", "-l": "--list-extensions"}
"""Short names of options that are not here."""


def as_ours(
    args: Sequence[str], options: Mapping[str, click.Option], notice: Callable[[str], None]
) -> list[str]:
    """``args`` in our spelling: ``--approvalMode`` as ``--approval-mode``, flags without ``true``
    and ``false``; what turns a flag off is left out, with the flag before it, unless there is a
    name for that: the last one counts. Options without effect are left out, each with a line for
    ``notice``.

    Raises:
        UsageError: it would change what is done, or what is protected, if one were left out.
    """
    found: list[list[str]] = []
    left = list(args)
    while left:
        word = left.pop(0)
        if word == "--":
            found.append([word, *left])
            break
        name, sign, value = word.partition("=")
        name = _SHORT.get(name, name)
        if not name.startswith("--") or name in options:
            words = _known(word, options, left)
            if not words:
                found = _turned_off(found, options[name], options)
            found.append(words)
        elif (kebab := _kebab(name)) in options:
            left.insert(0, f"{kebab}{sign}{value}")
        elif (positive := f"--{kebab.removeprefix('--no-')}") in options and kebab[:5] == "--no-":
            option = options[positive]
            if option.is_flag and not option.secondary_opts:
                found = _turned_off(found, option, options)
            else:
                found.append(option.secondary_opts[:1] if option.is_flag else [word])
        else:
            found.append(_without_effect(word, kebab, left, notice))
    return [word for words in found for word in words]


def _turned_off(
    found: list[list[str]], option: click.Option, options: Mapping[str, click.Option]
) -> list[list[str]]:
    """``found``, each option with its value, without that flag."""
    return [
        [*_without_flag(words[0], option, options), *words[1:]]
        for words in found
        if words and words[0] not in option.opts
    ]


def _without_flag(
    word: str, option: click.Option, options: Mapping[str, click.Option]
) -> list[str]:
    """A word without the flag, which can be one of several letters, as in ``-yo json``."""
    if not word.startswith("-") or word.startswith("--"):
        return [word]
    kept = ""
    for index, letter in enumerate(word[1:], 1):
        other = options.get(f"-{letter}")
        if other is None or not other.is_flag:
            kept += word[index:]
            break
        kept += letter * (other is not option)
    return [f"-{kept}"] if kept or word == "-" else []


def _known(word: str, options: Mapping[str, click.Option], left: list[str]) -> list[str]:
    """A word and the value after it."""
    name, sign, value = word.partition("=")
    option = options.get(name)
    if option is None:
        return [word]
    if option.is_flag and not sign and left and left[0].lower() in _TRUE_FALSE:
        value = left.pop(0)
    if option.is_flag and value.lower() in _TRUE_FALSE:
        return [name] if _TRUE_FALSE[value.lower()] else option.secondary_opts[:1]
    takes_next = not option.is_flag and not option.count and not sign and left
    if takes_next and not (isinstance(option.flag_value, str) and left[0].startswith("-")):
        return [word, left.pop(0)]
    return [word]


def _without_effect(
    word: str, name: str, left: list[str], notice: Callable[[str], None]
) -> list[str]:
    verdict = find("flags", f"--{name.removeprefix('--no-').removeprefix('--')}")
    if verdict is None or verdict.kind not in ("no", "closed"):
        return [word]
    _, sign, value = word.partition("=")
    means_off = verdict.value == "false"  # it is on here, and cannot be turned off
    takes_value = bool(verdict.value) and not means_off
    if not sign and left and (takes_value or left[0].lower() in _TRUE_FALSE):
        value = left.pop(0)
    is_off = name.startswith("--no-") or (not takes_value and value.lower() == "false")
    if verdict.kind == "closed" and is_off is means_off:
        raise UsageError(f"{name} is not supported: {verdict.why}", hint="Leave it out.")
    if not is_off and not means_off:
        notice(f"{name} has no effect here: {verdict.why}")
    return []


def _kebab(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda letter: f"-{letter[1].lower()}", name)
