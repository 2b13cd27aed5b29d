"""Which commands a line may run, however it is written: for rules that deny and ask.

Everything is a command that bash may treat as one: in substitutions, here-documents, loops,
functions, behind wrappers, in the text that a shell is given. A word that only bash can determine
may be any word. What cannot be read at all may be any command. So a rule can match too much, but
never too little.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec

from qwen_code.agent.errors import NotPlain
from qwen_code.agent.rules.grammar import parse, text_of
from qwen_code.agent.rules.line import MAX_LENGTH, QUIET, scan
from qwen_code.agent.rules.paths import has_wildcard
from qwen_code.agent.rules.programs import ADDS_WORDS, EVALUATES, REDEFINES, RUNNERS, SHELLS
from qwen_code.agent.rules.safe_options import check_rest, find_row
from qwen_code.agent.rules.types import names

if TYPE_CHECKING:
    from tree_sitter import Node

_MAX_DEPTH = 6
_MAX_COMMANDS = 2000
_ODD = re.compile(
    r"[^\n\t\x20-\x7e\u00a1-\u1fff\u2070-\u2fff\u3001-\ud7ff\uf900-\ufefe\U00010000-\U0003ffff]"
)
"""Characters that bash, its parsers and people may take for blanks, or for nothing at all."""

_HERE_REDIRECTS = {"herestring_redirect", "heredoc_redirect"}
_REDIRECTS = {"file_redirect", *_HERE_REDIRECTS}
_WRITES = {">", ">>", ">|", "&>", "&>>", "<>"}
_HERE = "<<"
"""Stands as the program before the text of a here-document."""

_COPIES = names("tee sponge dd")
"""Programs that write their input into a file."""

_DECIDES_PROGRAMS = re.compile(
    r"(?:GIT|LD|DYLD|BASH|RIPGREP)_\w*|\w*(?:PAGER|EDITOR|SHELL|BROWSER|COMMAND|_OPTIONS|_OPTS)"
    r"|ENV|PATH|IFS|PERL5OPT|RUBYOPT"
)
"""Variables that make some program run another one."""

_EXPANDED = re.compile(r"(?<!\\)(?:\\\\)*(?:\{.+[,.]|\{\w+\}$|[$`])")
"""What bash expands in a word, even if the grammar takes it for a part of it."""

_SUBSCRIPT = re.compile(r"""\w['"\\]*\[[^\n]*?(?:\$\(|`|\$\{)""")
_ARITHMETIC = {"arithmetic_expansion", "test_command", "subscript", "binary_expression"}
_DUPLICATES = re.compile(r"[<>]&\s*(?![0-9]*-?(?:[\s;|&)]|$))[^\n]*(?:\$\(|`|\$\{)")
_UNKNOWN_INPUT = re.compile(r"-|(?:.*/)?(?:dev|proc)/.*")


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
        root = parse(reading)
        commands = [*_by_grammar(root), *_by_scanner(reading)]
        if (
            any(each[0] in REDEFINES for each in commands)
            or _feeds_shell(root, commands)
            or _expands_again(reading, root, commands)
        ):
            yield ANYTHING
        own = [found for each in commands for found in _meanings(each, depth)]
        yield from _without_data(own) if _may_pass_on(root, own) else own
        if _may_run_what_it_writes(root, commands):
            for each in commands:
                yield from _reached(" ".join(word or "$x" for word in each[1:]), depth + 1)


def _feeds_shell(root: Node, commands: Sequence[Sequence[str | None]]) -> bool:
    """Whether a shell may read a here-document or here-string as its script."""
    return any(node.type in _HERE_REDIRECTS for node in _below(root)) and any(
        program_of(word or "") in SHELLS for each in commands for word in each
    )


def _expands_again(line: str, root: Node, commands: Sequence[Sequence[str | None]]) -> bool:
    """Whether bash may expand text that is quoted: a subscript that it evaluates as an arithmetic
    expression, or the word after ``>&``, which it expands twice."""
    if _SUBSCRIPT.search(line) and (
        any(each[0] in EVALUATES for each in commands)
        or any(node.type in _ARITHMETIC for node in _below(root))
    ):
        return True
    if any(each[0] == "let" and None in each for each in commands):
        return True
    return _DUPLICATES.search(line) is not None


def _may_pass_on(root: Node, reached: Sequence[Reached]) -> bool:
    """Whether what a command prints may get to a program that does not only treat it as data."""
    if all(each.is_data for each in reached):
        return False
    return _writes(root) or any(node.type in ("pipeline", "heredoc_body") for node in _below(root))


def _may_run_what_it_writes(root: Node, commands: Sequence[Sequence[str | None]]) -> bool:
    """Whether a line makes a file and runs one."""
    programs = {each[0] or "/" for each in commands}
    runs = any("/" in name or name in SHELLS | {"source", "."} for name in programs)
    return runs and (_writes(root) or bool({program_of(name) for name in programs} & _COPIES))


def _without_data(reached: Sequence[Reached]) -> list[Reached]:
    return [
        msgspec.structs.replace(each, is_data=False) if each.is_data else each for each in reached
    ]


def _writes(root: Node) -> bool:
    redirects = (node for node in _below(root) if node.type == "file_redirect")
    return any(
        _WRITES & {child.type for child in each.children}
        and (target := each.child_by_field_name("destination")) is not None
        and text_of(target) != QUIET
        for each in redirects
    )


def _below(root: Node) -> Iterator[Node]:
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += node.children


def _by_grammar(root: Node) -> Iterator[list[str | None]]:
    if root.has_error:
        yield [None]
    for node in _below(root):
        if node.type == "command":
            words = list(_words(node))
            if words:
                yield words if _is_well_read(node) else [None]
        elif node.type in ("declaration_command", "unset_command", "test_command"):
            yield [text_of(node).split(None, 1)[0], None]
        elif node.type == "variable_assignment":
            yield from _by_assignment(node)
        elif node.type == "heredoc_body":
            yield [_HERE, text_of(node)]


def _is_well_read(command: Node) -> bool:
    """Whether the grammar has found the borders of the words: not in ``g''\\it``, for example."""
    parts = [each for each in command.children if each.type not in _REDIRECTS]
    return all(
        before.end_byte < after.start_byte and not text_of(after)[:1].isspace()
        for before, after in pairwise(parts)
    )


def _by_assignment(node: Node) -> Iterator[list[str | None]]:
    """The value, which may be a command for a program: ``PAGER='rm x' git log``."""
    name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
    if name is None or value is None:
        return
    known = _known(value)
    if known is not None:
        yield ["=", known]
    elif _DECIDES_PROGRAMS.fullmatch(text_of(name)):
        yield [None]


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
        return None if None in parts or re.search(r"\{.*(?:,|\.\.).*\}|\{\w+\}", known) else known
    if node.type in ("word", "number", "test_operator", "regex", "extglob_pattern"):
        if _EXPANDED.search(text) or not text.strip("*?"):
            return None
        return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)
    return text if not (node.children or node.is_named or _EXPANDED.search(text)) else None


