"""Which options and operands of a command are safe to add to what a rule names: the table, read.

The table is data: ``safe_options.txt`` beside this module, which also describes its format.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import msgspec

from qwen_code.agent.errors import NotPlain
from qwen_code.agent.rules import scripts
from qwen_code.agent.rules.line import Word
from qwen_code.agent.rules.programs import BUILTINS, RUNNERS, SHELLS
from qwen_code.agent.rules.types import names

_COLUMN = re.compile(r"(?<=\s)\|(?=\s|$)")
"""Between two columns; a ``|`` in a regular expression has no blanks around it."""

_TABLE = Path(__file__).with_suffix(".txt")
_MAX_KEY_WORDS = 3
_ALL = "ALL"
_INSIDE = "inside"
_SCRIPTS: dict[str, Callable[[Sequence[str]], None]] = {
    "@sed": scripts.check_sed,
    "@awk": scripts.check_awk,
}
_SAME = {"python3": "python", "pip3": "pip"}
_LAUNCHERS = (
    *(("npx",), ("pnpm", "exec"), ("yarn", "exec"), ("bunx",), ("bundle", "exec")),
    *(("uv", "run"), ("uvx",), ("poetry", "run"), ("pipenv", "run"), ("python", "-m")),
)
"""What stands before a tool of the project. A rule has to name the tool as well."""

_EXACT_ONLY = names(
    "tee dd install truncate shred split csplit patch ed ex vi vim nvim view emacs nano m4 "
    "crontab rsync scp sftp less more man mysql psql sqlite3 osascript open xdg-open screen "
    "tmux nc ncat socat telnet mail cpio"
)
"""Programs whose operands alone can run or write something, or send it away."""


class Row(msgspec.Struct, frozen=True):
    """What is safe after the words of ``key``."""

    key: tuple[str, ...]
    flags: frozenset[str] = frozenset()
    valued: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    """Options with a value that can only be attached."""
    allows_all: bool = False
    max_operands: int | None = 0
    patterns: tuple[str, ...] = ()
    script: str = ""
    changes: bool = False
    """Its operands are paths that are changed."""
    walks: bool = False
    """It reads directories with everything below them."""


def find_row(words: Sequence[str]) -> Row | None:
    """The row for a command, by its first words; ``None`` if the table has none."""
    words = _plain_name(words)
    for launcher in _LAUNCHERS:
        if tuple(words[: len(launcher)]) == launcher and len(words) > len(launcher):
            found = find_row(words[len(launcher) :])
            if found is not None:
                return msgspec.structs.replace(found, key=(*launcher, *found.key))
    for count in range(min(_MAX_KEY_WORDS, len(words)), 0, -1):
        if line := _lines().get(tuple(words[:count])):
            return _row(line)
    return None


def check_rest(words: Sequence[Word], covered: int, *, any_operand: bool) -> Row | None:
    """Check what a command has beyond the ``covered`` words that a rule names; the row for it.

    ``any_operand``: the rule says that operands may follow, also where the table does not know the
    program.

    Raises:
        NotPlain: an option or operand is not known to be safe. The message says which.
    """
    texts = [word.text for word in words]
    row = find_row(texts)
    rest = words[max(covered, len(row.key) if row else 0) :]
    if row is None and not rest and covered:
        return None
    if [word.text for word in rest] in (["--version"], ["--help"]) and texts[0] != "git":
        return row
    if row is None:
        _check_unknown(texts, rest, any_operand=any_operand)
    else:
        _check_launcher(row, covered)
        _check_row(row, rest, words[len(row.key) : covered])
    return row


def _check_launcher(row: Row, covered: int) -> None:
    for launcher in _LAUNCHERS:
        if row.key[: len(launcher)] == launcher and covered <= len(launcher) < len(row.key):
            raise NotPlain(f"the rule does not name what {' '.join(launcher)} runs")


def _check_unknown(texts: Sequence[str], rest: Sequence[Word], *, any_operand: bool) -> None:
    """A program that the table does not know may get operands, but no options."""
    name = _plain_name(texts)[0]
    is_known = name in _EXACT_ONLY or name in BUILTINS or name in RUNNERS or name in SHELLS
    if is_known or any(key[0] == name for key in _lines()):
        raise NotPlain(f"what follows {' '.join(texts[:2])!r} is not known to be safe")
    if not any_operand:
        raise NotPlain(
            f"{name} is not in the table of safe options, so only these very words match"
        )
    for word in rest:
        if _may_be_option(word):
            raise _unsafe(word, name)


def _unsafe(word: Word, shown: str) -> NotPlain:
    if word.is_pattern:
        return NotPlain(f"a file that {word.text} matches may be an option; write ./{word.text}")
    return NotPlain(f"{word.text!r} is not a known safe option of {shown}")


def _check_row(row: Row, rest: Sequence[Word], before: Sequence[Word]) -> None:
    if row.script:
        _SCRIPTS[row.script]([word.text for word in rest])
        return
    operands = [word for word in before if not word.text.startswith("-")]
    left, is_ended = list(rest), False
    while left:
        word = left.pop(0)
        if is_ended or word.text == "-" or not _may_be_option(word):
            _check_operand(row, word, len(operands))
            operands.append(word)
        elif word.text == "--":
            is_ended = True
        elif row.allows_all:
            continue
        elif not _takes_option(row, word.text):
            raise _unsafe(word, " ".join(row.key))
        elif _wants_value(row, word.text) and left:
            if _may_be_option(left[0]):
                raise NotPlain(f"{left[0].text!r} may be an option of {' '.join(row.key)}")
            _check_value(left.pop(0).text)


def _check_operand(row: Row, word: Word, index: int) -> None:
    shown = " ".join(row.key)
    if row.max_operands is not None and (index >= row.max_operands or word.is_pattern):
        raise NotPlain(f"{word.text!r} is not known to be safe after {shown}")
    if row.patterns:
        pattern = row.patterns[min(index, len(row.patterns) - 1)]
        if word.is_pattern or not re.fullmatch(pattern, word.text):
            raise NotPlain(f"{word.text!r} is not known to be safe after {shown}")


def _check_value(text: str) -> None:
    if "%G" in text:
        raise NotPlain("%G makes git run a program that checks signatures")


def _may_be_option(word: Word) -> bool:
    """Whether the program could take it for an option: a pattern may match a file ``-x``."""
    return word.text.startswith("-") or (word.is_pattern and word.text[:1] in ("*", "?", "["))


def _takes_option(row: Row, text: str) -> bool:
    name, equals, value = text.partition("=")
    if equals:
        _check_value(value)
        return name in row.valued or name in row.optional
    if text in row.flags or text in row.valued or text in row.optional:
        return True
    if text.startswith("--"):
        return False
    if "-#" in row.flags and re.fullmatch(r"-[0-9]+", text):
        return True
    return _takes_letters(row, text[1:])


def _takes_letters(row: Row, letters: str) -> bool:
    """Whether a cluster of short options is safe: ``-la``, ``-n5``, ``-am``."""
    for index, letter in enumerate(letters):
        option = f"-{letter}"
        if option in row.valued or option in row.optional:
            _check_value(letters[index + 1 :])
            return True
        if option not in row.flags:
            return False
    return bool(letters)


def _wants_value(row: Row, text: str) -> bool:
    """Whether the next word is the value of this option."""
    if text in row.valued:
        return True
    if text.startswith("--") or text in row.flags or text in row.optional:
        return False
    last = next((i for i, c in enumerate(text[1:], 1) if f"-{c}" not in row.flags), None)
    return last is not None and last == len(text) - 1 and f"-{text[last]}" in row.valued


def _plain_name(words: Sequence[str]) -> list[str]:
    name = words[0].rpartition("/")[2]
    return [_SAME.get(name, name), *words[1:]]


@cache
def _lines() -> dict[tuple[str, ...], str]:
    """The lines of the table by the words that they are about."""
    lines = _TABLE.read_text("utf-8").splitlines()
    rows = [line for line in lines if line and not line.startswith("#")]
    return {tuple(line.partition(" | ")[0].split()): line for line in rows}


@cache
def _row(line: str) -> Row:
    key, options, operands, remarks = (part.strip() for part in _COLUMN.split(line))
    flags, valued, optional = set[str](), set[str](), set[str]()
    for option in options.split():
        if option.startswith("+"):
            (valued if option.endswith("#") else flags).add(option[1:].removesuffix("#"))
        elif option.endswith(("[=]", "[#]")):
            optional.add(option[:-3])
        elif option.endswith("=") or (option.endswith("#") and option != "-#"):
            valued.add(option[:-1])
        elif option.startswith("--") or option == "-#":
            flags.add(option)
        elif option != _ALL:
            flags.update(f"-{letter}" for letter in option[1:])
    return Row(
        tuple(key.split()),
        frozenset(flags),
        frozenset(valued),
        frozenset(optional),
        allows_all=options == _ALL,
        max_operands=int(operands or 0) if operands.isdecimal() or not operands else None,
        patterns=tuple(re.findall(r"(?:^|(?<= ))/(.+?)/(?= |$)", operands)),
        script=operands if operands.startswith("@") else "",
        changes=operands == _INSIDE,
        walks=remarks == "walks",
    )
