"""Tools of other programs whose schemas a model's provider does not accept. Pure.

What JSON Schema allows, and what providers take of it, differ. A rejected schema costs that tool
its details first, and only then the tool; never the session.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from qwen_code.models.errors import BadRequest

_INDEX = re.compile(
    r"(?:\btools|function_?declarations)(?:[\[.](\d+)|['\"]?, *(\d+))", re.IGNORECASE
)
_GENERAL = re.compile(
    r"(tool|function)s?\b.{0,60}(schema|parameters)|schema\b.{0,60}\b(tool|function)|input_?schema",
    re.IGNORECASE | re.DOTALL,
)
_LIMIT = re.compile(r"(?:max\w*|at most|up to|limit\w*)\D{1,30}(\d{1,4})\b", re.IGNORECASE)
"""As in "maximum length 128"."""

_TYPES = ("object", "array", "string", "integer", "number", "boolean")
_MAX_DEPTH = 6
_MAX_CHOICES = 100


def blamed(error: BadRequest, names: Sequence[str]) -> list[str] | None:
    """Which of the tools in the request an error is about; an empty list for tools in general,
    ``None`` for something else. ``names`` are all of them, in the order of the request."""
    text = f"{error.parameter or ''} {error.message}"
    named = [
        name for name in names if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", error.message)
    ]
    if named and re.search(r"schema|parameter|function|tool", text, re.IGNORECASE):
        return named
    indexes = [int(first or second) for first, second in _INDEX.findall(text)]
    found = [names[index] for index in indexes if index < len(names)]
    if found:
        return list(dict.fromkeys(found))
    if (limit := _LIMIT.search(text)) and "tools" in text:
        return [*names[int(limit[1]) :]]
    is_general = _GENERAL.search(text) or (error.parameter or "").startswith("tools")
    return [] if is_general else None


def plain_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """``schema`` with what every provider takes: types, properties, descriptions, texts to choose
    from. References inside of it are followed; of alternatives the first one with a type counts."""
    return {"properties": {}, **_plain(schema, schema, 0), "type": "object"}


def _plain(schema: Any, root: Mapping[str, Any], depth: int) -> dict[str, Any]:
    found = _resolved(schema, root, depth)
    kind = found.get("type")
    if isinstance(kind, list):
        kind = next((each for each in kind if each in _TYPES), None)
    if kind not in _TYPES:
        kind = "object" if "properties" in found else "array" if "items" in found else "string"
    plain: dict[str, Any] = {"type": kind}
    if isinstance(found.get("description"), str):
        plain["description"] = found["description"]
    choices = found.get("enum")
    if kind == "string" and isinstance(choices, list):
        texts = [each for each in choices if isinstance(each, str) and each]
        if texts:
            plain["enum"] = texts[:_MAX_CHOICES]
    if kind == "array":
        plain["items"] = _plain(found.get("items") or {}, root, depth + 1)
    if kind == "object":
        properties = found.get("properties")
        table = properties if isinstance(properties, Mapping) else {}
        shown = table.items() if depth < _MAX_DEPTH else ()
        plain["properties"] = {name: _plain(each, root, depth + 1) for name, each in shown}
        required = found.get("required")
        names = required if isinstance(required, list) else []
        if kept := [name for name in names if name in plain["properties"]]:
            plain["required"] = kept
    return plain


def _resolved(schema: Any, root: Mapping[str, Any], depth: int) -> Mapping[str, Any]:
    """A schema without references and alternatives at its top."""
    found = schema if isinstance(schema, Mapping) else {}
    for _ in range(_MAX_DEPTH if depth < _MAX_DEPTH else 0):
        if isinstance(reference := found.get("$ref"), str):
            found = {**_at(reference, root), **{k: v for k, v in found.items() if k != "$ref"}}
            continue
        options = next((found[k] for k in ("anyOf", "oneOf", "allOf") if found.get(k)), None)
        if "type" in found or not isinstance(options, list):
            break
        usable = [o for o in options if isinstance(o, Mapping) and o.get("type") != "null"]
        rest = {k: v for k, v in found.items() if k not in ("anyOf", "oneOf", "allOf")}
        found = {**(usable[0] if usable else {}), **rest}
    return found


def _at(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    place: Any = root
    for part in reference.removeprefix("#").strip("/").split("/") if "/" in reference else ():
        place = (
            place.get(part.replace("~1", "/").replace("~0", "~"))
            if isinstance(place, Mapping)
            else None
        )
    return place if isinstance(place, Mapping) else {}
