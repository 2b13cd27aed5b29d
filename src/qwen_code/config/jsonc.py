"""JSON as people write it: ``//`` and ``/* */`` comments, trailing commas. Pure: bytes to bytes.

Comments are blanked with spaces before a strict parser sees the text, so every position in an
error, and every place where a value is changed, is a position in the original.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from qwen_code.base.errors import ConfigError
from qwen_code.base.json_text import TOO_DEEP, decode_json

# Patterns are compiled by their first use: a run without a settings file needs none of them.
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)'
_COMMENT = b"(?s)" + _STRING + rb"|//[^\r\n]*|/\*.*?(?:\*/|\Z)"
_COMMA = b"(?s)" + _STRING + rb"|[\[{,]\s*,|,(?=\s*[\]}])"
"""The second branch matches commas without a value before them. They are kept, and so reported."""
_TOKEN = b"(?s)" + _STRING + rb'|[{}\[\]:,]|[^\s{}\[\]:,"]+'
_NEXT_COMMA = rb"\s*,"
_BYTE = r" \(byte (\d+)\)$"
_ONE_PAST = "trailing characters|escape|surrogate"
"""Errors for which the parser gives the position after the wrong byte."""


class JsoncError(ConfigError):
    """The text is malformed or is not an object; ``line`` and ``column`` count from 1."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


class _Member(msgspec.Struct, frozen=True):
    """One ``"name": value`` of an object, as offsets into the text."""

    name: str
    key: int
    value: int
    end: int


def loads(data: bytes) -> dict[str, Any]:
    """The object in ``data``; an empty one if there are only blanks and comments.

    Raises:
        JsoncError: it is not JSON with comments, or not an object.
    """
    tree = _plain(data)
    if tree is not None:
        return tree
    text = re.sub(_COMMA, _without_comma, _without_comments(data))
    if not text.strip():
        return {}
    try:
        tree = decode_json(text)
    except msgspec.DecodeError as error:
        if str(error) == TOO_DEEP:
            raise JsoncError(TOO_DEEP, 1, 1) from None
        raise _malformed(data, str(error)) from None
    if not isinstance(tree, dict):
        raise _error(data, len(text) - len(text.lstrip()), "it is not an object: { … }")
    return tree


def _plain(data: bytes) -> dict[str, Any] | None:
    """The object if ``data`` is plain JSON, as in most files: no pattern is needed then."""
    try:
        tree = decode_json(data)
    except msgspec.DecodeError:
        return None
    return tree if isinstance(tree, dict) else None


def locate(data: bytes, path: Sequence[str]) -> int | None:
    """The line (from 1) of the key at ``path`` in data that :func:`loads` accepts."""
    found = _find(_without_comments(data), path)
    return data.count(b"\n", 0, found[1].key) + 1 if found else None


def set_value(data: bytes, path: Sequence[str], value: object) -> bytes:
    """``data`` with the value at ``path`` changed or inserted, and every other byte kept.

    Missing parents are created.

    Raises:
        JsoncError: ``data`` is broken, or a value on the path is not an object.
    """
    loads(data)
    text = _without_comments(data)
    start = text.find(b"{")
    if start < 0:
        end_of_line = _newline(data) if data.strip() else b""
        return data.rstrip() + end_of_line + _render(data, _nest(path, value), b"") + _newline(data)
    for depth, name in enumerate(path[:-1]):
        parent = _member(text, start, name)
        if parent is None:
            return _insert(data, text, start, name, _nest(path[depth + 1 :], value))
        if text[parent.value : parent.value + 1] != b"{":
            raise _error(data, parent.value, f'"{".".join(path[: depth + 1])}" is not an object')
        start = parent.value
    member = _member(text, start, path[-1])
    if member is None:
        return _insert(data, text, start, path[-1], value)
    return (
        data[: member.value]
        + _render(data, value, _indent_of(data, member.key))
        + data[member.end :]
    )


def remove_value(data: bytes, path: Sequence[str]) -> bytes:
    """``data`` without the value at ``path``; comments around it stay.

    Raises:
        JsoncError: ``data`` is broken.
    """
    loads(data)
    while (found := _find(_without_comments(data), path)) is not None:
        data = _cut(data, *found)
    return data


# -- reading ------------------------------------------------------------------------------------


@lru_cache(maxsize=4)
def _without_comments(data: bytes) -> bytes:
    if data.startswith(codecs.BOM_UTF8):
        data = b"   " + data[3:]
    return re.sub(_COMMENT, _blank_comment, data) if b"/" in data else data


def _blank_comment(match: re.Match[bytes]) -> bytes:
    token = match[0]
    if token.startswith(b'"') or (token.startswith(b"/*") and not token[2:].endswith(b"*/")):
        return token  # an unterminated comment is kept, so that the parser reports it
    return re.sub(rb"[^\r\n]", b" ", token)


def _without_comma(match: re.Match[bytes]) -> bytes:
    return b" " if match[0] == b"," else match[0]


