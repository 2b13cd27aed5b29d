"""Adapts the tools of servers to `Tool`."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from qwen_code.base.json_text import decode_json
from qwen_code.base.secret import redact
from qwen_code.base.stop import Stop
from qwen_code.mcp.offers import ListedResource, ListedTool
from qwen_code.tools.base import Definition, Effect, Preview, Result
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.masks import refuse_masks

_MAX_NAME_LENGTH = 64
_MAX_DESCRIPTION_LENGTH = 1024
"""The limit of the OpenAI API."""

_MAX_TITLE_LENGTH = 200
_MAX_LISTED = 200
READ_RESOURCE = "read_resource"
_SUBSCHEMAS = ("properties", "$defs", "definitions", "patternProperties")
_SUBSCHEMA = ("items", "additionalProperties", "not", "if", "then", "else", "contains")
_SUBSCHEMA_LISTS = ("anyOf", "allOf", "oneOf", "prefixItems")


class Caller(Protocol):
    """The server of a tool."""

    @property
    def name(self) -> str: ...

    def call(
        self, tool: str, arguments: dict[str, Any], show: Callable[[str], None], stop: Stop
    ) -> Result:
        """Call a tool and return its result.

        Raises:
            ToolFailed: the server did not answer, or answered with an error.
        """

    def read(self, uri: str, show: Callable[[str], None], stop: Stop) -> Result:
        """Read a resource.

        Raises:
            ToolFailed: the server did not answer, or has no such resource.
        """

    @property
    def resources(self) -> Sequence[ListedResource]:
        """The resources that the server offers."""


class McpTool:
    """A tool of a server, with the server's name, description and schema."""

    def __init__(self, name: str, listed: ListedTool, caller: Caller, *, is_trusted: bool) -> None:
        is_read_only = is_trusted and listed.is_read_only
        self.definition = Definition(
            name,
            _cut(" ".join(listed.description.split()), _MAX_DESCRIPTION_LENGTH),
            _acceptable(listed.schema),
            effect=Effect.NONE if is_read_only else Effect.ANYTHING,
            verb="Call",
            audience=frozenset({"agent", "helpers"} if is_read_only else {"agent"}),
        )
        self._tool = listed.name
        self._caller = caller

    def parse(self, text: str) -> dict[str, Any]:
        """The arguments that the model wrote; the server validates them.

        Raises:
            ToolFailed: they are not a JSON object.
        """
        try:
            return decode_json(text or "{}", dict[str, Any])
        except msgspec.DecodeError as error:
            name = self.definition.name
            raise ToolFailed(f"the arguments of {name} are not a JSON object: {error}") from error

    def title(self, arguments: dict[str, Any]) -> str:
        shown = self.subject(arguments) if arguments else ""
        return _cut(f"{self._caller.name}: {self._tool} {shown}".rstrip(), _MAX_TITLE_LENGTH)

    def subject(self, arguments: dict[str, Any]) -> str:
        """All arguments, because only the server knows which of them is a path or command."""
        return msgspec.json.encode(arguments).decode()

    def directory(self, arguments: dict[str, Any]) -> str:
        return ""

    def preview(self, arguments: dict[str, Any]) -> Preview:
        """All arguments, one per line, because the title can be truncated."""
        refuse_masks(self.subject(arguments))
        return Preview(msgspec.json.format(msgspec.json.encode(arguments), indent=2).decode())

    def run(self, arguments: dict[str, Any], show: Callable[[str], None], stop: Stop) -> Result:
        refuse_masks(self.subject(arguments))
        return self._caller.call(self._tool, arguments, show, stop)


class ReadArguments(msgspec.Struct):
    """The arguments of `ResourceTool`. Without ``uri``, the resources are listed."""

    uri: str = ""


