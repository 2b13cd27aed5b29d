"""Which commands a line may run, however it is written: for rules that deny and ask.

Everything is a command that bash may treat as one: in substitutions, here-documents, loops,
functions, behind wrappers, in the text that a shell is given. A word that only bash can determine
may be any word. What cannot be read at all may be any command. So a rule can match too much, but
never too little.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from qwen_code.agent.errors import NotPlain
from qwen_code.agent.rules.grammar import parse, text_of
from qwen_code.agent.rules.line import MAX_LENGTH, scan
from qwen_code.agent.rules.programs import ADDS_WORDS, REDEFINES, RUNNERS, SHELLS
from qwen_code.agent.rules.safe_options import check_rest, find_row

if TYPE_CHECKING:
    from tree_sitter import Node

_MAX_DEPTH = 6
_MAX_COMMANDS = 2000
_ODD = re.compile(
    r"[^\n\t\x20-\x7e\u00a1-\u1fff\u2070-\u2fff\u3001-\ud7ff\uf900-\ufefe\U00010000-\U0003ffff]"
)
"""Characters that bash, its parsers and people may take for blanks, or for nothing at all."""

_REDIRECTS = {"file_redirect", "herestring_redirect", "heredoc_redirect"}
_UNKNOWN_INPUT = re.compile(r"-|/dev/.*|/proc/.*")


class Reached(msgspec.Struct, frozen=True):
    """A command that may run. A word is ``None`` where any words may stand."""

    words: tuple[str | None, ...]
    is_data: bool = False
    """Nothing in its words is run or written: the table of safe options knows all of them."""

    @property
    def text(self) -> str:
        """The known words on one line."""
        return " ".join("…" if word is None else word for word in self.words)


ANYTHING = Reached((None,))
"""It cannot be told what runs."""


def reached_by(line: str) -> list[Reached]:
    """Every command that ``line`` may run. With `ANYTHING` in it, it may be any other, too. The
    patterns of file names in it stand as they are."""
    found: dict[Reached, None] = {}
    for each in _reached(line, 0):
        found[each] = None
        if len(found) > _MAX_COMMANDS:
            return [ANYTHING]
    return list(found)


def _reached(line: str, depth: int) -> Iterator[Reached]:
    if depth > _MAX_DEPTH or len(line) > MAX_LENGTH or _ODD.search(line) or "\\`" in line:
        yield ANYTHING
        return
    for reading in dict.fromkeys((line, line.replace("\\\n", ""))):
        words = list(_by_grammar(reading))
        words += _by_scanner(reading)
        if any(each and each[0] in REDEFINES for each in words):
            yield ANYTHING
        for each in words:
            yield from _meanings(each, depth)


def _by_grammar(line: str) -> Iterator[list[str | None]]:
    root = parse(line)
    if root.has_error:
        yield [None]
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node.type == "command":
            words = list(_words(node))
            if words:
                yield words
        elif node.type in ("declaration_command", "unset_command", "test_command"):
            yield [text_of(node).split(None, 1)[0], None]
        waiting += node.children


def _by_scanner(line: str) -> list[list[str | None]]:
    try:
        commands = scan(line).commands
    except NotPlain:
        return []
    return [[text if text.strip("*?") else None for text in each.texts] for each in commands]


def _words(command: Node) -> Iterator[str | None]:
    """The words of a command, also those that the grammar takes for targets of a redirection."""
    parts = list(command.children)
    if command.parent is not None and command.parent.type == "redirected_statement":
        parts += [each for each in command.parent.children if each.type in _REDIRECTS]
    for child in parts:
        if child.type == "command_name":
            yield from map(_known, child.children)
        elif child.type == "file_redirect":
            yield from map(_known, [each for each in child.children if each.is_named][1:])
        elif child.type not in ("variable_assignment", *_REDIRECTS):
            yield _known(child)


def _known(node: Node) -> str | None:
    """The word as bash reads it, or ``None`` if only bash can tell."""
    text = text_of(node)
    if node.type == "raw_string":
        return text[1:-1]
    if node.type == "string_content":
        return text
    if node.type == "string":
        parts = [_known(child) for child in node.children if child.type != '"']
        inner = "".join(part for part in parts if part is not None)
        return (
            None if None in parts else re.sub(r'\\(["$`\\])', r"\1", inner if parts else text[1:-1])
        )
    if node.type == "concatenation":
        parts = [_known(child) for child in node.children]
        known = "".join(part for part in parts if part is not None)
        return None if None in parts or re.search(r"\{.*(?:,|\.\.).*\}", known) else known
    if node.type in ("word", "number", "test_operator", "regex", "extglob_pattern"):
        if re.search(r"(?<!\\)\{.+[,.]", text) or not text.strip("*?"):
            return None
        return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)
    return text if not node.children and not node.is_named else None


def _meanings(words: Sequence[str | None], depth: int) -> Iterator[Reached]:
    """The command itself, and those that its words may name."""
    if not words:
        return
    name = words[0]
    if name is None or (name != "[" and re.search(r"[*?\[]", name)):
        yield ANYTHING
        return
    program = program_of(name)
    yield Reached(tuple(words), _is_data(words))
    if program.startswith("git-"):
        yield Reached(("git", program[4:], *words[1:]))
    if program in SHELLS:
        yield from _by_shell(words[1:], depth)
    elif program in ("eval", "trap"):
        texts = [word for word in words[1:] if word is not None]
        if len(texts) < len(words) - 1:
            yield ANYTHING
        yield from _reached(" ".join(texts), depth + 1)
        if texts:
            yield from _reached(texts[0], depth + 1)
    elif program in ("source", "."):
        if any(word is None or _UNKNOWN_INPUT.fullmatch(word) for word in words[1:2]):
            yield ANYTHING
    elif program in RUNNERS:
        yield from _by_runner(program, words[1:], depth)


def _by_shell(rest: Sequence[str | None], depth: int) -> Iterator[Reached]:
    """A shell runs the text after ``-c``, a file, or its input, which is not known."""
    operands = [word for word in rest if word is None or not word.startswith(("-", "+"))]
    if not operands or any(word is None or _UNKNOWN_INPUT.fullmatch(word) for word in rest):
        yield ANYTHING
    for word in operands:
        if word is not None:
            yield from _reached(word, depth + 1)


def _by_runner(program: str, rest: Sequence[str | None], depth: int) -> Iterator[Reached]:
    more = (None,) if program in ADDS_WORDS else ()
    for start, word in enumerate(rest):
        tail = [None if each == "{}" else each for each in rest[start:]]
        if word is None:
            yield ANYTHING
            return
        if depth < _MAX_DEPTH:
            yield from _meanings([*tail, *more], depth + 1)
        if re.search(r"\s", word):
            yield from _reached(word, depth + 1)


def program_of(word: str) -> str:
    """The name of the program that ``word`` runs, without its directory."""
    return word.rpartition("/")[2].casefold()


def _is_data(words: Sequence[str | None]) -> bool:
    """Whether nothing in the words is run or written."""
    from qwen_code.agent.rules.line import Word

    known = [Word(word) for word in words if word is not None]
    if len(known) < len(words) or program_of(known[0].text) in RUNNERS | SHELLS:
        return False
    row = find_row([word.text for word in known])
    if row is None:
        return False
    try:
        check_rest(known, len(row.key), any_operand=False)
    except NotPlain:
        return False
    return True