def _members(text: bytes, start: int) -> Iterator[_Member]:
    """The members of the object whose brace is at ``start``; nested ones are skipped."""
    depth, key, value, end = 0, None, -1, -1
    for token in re.compile(_TOKEN).finditer(text, start):
        symbol = token[0]
        if depth == 1 and symbol in (b",", b"}"):
            if key is not None:
                yield _Member(decode_json(key[0], str), key.start(), value, end)
            if symbol == b"}":
                return
            key, value = None, -1
        elif depth == 1 and key is None:
            key = token
        elif symbol in (b"{", b"["):
            value = token.start() if depth == 1 else value
            depth += 1
        elif symbol in (b"}", b"]"):
            depth -= 1
            end = token.end()
        elif depth == 1 and symbol != b":":
            value, end = token.span()


def _member(text: bytes, start: int, name: str) -> _Member | None:
    """The member of that name; the last one where there are several, as parsers do."""
    found = None
    for member in _members(text, start):
        if member.name == name:
            found = member
    return found


def _find(text: bytes, path: Sequence[str]) -> tuple[int, _Member] | None:
    start, member = text.find(b"{"), None
    for depth, name in enumerate(path):
        if start < 0 or (member := _member(text, start, name)) is None:
            return None
        if depth < len(path) - 1:
            start = member.value if text[member.value : member.value + 1] == b"{" else -1
    return (start, member) if member else None


# -- writing ------------------------------------------------------------------------------------


def _nest(path: Sequence[str], value: object) -> object:
    for name in reversed(path):
        value = {name: value}
    return value


def _insert(data: bytes, text: bytes, start: int, name: str, value: object) -> bytes:
    """Add a member at the end of the object at ``start``, in the style of the existing ones."""
    members = list(_members(text, start))
    last = members[-1] if members else None
    after = last.end if last else start + 1
    close = text.index(b"}", after)
    rest = data[after:close]
    kept = rest.rstrip()  # comments that follow the last member, and its comma if it has one
    tail = rest[len(kept) :]
    has_comma = b"," in text[after:close]
    key = msgspec.json.encode(name) + b": "
    if last and not re.search(rb"[\r\n]", data[start:close]):
        member = b" " + key + msgspec.json.encode(value)
    else:
        outer = _indent_of(data, start)
        inner = _indent_of(data, last.key) if last else outer + _unit(data)
        member = _newline(data) + inner + key + _render(data, value, inner)
        if b"\n" not in tail:
            tail = _newline(data) + outer
    before = b"," if last and not has_comma else b""
    behind = b"," if has_comma else b""
    return data[:after] + before + kept + member + behind + tail + data[close:]


def _cut(data: bytes, start: int, member: _Member) -> bytes:
    """Remove one member with its comma, and its line if that is blank then."""
    text = _without_comments(data)
    previous = [m for m in _members(text, start) if m.end <= member.key]
    comma = _comma_after(text, member)
    if comma is None and previous:
        comma = _comma_after(text, previous[-1])
    spans = [(member.key, member.end)] + ([(comma, comma + 1)] if comma is not None else [])
    for at, to in sorted(spans, reverse=True):
        data = data[:at] + data[to:]
    position = member.key - (comma is not None and comma < member.key)
    line, end = data.rfind(b"\n", 0, position) + 1, data.find(b"\n", position) + 1
    if line and end and not data[line:end].strip():
        data = data[:line] + data[end:]
    return data


def _comma_after(text: bytes, member: _Member) -> int | None:
    found = re.compile(_NEXT_COMMA).match(text, member.end)
    return found.end() - 1 if found else None


def _render(data: bytes, value: object, indent: bytes) -> bytes:
    lines = msgspec.json.format(msgspec.json.encode(value), indent=1).split(b"\n")
    unit = _unit(data)
    shifted = [line.lstrip(b" ") for line in lines]
    depths = [len(line) - len(bare) for line, bare in zip(lines, shifted, strict=True)]
    return (_newline(data) + indent).join(
        unit * depth + bare for depth, bare in zip(depths, shifted, strict=True)
    )


def _newline(data: bytes) -> bytes:
    return b"\r\n" if b"\r\n" in data else b"\n"


def _unit(data: bytes) -> bytes:
    """One step of indentation, as the file's first indented key has it; else two spaces."""
    found = re.search(rb'\n([ \t]+)"', data)
    return found[1] if found else b"  "


def _indent_of(data: bytes, position: int) -> bytes:
    line = data[data.rfind(b"\n", 0, position) + 1 : position]
    return line[: len(line) - len(line.lstrip(b" \t"))]


# -- errors -------------------------------------------------------------------------------------


def _malformed(data: bytes, message: str) -> JsoncError:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return _error(data, error.start, "a byte that is not UTF-8 text")
    if found := re.search(_BYTE, message):
        reason = message[: found.start()].removeprefix("JSON is malformed: ")
        return _error(data, int(found[1]) - bool(re.search(_ONE_PAST, reason)), reason)
    if "truncated" in message:
        reason = "it ends too early (is a bracket or quote left open?)"
        return _error(data, len(data.rstrip()), reason)
    return JsoncError(message, 1, 1)


def _error(data: bytes, offset: int, message: str) -> JsoncError:
    before = data[:offset].removeprefix(codecs.BOM_UTF8)
    column = len(before[before.rfind(b"\n") + 1 :].decode(errors="replace")) + 1
    return JsoncError(message, data.count(b"\n", 0, offset) + 1, column)