class ResourceTool:
    """Reads the resources of one server, to which results of its tools refer."""

    def __init__(self, name: str, caller: Caller, *, is_trusted: bool) -> None:
        self.definition = Definition(
            name,
            f"Read a resource of {caller.name} by its uri, or list them (no uri).",
            {"type": "object", "properties": {"uri": {"type": "string"}}, "required": []},
            effect=Effect.NONE if is_trusted else Effect.ANYTHING,
            verb="Read",
            audience=frozenset({"agent", "helpers"} if is_trusted else {"agent"}),
        )
        self._caller = caller

    def parse(self, text: str) -> ReadArguments:
        """The arguments that the model wrote.

        Raises:
            ToolFailed: they are not valid.
        """
        try:
            return msgspec.convert(decode_json(text or "{}"), ReadArguments)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            name = self.definition.name
            raise ToolFailed(f"the arguments of {name} are not valid: {error}") from error

    def title(self, arguments: ReadArguments) -> str:
        what = self.subject(arguments) or "all resources"
        return _cut(f"{self._caller.name}: {what}", _MAX_TITLE_LENGTH)

    def subject(self, arguments: ReadArguments) -> str:
        return arguments.uri

    def directory(self, arguments: ReadArguments) -> str:
        return ""

    def preview(self, arguments: ReadArguments) -> Preview:
        refuse_masks(arguments.uri)
        return Preview(arguments.uri)

    def run(self, arguments: ReadArguments, show: Callable[[str], None], stop: Stop) -> Result:
        refuse_masks(arguments.uri)
        if arguments.uri:
            return self._caller.read(arguments.uri, show, stop)
        listed = self._caller.resources
        lines = [
            " ".join(part for part in (each.uri, each.media_type, each.name) if part)
            for each in listed[:_MAX_LISTED]
        ]
        if len(listed) > _MAX_LISTED:
            lines.append(f"[{len(listed) - _MAX_LISTED} more]")
        return Result(redact("\n".join(lines)) or "(no resources)", f"{len(listed)} resources")


def make_tools(listed_tools: Sequence[tuple[Caller, ListedTool, bool]]) -> list[McpTool]:
    """The tools of all servers under valid and unique names: ``mcp__SERVER__TOOL``.

    Each listed tool comes with its server, and whether the user trusts that server.
    """
    made: dict[str, McpTool] = {}
    for caller, listed, is_trusted in listed_tools:
        name = _name(caller, listed.name, made)
        made[name] = McpTool(name, listed, caller, is_trusted=is_trusted)
    return list(made.values())


def make_readers(
    readers: Sequence[tuple[Caller, bool]], tools: Sequence[McpTool]
) -> list[ResourceTool]:
    """A tool for the resources of each server, beside its ``tools``. Each server comes with whether
    the user trusts it."""
    taken = {tool.definition.name for tool in tools}
    return [
        ResourceTool(_name(caller, READ_RESOURCE, taken), caller, is_trusted=is_trusted)
        for caller, is_trusted in readers
    ]


def _name(caller: Caller, tool: str, taken: Collection[str]) -> str:
    name = re.sub(r"[^A-Za-z0-9_-]", "_", f"mcp__{caller.name}__{tool}")
    is_free = len(name) <= _MAX_NAME_LENGTH and name not in taken
    return name if is_free else _distinct(name, caller.name, tool)


def _distinct(name: str, server: str, tool: str) -> str:
    import hashlib  # rarely needed

    digest = hashlib.sha256(msgspec.json.encode([server, tool])).hexdigest()[:6]
    return f"{name[: _MAX_NAME_LENGTH - 7]}_{digest}"


def _acceptable(schema: Mapping[str, Any]) -> dict[str, Any]:
    """``schema`` as model APIs accept it: of an object, without its own ``$id`` and ``$schema``."""
    kept: dict[str, Any] = _without_titles(schema)
    for name in ("$schema", "$id", "$comment"):
        kept.pop(name, None)
    kept["type"] = "object"
    if not isinstance(kept.get("properties"), dict):
        kept["properties"] = {}
    return kept


def _without_titles(schema: Any) -> Any:
    """Remove generated titles, which repeat the names and cost tokens."""
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
