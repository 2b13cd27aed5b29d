"""Words that were meant as a command, and would be paid for as a prompt: ``qwen auht login``.

A prompt of several words is a sentence, whatever its first word is like. So words count as a
command only if all of them could be: a few, of which the second is a subcommand or an option.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import click

from qwen_code.base.errors import UsageError

_MAX_WORDS = 5
_WORD = re.compile(r"[a-z][a-z-]*", re.IGNORECASE)

_OF_OTHERS: Mapping[str, str] = {
    **dict.fromkeys(("login", "signin", "sign-in", "log-in"), "qwen auth login"),
    **dict.fromkeys(("logout", "signout", "sign-out", "log-out"), "qwen auth logout"),
    **dict.fromkeys(("status", "whoami", "account", "me"), "qwen auth status"),
    **dict.fromkeys(("explain", "why"), "qwen auth explain"),
    **dict.fromkeys(("doctor", "check"), "qwen auth doctor"),
    **dict.fromkeys(("quota", "usage", "limits"), "qwen auth status"),
    **dict.fromkeys(("profile", "profiles", "accounts"), "qwen auth list"),
    **dict.fromkeys(("switch", "use"), "qwen auth switch"),
    **dict.fromkeys(("token", "env"), "qwen auth {word}"),
    **dict.fromkeys(("resume", "continue"), "qwen --{word}"),
    **dict.fromkeys(("history", "conversations", "chats"), "qwen sessions"),
    **dict.fromkeys(("undo", "redo"), "qwen --{word}"),
    **dict.fromkeys(("rules", "approvals"), "qwen permissions"),
    **dict.fromkeys(("pull",), "qwen local {word}"),
    **dict.fromkeys(("help", "commands"), "qwen --help"),
    **dict.fromkeys(("version",), "qwen --version"),
    **dict.fromkeys(("chat", "start", "run", "repl", "interactive"), "qwen"),
    **dict.fromkeys(("upgrade", "update"), "qwen update"),
    **dict.fromkeys(("settings", "preferences", "configure", "config"), "qwen config"),
    "init": 'qwen "/init"',
    **dict.fromkeys(("models", "model"), ""),
}
"""Commands that other programs have, or that one expects here, with what does it. An empty text:
nothing does."""

_NEVER_PROMPTS = (
    *("login", "signin", "sign-in", "log-in", "logout", "signout", "sign-out", "log-out"),
    *("update", "upgrade", "version", "whoami"),
)
"""Of these, what is a command also where a text is piped in."""

_OF_NODE: Mapping[str, tuple[str, ...]] = {
    "board": ("show", "task", "claim", "done", "ask", "answer", "decline", "prune"),
    "channel": ("start", "stop", "status", "reload", "set", "pairing", "configure-weixin"),
    "extensions": (
        *("install", "uninstall", "list", "update", "disable", "enable", "link", "new"),
        *("settings", "sources"),
    ),
    "review": ("run", "parse-args", "fetch-pr", "issue-context", "compose-review"),
    "sandbox": (),
    "serve": (),
}
"""Commands of Node Qwen Code that are not here, with their subcommands: such words are never a
prompt there. What to do instead is in its table."""

_HINTS = {
    "models": "Name a model with -m; to see what an endpoint has, type /model in a conversation.",
}
_HINTS |= {"model": _HINTS["models"]}
_AS_PROMPT = 'To ask the model: qwen -p "{words}"'


def check_is_prompt(words: Sequence[str], root: click.Group, *, has_input: bool = False) -> None:
    """``has_input``: there is text for the model on standard input, as in ``make | qwen why``.

    Raises:
        UsageError: ``words`` are like a command; the hint names it, and how to ask the model.
    """
    first, following = words[0], list(words[1:])
    as_prompt = _AS_PROMPT.format(words=" ".join(words))
    if _is_of_node(first, following, has_input=has_input):
        from qwen_code.config.node_names import find

        verdict = find("commands", first)
        raise UsageError(
            f"{first!r} is not a command of qwen{f': {verdict.why}' if verdict else ''}",
            hint=as_prompt,
        )
    if len(words) > _MAX_WORDS or " " in "".join(words[:2]) or not _WORD.fullmatch(first):
        return
    first = first.lower()
    is_expected = first in _OF_OTHERS and (first in _NEVER_PROMPTS or not has_input)
    if is_expected and _is_of_a_command(following):
        meant = _OF_OTHERS[first].format(word=first)
        way = f"Did you mean {meant}?" if meant else _HINTS.get(first, "See: qwen --help.")
        raise UsageError(f"{first!r} is not a command of qwen", hint=f"{way} {as_prompt}")
    for name in root.list_commands(click.Context(root)):
        is_typo = _is_near(first, name)
        if not is_typo and first != name:
            continue
        command = root.get_command(click.Context(root), name)
        own: list[str] = []
        if is_group := isinstance(command, click.Group):
            own = command.list_commands(click.Context(command))
        subcommand = _near_one(following[0], own) if following else ""
        is_alone = not following or following[0].startswith("-")
        if subcommand or (is_typo and (is_alone or (not is_group and len(following) == 1))):
            meant = " ".join(["qwen", name, *([subcommand] if subcommand else following[:1])])
            wrong = first if is_typo else " ".join(words[:2])
            raise UsageError(
                f"{wrong!r} is not a command of qwen", hint=f"Did you mean {meant}? {as_prompt}"
            )


def _is_of_node(first: str, following: Sequence[str], *, has_input: bool) -> bool:
    """Whether this is a command of Node Qwen Code that is not here. With a review, or with a word
    that is not a subcommand there, it can be a prompt as well."""
    if first not in _OF_NODE:
        return False
    if not following or following[0].startswith("-"):
        return first != "review"
    if following[0] in _OF_NODE[first]:
        return True
    is_like_one = first != "review" and len(following) < _MAX_WORDS and not has_input
    return is_like_one and _is_of_a_command(following)


def _is_of_a_command(following: Sequence[str]) -> bool:
    """Whether words can follow a command: options, or one of the usual subcommands."""
    usual = ("list", "show", "get", "set", "add", "remove", "delete", "edit", "install", "new")
    return not following or following[0].startswith("-") or following[0].lower() in usual


def _near_one(word: str, names: Sequence[str]) -> str:
    return next((name for name in names if word.lower() == name or _is_near(word, name)), "")


def _is_near(word: str, name: str) -> bool:
    """Whether ``word`` is ``name`` with a typing mistake, or without its plural."""
    if word == name:
        return False
    if f"{word}s" == name or word == f"{name}s":
        return True
    allowed = 2 if len(name) >= 7 else 1
    return abs(len(word) - len(name)) <= allowed and _distance(word, name) <= allowed


def _distance(a: str, b: str) -> int:
    """How many letters to add, remove, replace or exchange with the next one (Damerau)."""
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, letter in enumerate(a, start=1):
        last, before, row = before, row, [i]
        for j, other in enumerate(b, start=1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == b[j - 2] and a[i - 2] == other:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return row[-1]
