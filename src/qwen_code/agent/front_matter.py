"""Front matter: the YAML between two lines of ``---`` at the beginning of a Markdown file.

Read is what such files have in them: mappings, lists, texts in every style, comments. Anchors,
tags and several documents are errors. A text without quotes may contain ``: ``, which YAML forbids
and people write. Everything is bounded by the length of the file; nothing is executed.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn

_MAX_DEPTH = 20
_END = re.compile(r"(?m)^(?:---|\.\.\.)[ \t]*$")
_KEY = re.compile(
    r"""("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[\w$./*][^\s:]*(?::[^\s:]+)*)\s*:(?=\s|$)"""
)
_BLOCK = re.compile(r"([|>])([+-]?)([1-9]?)([+-]?)\s*(?:#.*)?")
_INTEGER = re.compile(r"[-+]?(?:0|[1-9]\d{0,17})")
_FLOAT = re.compile(r"[-+]?(?:\.\d+|\d+\.\d*)(?:[eE][-+]?\d{1,3})?")
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_ESCAPES = dict(
    zip('0abtnvfre "/\\\n\tN_LP', '\0\a\b\t\n\v\f\r\x1b "/\\\n\t\x85\xa0\u2028\u2029', strict=True)
)
_CODES = {"x": 2, "u": 4, "U": 8}


class FrontMatterError(ValueError):
    """The front matter cannot be read; the message names the line of the file."""


