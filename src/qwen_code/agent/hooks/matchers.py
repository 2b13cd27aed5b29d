"""Which tools, sources or reasons a hook is for, as Node Qwen Code reads a ``matcher``.

A list such as ``Write | Edit`` names them, tools by any name that rules know. Everything else is a
regular expression that is searched for in the name.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Iterator, Sequence

from qwen_code.tools import catalogue

_EVERY = ("", "*", ".*")
_MAX_LENGTH = 500
_IDS = {"grep": "grep_search", "task": "agent", "ask_user": "ask_user_question"}


def id_of(tool: str) -> str:
    """The name that hooks know a tool by: that of Node Qwen Code."""
    return _IDS.get(tool, tool)


def problem_of(matcher: str) -> str:
    """Why ``matcher`` cannot be used; empty if it can. A hook without a usable matcher is called
    every time, because it may be there to forbid something."""
    if matcher.strip() in _EVERY:
        return ""
    if len(matcher) > _MAX_LENGTH:
        return f"it has more than {_MAX_LENGTH} characters"
    try:
        parsed = _parsed(_expression(matcher))
    except (re.error, OverflowError, RecursionError) as error:
        return f"it is not a regular expression: {error}"
    return "it may take too long" if _is_slow(parsed) else ""


def fits(matcher: str, tool: str) -> bool:
    """Whether a hook with this matcher is for ``tool``."""
    return _fits(matcher, catalogue.names_of(tool) | {id_of(tool)}, (tool, id_of(tool)))


def fits_word(matcher: str, word: str) -> bool:
    """Whether a hook with this matcher is for ``word``, such as the reason of an end."""
    return not word or _fits(matcher, {word}, (word,))


def _fits(matcher: str, names: Collection[str], searched: Sequence[str]) -> bool:
    if matcher.strip() in _EVERY or problem_of(matcher):
        return True
    if not matcher.startswith(("^", "(")) and any(
        entry in (*_EVERY[1:], *names) for entry in _entries(matcher)
    ):
        return True
    expression = _expression(matcher)
    if not expression:
        return False
    return any(re.search(expression, name[:_MAX_LENGTH]) for name in searched)


def _expression(matcher: str) -> str:
    if matcher.startswith(("^", "(")):
        return matcher
    return "|".join(entry for entry in _entries(matcher) if entry)


def _entries(matcher: str) -> Iterator[str]:
    """The parts between the ``|`` that are outside of brackets and not escaped."""
    depth, start, at = 0, 0, 0
    in_set = False
    while at < len(matcher):
        char = matcher[at]
        if char == "\\":
            at += 1
        elif in_set:
            in_set = char != "]"
        elif char == "[":
            in_set = True
        elif char in "()":
            depth += 1 if char == "(" else -1
        elif char == "|" and depth <= 0:
            yield matcher[start:at].strip()
            start = at + 1
        at += 1
    yield matcher[start:].strip()


def _parsed(expression: str):  # type: ignore[no-untyped-def]
    from re import _parser  # type: ignore[attr-defined]  # only who has hooks pays for it

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        re.compile(expression)
        return _parser.parse(expression)


def _is_slow(parsed, *, in_repeat: bool = False) -> bool:  # type: ignore[no-untyped-def]
    """Whether a repetition holds another one, or a choice: such expressions can take forever."""
    for operator, argument in parsed:
        name = str(operator)
        if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            most = int(argument[1])
            if in_repeat and most > 1:
                return True
            if _is_slow(argument[2], in_repeat=in_repeat or most > 1):
                return True
        elif name == "BRANCH":
            if in_repeat or any(_is_slow(each, in_repeat=in_repeat) for each in argument[1]):
                return True
        elif name in ("SUBPATTERN", "ATOMIC_GROUP", "ASSERT", "ASSERT_NOT"):
            inner = argument[-1] if isinstance(argument, tuple) else argument
            if _is_slow(inner, in_repeat=in_repeat):
                return True
        elif name == "GROUPREF" and in_repeat:
            return True
    return False
