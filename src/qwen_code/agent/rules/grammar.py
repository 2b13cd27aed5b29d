"""A command line as a parser of bash's grammar reads it (``tree-sitter-bash``).

`plain_line` reads a plain line in the same terms as `qwen_code.agent.rules.line`, and compares the
two.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from qwen_code.agent.errors import NotPlain
from qwen_code.agent.rules.line import Command, Line, Redirect, Word, scan

if TYPE_CHECKING:
    from tree_sitter import Node

_STRUCTURE = {"program", "list", "pipeline"}
_NESTED = {
    *("command", "command_name", "test_command"),
    *("unary_expression", "binary_expression", "negation_expression"),
}
_JOINS = {";", "&&", "||", "|", "\n"}


def plain_line(text: str) -> Line:
    """The commands of a plain line, by both readings.

    Raises:
        NotPlain: it is not plain, or the two readings differ.
    """
    line = scan(text)
    if parsed(text) != line:
        raise NotPlain("it can be read in more than one way")
    return line


def parsed(text: str) -> Line:
    """The line by the grammar of bash alone.

    Raises:
        NotPlain: it has an error, or more than simple commands.
    """
    root = parse(text)
    if root.has_error:
        raise NotPlain("it cannot be parsed")
    commands: list[Command] = []
    joins: list[str] = []
    _collect(root, commands, joins)
    return Line(tuple(commands), tuple(joins[: len(commands) - 1]))


def parse(line: str) -> Node:
    """The root of the tree of ``line``."""
    # Imported only when a command is judged: it takes 15 ms.
    import tree_sitter_bash
    from tree_sitter import Language, Parser

    return (
        Parser(Language(tree_sitter_bash.language()))
        .parse(line.encode("utf-8", "replace"))
        .root_node
    )


def _collect(node: Node, commands: list[Command], joins: list[str]) -> None:
    """Append the commands below ``node`` and what joins them, in order."""
    if node.type in _STRUCTURE:
        for child in node.children:
            if child.type in _JOINS and not child.is_named:
                _add_join(";" if child.type == "\n" else child.type, commands, joins)
            elif child.type != "comment":
                _add_join(";", commands, joins)
                _collect(child, commands, joins)
    elif node.type in ("redirected_statement", "command", "test_command"):
        commands.append(_command(node))
    else:
        raise NotPlain(f"it contains a {node.type.replace('_', ' ')}")


def _add_join(join: str, commands: list[Command], joins: list[str]) -> None:
    if len(joins) < len(commands):
        joins.append(join)


def _command(node: Node) -> Command:
    assigned: list[tuple[str, str]] = []
    words: list[Word] = []
    redirects: list[Redirect] = []
    for part in _parts(node):
        if part.type == "variable_assignment" and not words:
            name, _, value = _literal(part).partition("=")
            assigned.append((name.removesuffix("+"), value))
        elif part.type == "file_redirect":
            redirect, more = _redirect(part)
            redirects.append(redirect)
            words += more
        else:
            words.append(Word(_literal(part), _is_pattern(part)))
    return Command(tuple(assigned), tuple(words), tuple(redirects))


def _parts(node: Node) -> Iterator[Node]:
    for child in node.children:
        if child.type in _NESTED:
            yield from _parts(child)
        else:
            yield child


def _redirect(node: Node) -> tuple[Redirect, list[Word]]:
    """The redirection, and the words after its target: the grammar takes them for targets, too."""
    descriptor = operator = ""
    targets = []
    for child in node.children:
        if child.type == "file_descriptor":
            descriptor = text_of(child)
        elif not child.is_named:
            operator = child.type
        else:
            targets.append(child)
    if not targets:
        raise NotPlain("a redirection has no target")
    redirect = Redirect(descriptor, operator, _literal(targets[0]))
    return redirect, [Word(_literal(each), _is_pattern(each)) for each in targets[1:]]


def _literal(node: Node) -> str:
    """The text of a word, without its quotes.

    Raises:
        NotPlain: only bash can tell it.
    """
    text = text_of(node)
    if node.type == "raw_string":
        return text[1:-1]
    if node.type == "string":
        if any(child.type not in ('"', "string_content") for child in node.children):
            raise NotPlain(f"only bash can expand {text!r}")
        return re.sub(r'\\(["$`\\])', r"\1", text[1:-1])
    if node.type in ("concatenation", "variable_assignment"):
        return "".join(map(_literal, node.children))
    if node.named_child_count:
        raise NotPlain(f"only bash can expand {text!r} ({node.type.replace('_', ' ')})")
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


def _is_pattern(node: Node) -> bool:
    if node.type in ("raw_string", "string"):
        return False
    if node.type == "concatenation":
        return any(map(_is_pattern, node.children))
    text = text_of(node)
    return text not in ("[", "]") and re.search(r"(?<!\\)(?:\\\\)*[*?\[\]]", text) is not None


def text_of(node: Node) -> str:
    """The source of a node."""
    return (node.text or b"").decode("utf-8", "replace")
