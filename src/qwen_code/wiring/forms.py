"""The fields of a form, from the schema that a server asks with, and what a person writes in them.

The schema is the restricted one of MCP's elicitation (specification 2025-11-25,
client/elicitation): texts, numbers, truth values, choices and lists of choices, without nesting.
Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

Kind = Literal["text", "integer", "number", "boolean", "choice", "choices"]
_YES = ("y", "yes", "true", "on", "1")
_NO = ("n", "no", "false", "off", "0")


class Field(msgspec.Struct, frozen=True):
    """One field. ``choices`` are pairs of a value and what the person sees of it."""

    name: str
    kind: Kind
    label: str
    description: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    default: Any = None
    is_required: bool = False
    rules: Mapping[str, Any] = {}
    """The keywords of JSON Schema that limit the value."""

    def read(self, text: str) -> Any:
        """The value that a person wrote; the default for nothing, or ``None`` without one.

        Raises:
            ValueError: it does not fit; the text says what does.
        """
        text = text.strip()
        if not text:
            if self.default is None and self.is_required:
                raise ValueError("this is required")
            return self.default
        if self.kind == "boolean":
            if text.lower() not in (*_YES, *_NO):
                raise ValueError("write yes or no")
            return text.lower() in _YES
        if self.kind == "choice":
            return self._chosen(text)
        if self.kind == "choices":
            return self._several(text)
        return self._number(text) if self.kind in ("integer", "number") else self._text(text)

    def _chosen(self, text: str) -> str:
        """A choice by its number, its value, or what is shown of it."""
        if text.isascii() and text.isdigit() and 1 <= int(text) <= len(self.choices):
            return self.choices[int(text) - 1][0]
        for value, label in self.choices:
            if text.lower() in (value.lower(), label.lower()):
                return value
        raise ValueError(f"write a number from 1 to {len(self.choices)}")

    def _several(self, text: str) -> list[str]:
        chosen = [self._chosen(part.strip()) for part in text.split(",") if part.strip()]
        found = list(dict.fromkeys(chosen))
        least, most = self.rules.get("minItems", 0), self.rules.get("maxItems", len(self.choices))
        if not least <= len(found) <= most:
            raise ValueError(f"choose {least} to {most} of them")
        return found

    def _number(self, text: str) -> int | float:
        try:
            value = int(text) if self.kind == "integer" else float(text)
        except ValueError:
            what = "a whole number" if self.kind == "integer" else "a number"
            raise ValueError(f"write {what}") from None
        least, most = self.rules.get("minimum"), self.rules.get("maximum")
        if (least is not None and value < least) or (most is not None and value > most):
            raise ValueError(f"it must be {_range(least, most)}")
        return value

    def _text(self, text: str) -> str:
        least, most = self.rules.get("minLength"), self.rules.get("maxLength")
        if (least is not None and len(text) < least) or (most is not None and len(text) > most):
            raise ValueError(f"it must have {_range(least, most)} characters")
        check = _FORMATS.get(self.rules.get("format", ""))
        if check is not None and not check(text):
            raise ValueError(f"it must be a valid {self.rules['format']}")
        return text


def fields_of(schema: Mapping[str, Any]) -> list[Field]:
    """The fields of a form, in their order. What is of an unknown kind is asked for as a text."""
    required = schema.get("required") or ()
    properties = schema.get("properties") or {}
    return [
        _field(name, rules if isinstance(rules, Mapping) else {}, is_required=name in required)
        for name, rules in properties.items()
    ]


def _field(name: str, rules: Mapping[str, Any], *, is_required: bool) -> Field:
    kind, choices = _kind(rules)
    default = rules.get("default")
    return Field(
        name,
        kind,
        str(rules.get("title") or name),
        str(rules.get("description") or ""),
        choices,
        default,
        is_required,
        rules,
    )


def _kind(rules: Mapping[str, Any]) -> tuple[Kind, tuple[tuple[str, str], ...]]:
    if choices := _choices(rules):
        return "choice", choices
    kind = rules.get("type")
    items = rules.get("items")
    if kind == "array" and isinstance(items, Mapping) and (choices := _choices(items)):
        return "choices", choices
    if kind == "integer":
        return "integer", ()
    if kind == "number":
        return "number", ()
    return ("boolean" if kind == "boolean" else "text"), ()


def _choices(rules: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """``enum``, with ``enumNames`` or without, or titled ``oneOf`` and ``anyOf``."""
    values = rules.get("enum")
    if isinstance(values, Sequence) and not isinstance(values, str):
        names = rules.get("enumNames") or values
        return tuple((str(v), str(n)) for v, n in zip(values, names, strict=False))
    titled = rules.get("oneOf") or rules.get("anyOf") or ()
    return tuple(
        (str(each["const"]), str(each.get("title") or each["const"]))
        for each in titled
        if isinstance(each, Mapping) and "const" in each
    )


def _range(least: Any, most: Any) -> str:
    if least is None:
        return f"at most {most}"
    return f"at least {least}" if most is None else f"{least} to {most}"


def _is_uri(text: str) -> bool:
    try:
        return bool(urlsplit(text).scheme) and ":" in text
    except ValueError:
        return False


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _is_moment(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


_FORMATS = {
    "email": lambda text: re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", text) is not None,
    "uri": _is_uri,
    "date": _is_date,
    "date-time": _is_moment,
}
