"""The simple commands that a shell command line consists of, by bash's grammar.

The line is read by a real parser and never split as text. `every_command` serves rules that deny:
it finds commands anywhere, including substitutions and here-documents. `plain_commands` serves
rules that allow: it accepts only plain commands of plain words, which bash cannot read differently.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from qwen_code.agent.errors import NotPlain

if TYPE_CHECKING:
    from tree_sitter import Node

_PLAIN_WORD = re.compile(r"[A-Za-z0-9_./:=@%+,-]+")
_PLAIN_TEXT = re.compile(r"[^$`\\!\x00-\x1f\x7f-\uffff\U00010000-\U0010ffff]*")
"""Within double quotes. Non-ASCII letters can look like others, so they are not plain."""

_STRUCTURE = {"program", "list", "pipeline"}
_SEPARATORS = {";", "&&", "||", "|", "\n"}
_QUIET = {"/dev/null"}
_NO_WORDS = {"variable_assignment", "file_redirect", "herestring_redirect", "heredoc_redirect"}


def plain_commands(line: str) -> list[list[str]]:
    """The words of each simple command of ``line``, in order.

    Raises:
        NotPlain: it is more than commands of plain words joined by ``;``, ``&&``, ``||``, ``|``
            and newlines, or it cannot be parsed. The message says what.
    """
    root = _parse(line)
    if root.has_error:
        raise NotPlain("it cannot be parsed")
    commands = list(_plain(root))
    if not commands:
        raise NotPlain("it has no command")
    return commands


def every_command(line: str) -> list[list[str]]:
    """The words of every simple command anywhere in ``line``.

    A word whose value only bash can determine is an empty string.
    """
    found = []
    waiting = [_parse(line)]
    while waiting:
        node = waiting.pop()
        if node.type == "command":
            words = [word for word in _words(node) if word.type not in _NO_WORDS]
            found.append([_known(word) for word in words])
        waiting += node.children
    return found


def _parse(line: str) -> Node:
    # Imported only when a command is judged: it takes 15 ms.
    import tree_sitter_bash
    from tree_sitter import Language, Parser

    return Parser(Language(tree_sitter_bash.language())).parse(line.encode()).root_node


def _plain(node: Node) -> Iterator[list[str]]:
    if node.type in _STRUCTURE:
        for child in node.children:
            if child.type in _SEPARATORS and not child.is_named:
                continue
            yield from _plain(child)
    elif node.type == "redirected_statement":
        for child in node.children:
            if child.type == "file_redirect":
                _check_redirect(child)
            else:
                yield from _plain(child)
    elif node.type == "command":
        yield [_plain_word(word) for word in _words(node)]
    else:
        raise NotPlain(f"it contains a {node.type.replace('_', ' ')}")


def _check_redirect(node: Node) -> None:
    """Output may be redirected to /dev/null or the other stream, but not to a file."""
    target = _text(node.children[-1])
    operator = next((c.type for c in node.children if not c.is_named), "")
    joins = operator in (">&", "<&") and target.isdigit()
    if not joins and target not in _QUIET:
        raise NotPlain(f"it redirects to {target}")


def _words(command: Node) -> list[Node]:
    words = []
    for child in command.children:
        words += child.children if child.type == "command_name" else [child]
    return words


def _plain_word(node: Node) -> str:
    text = _text(node)
    if node.type in ("word", "number") and _PLAIN_WORD.fullmatch(text):
        return text
    if node.type == "raw_string" and text.isascii():
        return text[1:-1]
    if node.type == "string" and _PLAIN_TEXT.fullmatch(text):
        return text[1:-1]
    raise NotPlain(f"only bash can expand {text!r} ({node.type.replace('_', ' ')})")


def _known(node: Node) -> str:
    """The word as bash reads it, without backslashes and quotes, or an empty string."""
    if node.type in ("word", "number"):
        return re.sub(r"\\(.)", r"\1", _text(node), flags=re.DOTALL)
    if node.type == "raw_string":
        return _text(node)[1:-1]
    if node.type in ("string", "concatenation", "ansi_c_string"):
        parts = [_known(child) for child in node.children if child.type != '"']
        return "".join(parts) if parts else _text(node).strip("$'\"")
    if node.type == "string_content":
        return _text(node)
    return ""


def _text(node: Node) -> str:
    return (node.text or b"").decode("utf-8", "replace")