def read_front_matter(text: str) -> tuple[dict[str, Any], str]:
    """The fields, and the text after them.

    Raises:
        FrontMatterError: there is no front matter, or it is not valid.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    first, _, rest = text.partition("\n")
    if first.rstrip() != "---":
        raise FrontMatterError("it does not begin with front matter, between two lines of ---")
    end = _END.search(rest)
    if end is None:
        raise FrontMatterError("its front matter does not end with a line of ---")
    return _Reader(rest[: end.start()]).fields(), rest[end.end() :].strip("\n")


class _Reader:
    """Reads block by block; the lines of a block are those with at least its indentation."""

    def __init__(self, text: str) -> None:
        self._lines = text.split("\n")
        self._at = 0

    def fields(self) -> dict[str, Any]:
        indent = self._next_indent()
        if indent is None:
            return {}
        found = self._mapping(indent, 0)
        if self._next_indent() is not None:
            self._fail("this is not a line of the form `name: value`")
        return found

    def _fail(self, problem: str, at: int | None = None) -> NoReturn:
        line = (self._at if at is None else at) + 2  # after the first line of ---
        raise FrontMatterError(f"line {line}: {problem}")

    def _next_indent(self) -> int | None:
        """The indentation of the next line that says anything; ``None`` at the end."""
        while self._at < len(self._lines):
            line = self._lines[self._at]
            content = line.lstrip(" ")
            if content.strip() and not content.startswith("#"):
                if content.startswith("\t"):
                    self._fail("a tab cannot indent; use spaces")
                return len(line) - len(content)
            self._at += 1
        return None

    def _block(self, indent: int, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            self._fail(f"it is nested more than {_MAX_DEPTH} times")
        content = self._lines[self._at][indent:]
        if _is_item(content):
            return self._sequence(indent, depth)
        if _KEY.match(content):
            return self._mapping(indent, depth)
        self._at += 1
        return self._scalar(content, indent - 1, depth)

    def _mapping(self, indent: int, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while self._next_indent() == indent:
            line = self._lines[self._at][indent:]
            key = _KEY.match(line)
            if key is None or _is_item(line):
                if _is_item(line):
                    break
                self._fail("this is not a line of the form `name: value`")
            name = self._name(key[1])
            if name in found:
                self._fail(f"{name!r} is there twice")
            self._at += 1
            found[name] = self._value(line[key.end() :], indent, depth, may_have_items=True)
        return found

    def _sequence(self, indent: int, depth: int) -> list[Any]:
        found = []
        while self._next_indent() == indent and _is_item(self._lines[self._at][indent:]):
            rest = self._lines[self._at][indent + 1 :]
            inner = rest.lstrip(" ")
            if _is_item(inner) or (_KEY.match(inner) and not inner.startswith("*")):
                start = indent + 1 + len(rest) - len(inner)
                self._lines[self._at] = " " * start + inner
                found.append(self._block(start, depth + 1))
            else:
                self._at += 1
                found.append(self._value(rest, indent, depth, may_have_items=False))
        return found

    def _value(self, rest: str, indent: int, depth: int, *, may_have_items: bool) -> Any:
        """What stands after a name or a dash, and on the lines that belong to it."""
        if _without_comment(rest):
            return self._scalar(rest.strip(), indent, depth)
        below = self._next_indent()
        if below is None or below < indent:
            return None
        is_item = may_have_items and _is_item(self._lines[self._at][below:])
        if below > indent or is_item:
            return self._block(below, depth + 1)
        return None

    def _scalar(self, text: str, indent: int, depth: int) -> Any:
        """A text that begins with ``text``; the line of it is taken already."""
        if header := _BLOCK.fullmatch(text):
            return self._block_text(header, indent)
        if text[0] in "!&" or (text[0] == "?" and text[1:2] in ("", " ")):
            self._fail("tags, anchors and keys with ? are not read; put it in quotes", self._at - 1)
        if text[0] in "\"'[{":
            began = self._at
            whole = "\n".join([text, *self._below(indent)])
            flow = _Flow(whole)
            try:
                value = flow.value(depth)
                if flow.is_at_end():
                    return value
            except FrontMatterError as error:
                if text[0] in "\"'" or "\n" in whole:
                    self._fail(str(error), began - 1)
            self._at = began  # such as [FILE] [OPTIONS]: a text after all
        lines = [text, *(line for line in self._below(indent) if not line.startswith("#"))]
        return _resolved(_folded([_without_comment(line) for line in lines]))

    def _below(self, indent: int) -> list[str]:
        """The lines that continue a value: those that are indented more. They are taken."""
        found: list[str] = []
        while self._at < len(self._lines):
            line = self._lines[self._at]
            is_end = len(line) - len(line.lstrip(" ")) <= indent and line.strip() not in "]}"
            if line.strip() and is_end:
                break
            found.append(line.strip())
            self._at += 1
        while found and not found[-1]:
            found.pop()
        return found

    def _block_text(self, header: re.Match[str], indent: int) -> str:
        lines: list[str] = []
        own = indent + int(header[3]) if header[3] and indent >= 0 else None
        while self._at < len(self._lines):
            line = self._lines[self._at]
            deep = len(line) - len(line.lstrip(" "))
            if line.strip():
                if deep <= max(indent, -1) or (own is not None and deep < own):
                    break
                own = deep if own is None else own
            lines.append(line[own:] if own is not None and line.strip() else "")
            self._at += 1
        text = "\n".join(lines) if header[1] == "|" else _folded(lines, keeps_indented=True)
        if "+" in (header[2], header[4]):
            return f"{text}\n"
        text = text.rstrip("\n")
        return text if "-" in (header[2], header[4]) else f"{text}\n"

    def _name(self, written: str) -> str:
        try:
            return str(_Flow(written).value(0)) if written[0] in "\"'" else written
        except FrontMatterError as error:
            self._fail(str(error))


class _Flow:
    """Quoted texts, and lists and mappings in brackets, over any number of lines."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def is_at_end(self) -> bool:
        rest = self._text[self._at :]
        return not rest.strip() or re.fullmatch(r"\s+#[^\n]*\s*", rest) is not None

    def value(self, depth: int) -> Any:
        self._skip()
        start = self._text[self._at : self._at + 1]
        if start in ("'", '"'):
            return self._quoted(start)
        if start in ("[", "{"):
            if depth > _MAX_DEPTH:
                raise FrontMatterError(f"it is nested more than {_MAX_DEPTH} times")
            return self._list(depth + 1) if start == "[" else self._mapping(depth + 1)
        return _resolved(self._plain())

    def _skip(self) -> None:
        found = re.compile(r"(?:\s|(?<=\s)#[^\n]*)*").match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _take(self, sign: str) -> bool:
        self._skip()
        is_there = self._text.startswith(sign, self._at)
        self._at += is_there
        return is_there

    def _list(self, depth: int) -> list[Any]:
        self._at += 1
        found: list[Any] = []
        while not self._take("]"):
            found.append(self.value(depth))
            if not self._take(",") and not self._text.startswith("]", self._at):
                raise FrontMatterError("a list in brackets does not end with ]")
        return found

    def _mapping(self, depth: int) -> dict[str, Any]:
        self._at += 1
        found: dict[str, Any] = {}
        while not self._take("}"):
            name = str(self.value(depth))
            found[name] = self.value(depth) if self._take(":") else None
            if not self._take(",") and not self._text.startswith("}", self._at):
                raise FrontMatterError("a mapping in braces does not end with }")
        return found

    def _plain(self) -> str:
        found = re.compile(r"(?:[^,\[\]{}:\n]|:(?=\S))+").match(self._text, self._at)
        if found is None:
            raise FrontMatterError("something is missing in brackets")
        self._at = found.end()
        return _without_comment(found[0])

    def _quoted(self, quote: str) -> str:
        pattern = r"""'((?:[^']|'')*)'""" if quote == "'" else r'"((?:[^"\\]|\\.)*)"'
        found = re.compile(pattern, re.DOTALL).match(self._text, self._at)
        if found is None:
            raise FrontMatterError(f"a text in quotes does not end with {quote}")
        self._at = found.end()
        if quote == "'":
            return _joined(found[1]).replace("''", "'")
        return self._unescaped(_joined(re.sub(r"(?<!\\)((?:\\\\)*)\\\n\s*", r"\1", found[1])))

    def _unescaped(self, text: str) -> str:
        pieces, at = [], 0
        while (found := text.find("\\", at)) >= 0:
            pieces.append(text[at:found])
            sign = text[found + 1 : found + 2]
            width = _CODES.get(sign, 0)
            if width:
                code = text[found + 2 : found + 2 + width]
                if not re.fullmatch(rf"[0-9A-Fa-f]{{{width}}}", code) or not _is_text(code):
                    raise FrontMatterError(f"\\{sign}{code} is not a character")
                pieces.append(chr(int(code, 16)))
            elif sign in _ESCAPES:
                pieces.append(_ESCAPES[sign])
            else:
                raise FrontMatterError(f"\\{sign} is not an escape; write \\\\ for a backslash")
            at = found + 2 + width
        return "".join([*pieces, text[at:]])


def _is_item(content: str) -> bool:
    return content == "-" or content.startswith("- ")


def _without_comment(text: str) -> str:
    return re.split(r"(?:^|\s)#", text, maxsplit=1)[0].strip()


def _joined(quoted: str) -> str:
    return _folded(quoted.split("\n")) if "\n" in quoted else quoted


def _is_text(code: str) -> bool:
    number = int(code, 16)
    return number <= 0x10FFFF and not 0xD800 <= number <= 0xDFFF


def _folded(lines: list[str], *, keeps_indented: bool = False) -> str:
    """Lines as one; an empty line is a new line."""
    text, breaks, was_indented = "", 0, False
    for number, line in enumerate(lines):
        is_indented = keeps_indented and line.startswith((" ", "\t"))
        if not line.strip():
            breaks += 1
            continue
        if number and text:
            if is_indented or was_indented:
                text += "\n" * (breaks + 1)
            else:
                text += "\n" * breaks or " "
        text += line if keeps_indented else line.strip() if number else line.rstrip()
        breaks, was_indented = 0, is_indented
    return text + "\n" * breaks if keeps_indented else text


def _resolved(text: str) -> Any:
    """What a text without quotes means: nothing, yes or no, a number, or itself."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text
