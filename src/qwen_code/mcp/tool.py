"""A server's tool as one of ours."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from qwen_code.base.json_text import decode_json
from qwen_code.base.stop import Stop
from qwen_code.tools.base import Audience, Definition, Effect, Preview, Result
from qwen_code.tools.errors import ToolFailed

_MAX_NAME_LENGTH = 64
_MAX_DESCRIPTION_LENGTH = 400
_MAX_TITLE_LENGTH = 200
_SUBSCHEMAS = ("properties", "$defs", "definitions", "patternProperties")
_SUBSCHEMA = ("items", "additionalProperties", "not", "if", "then", "else", "contains")
_SUBSCHEMA_LISTS = ("anyOf", "allOf", "oneOf", "prefixItems")


class ListedTool(msgspec.Struct, frozen=True):
    """A tool in the answer to ``tools/list``. ``is_read_only`` counts only of a trusted server."""

    name: str
    description: str = ""
    schema: Mapping[str, Any] = {}
    is_read_only: bool = False


class Caller(Protocol):
    """One server, to which calls go."""

    @property
    def name(self) -> str: ...

    def call(
        self, tool: str, arguments: dict[str, Any], show: Callable[[str], None], stop: Stop
    ) -> Result:
        """Make a call.

        Raises:
            ToolFailed: it was not answered, or with an error.
        """


class McpTool:
    """A tool of a server; its name, description and schema are the server's words."""

    def __init__(self, name: str, listed: ListedTool, caller: Caller, *, is_trusted: bool) -> None:
        is_read_only = is_trusted and listed.is_read_only
        self.definition = Definition(
            name,
            _cut(" ".join(listed.description.split()), _MAX_DESCRIPTION_LENGTH),
            _acceptable(listed.schema),
            effect=Effect.NONE if is_read_only else Effect.ANYTHING,
            verb="Call",
            audience=Audience.AGENT | Audience.HELPERS if is_read_only else Audience.AGENT,
        )
        self._tool = listed.name
        self._caller = caller

    def parse(self, text: str) -> dict[str, Any]:
        """The arguments that the model wrote; the server checks them.

        Raises:
            ToolFailed: they are no JSON object.
        """
        try:
            return decode_json(text or "{}", dict[str, Any])
        except msgspec.DecodeError as error:
            name = self.definition.name
            raise ToolFailed(f"the arguments of {name} are no JSON object: {error}") from error

    def title(self, arguments: dict[str, Any]) -> str:
        shown = self.subject(arguments) if arguments else ""
        return _cut(f"{self._caller.name}: {self._tool} {shown}".rstrip(), _MAX_TITLE_LENGTH)

    def subject(self, arguments: dict[str, Any]) -> str:
        """All arguments: which of them is the path or command, only the server knows."""
        return msgspec.json.encode(arguments).decode()

    def directory(self, arguments: dict[str, Any]) -> str:
        return ""

    def preview(self, arguments: dict[str, Any]) -> Preview:
        """All arguments, line by line: the title may be too short for them."""
        return Preview(msgspec.json.format(msgspec.json.encode(arguments), indent=2).decode())

    def run(self, arguments: dict[str, Any], show: Callable[[str], None], stop: Stop) -> Result:
        return self._caller.call(self._tool, arguments, show, stop)


def make_tools(listed_tools: Sequence[tuple[Caller, ListedTool, bool]]) -> list[McpTool]:
    """The tools of all servers under names that are safe and differ: ``mcp__SERVER__TOOL``.

    Each comes with its server, and whether the user trusts that.
    """
    made: dict[str, McpTool] = {}
    for caller, listed, is_trusted in listed_tools:
        name = re.sub(r"[^A-Za-z0-9_-]", "_", f"mcp__{caller.name}__{listed.name}")
        if len(name) > _MAX_NAME_LENGTH or name in made:
            name = _distinct(name, caller.name, listed.name)
        made[name] = McpTool(name, listed, caller, is_trusted=is_trusted)
    return list(made.values())


def _distinct(name: str, server: str, tool: str) -> str:
    import hashlib  # hardly any tool needs it

    digest = hashlib.sha256(msgspec.json.encode([server, tool])).hexdigest()[:6]
    return f"{name[: _MAX_NAME_LENGTH - 7]}_{digest}"


def _acceptable(schema: Mapping[str, Any]) -> dict[str, Any]:
    """``schema`` as model APIs take it: of an object, without what names the schema itself."""
    kept: dict[str, Any] = _without_titles(schema)
    for name in ("$schema", "$id", "$comment"):
        kept.pop(name, None)
    kept["type"] = "object"
    if not isinstance(kept.get("properties"), dict):
        kept["properties"] = {}
    return kept


def _without_titles(schema: Any) -> Any:
    """Titles that generators write repeat the names, and cost tokens."""
    if not isinstance(schema, Mapping):
        return schema
    kept = {key: value for key, value in schema.items() if key != "title"}
    for key in _SUBSCHEMAS:
        if isinstance(table := kept.get(key), Mapping):
            kept[key] = {name: _without_titles(value) for name, value in table.items()}
    for key in _SUBSCHEMA:
        if isinstance(kept.get(key), Mapping):
            kept[key] = _without_titles(kept[key])
    for key in _SUBSCHEMA_LISTS:
        if isinstance(several := kept.get(key), list):
            kept[key] = [_without_titles(value) for value in several]
    return kept


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
