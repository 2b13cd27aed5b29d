"""Types of a TypeScript declaration file, for checks of real data: interfaces, unions, literals, arrays
and records; everything else counts as ``unknown``, which fits all."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

_TOKEN = re.compile(r'"[^"]*"|[A-Za-z_$][\w$]*|=>|\S')
_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_BASIC: Mapping[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "true": lambda value: value is True,
    "false": lambda value: value is False,
    "undefined": lambda value: False,
}


class Field(NamedTuple):
    type: Any
    is_optional: bool


class Types:
    """The declared types of a file, by their names."""

    def __init__(self, text: str) -> None:
        text = _COMMENT.sub("", text)
        self._declared: dict[str, Any] = {}
        pattern = r"^(?:export )?(?:declare )?(interface|type) (\w+)(?: extends (\w+))?( =)? "
        for found in re.finditer(pattern, text, re.MULTILINE):
            reader = _Reader(_TOKEN.finditer(text, found.end()))
            self._declared[found[2]] = ("extends", found[3], reader.type())

    def mistakes(self, name: str, value: Any, place: str = "") -> list[str]:
        """Why ``value`` is not of the type ``name``; empty if it is."""
        return list(self._check(("name", name), value, place or name))

    def _check(self, wanted: Any, value: Any, place: str) -> Iterator[str]:
        kind, *rest = wanted
        if kind == "literal":
            if value != rest[0]:
                yield f"{place}: {value!r} is not {rest[0]!r}"
        elif kind == "array":
            if not isinstance(value, list):
                yield f"{place}: {value!r} is no array"
                return
            for index, each in enumerate(value):
                yield from self._check(rest[0], each, f"{place}[{index}]")
        elif kind == "union":
            attempts = [list(self._check(each, value, place)) for each in rest[0]]
            if all(attempts):
                yield from min(attempts, key=len)
        elif kind == "object":
            yield from self._check_fields(rest[0], value, place)
        elif kind == "name":
            yield from self._check_name(rest[0], value, place)

    def _check_name(self, name: str, value: Any, place: str) -> Iterator[str]:
        if name in _BASIC:
            if not _BASIC[name](value):
                yield f"{place}: {value!r} is no {name}"
        elif name in self._declared:
            _, parent, body = self._declared[name]
            if parent:
                yield from self._check(("name", parent), value, place)
            yield from self._check(body, value, place)

    def _check_fields(self, fields: Mapping[str, Field], value: Any, place: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield f"{place}: {value!r} is no object"
            return
        for name, field in fields.items():
            if name in value:
                yield from self._check(field.type, value[name], f"{place}.{name}")
            elif not field.is_optional:
                yield f"{place}.{name} is missing"


class _Reader:
    """Reads one type."""

    def __init__(self, tokens: Iterator[re.Match[str]]) -> None:
        self._tokens = tokens
        self._next = ""
        self._advance()

    def _advance(self) -> str:
        token, found = self._next, next(self._tokens, None)
        self._next = found[0] if found else ""
        return token

    def type(self) -> Any:
        if self._next == "|":
            self._advance()
        found = [self._postfix()]
        while self._next == "|":
            self._advance()
            found.append(self._postfix())
        return found[0] if len(found) == 1 else ("union", found)

    def _postfix(self) -> Any:
        found = self._primary()
        while self._next == "[":
            self._advance()
            is_array = self._next == "]"
            self._skip_to("]")
            found = ("array", found) if is_array else ("unknown",)
        return found

    def _primary(self) -> Any:
        token = self._advance()
        if token[:1] == '"':
            return ("literal", token[1:-1])
        if token == "{":
            return ("object", self._fields())
        if token == "(":
            found = self.type()
            self._skip_to(")")
            return found
        if token in ("readonly", "typeof", "keyof"):
            self._primary()
            return ("unknown",)
        if self._next == "<":
            return self._generic(token)
        return ("name", token)

    def _generic(self, name: str) -> Any:
        self._advance()
        first = self.type()
        self._skip_to(">")
        return ("array", first) if name == "Array" else ("unknown",)

    def _fields(self) -> dict[str, Field]:
        found: dict[str, Field] = {}
        while self._next not in ("}", ""):
            name = self._advance()
            if name == "readonly":
                name = self._advance()
            if name == "[":  # an index signature: anything else may be there, too
                self._skip_to("]")
                name = ""
            is_optional = self._next == "?"
            if is_optional:
                self._advance()
            self._advance()  # the colon
            wanted = self.type()
            if name:
                found[name] = Field(wanted, is_optional)
            if self._next == ";":
                self._advance()
        self._advance()
        return found

    def _skip_to(self, end: str) -> None:
        while self._advance() not in (end, ""):
            pass