def _meanings(words: Sequence[str | None], depth: int) -> Iterator[Reached]:
    """The command itself, and those that its words may name."""
    if not words:
        return
    name = words[0]
    if name is None or (name != "[" and has_wildcard(name)):
        yield ANYTHING
        return
    program = program_of(name)
    yield Reached(tuple(words), _is_data(words))
    if program == "git" and any("alias." in (word or "").casefold() for word in words):
        yield ANYTHING
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
    by_input = any(re.fullmatch(r"-[a-z]*s[a-z]*", word or "") for word in rest)
    is_unknown = any(word is None or _UNKNOWN_INPUT.fullmatch(word) for word in rest)
    if not operands or by_input or is_unknown:
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
        attached = {word.partition("=")[2], word[2:]} if word.startswith("-") else {word}
        for text in sorted(attached):
            if word.startswith("-") or re.search(r"\s", text):
                yield from _reached(text, depth + 1)
                yield from _reached(" ".join(text.split()), depth + 1)  # as env -S splits it


def program_of(word: str) -> str:
    """The name of the program that ``word`` runs, without its directory."""
    return word.rpartition("/")[2].casefold()


def _is_data(words: Sequence[str | None]) -> bool:
    """Whether nothing in the words is run or written."""
    if words[0] == _HERE:
        return True
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
