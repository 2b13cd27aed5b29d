"""What a tool is: a name, what it takes, how far it reaches, and a function that does it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Protocol, TypeVar

import msgspec

from qwen_code.tools.errors import ToolFailed

__all__ = ["Image", "Reach", "Result", "Tool", "parameters_of", "parse_arguments"]

A = TypeVar("A", bound=msgspec.Struct)


class Reach(StrEnum):
    """How far a tool reaches; approvals go by it."""

    READ = "read"
    EDIT = "edit"
    RUN = "run"


class Image(msgspec.Struct, frozen=True):
    """A picture for a model that can see; ``data`` is the file."""

    media_type: str
    data: bytes


class Result(msgspec.Struct, frozen=True):
    """What the model is told, and in one line what the user is."""

    text: str
    summary: str
    image: Image | None = None


class Tool(Protocol[A]):
    """One tool. ``arguments`` is a struct whose fields are what the model may give."""

    name: str
    description: str
    reach: Reach
    arguments: type[A]

    def title(self, arguments: A) -> str:
        """The call as the user sees it, on one line."""

    def run(self, arguments: A, show: Callable[[str], None]) -> Result:
        """Do it; ``show`` gets output as it comes, and an empty text now and then while none
        does. It raises where the call was cancelled; then everything that was started is ended.

        Raises:
            ToolFailed: it cannot be done; the model is told why.
        """


def parameters_of(arguments: type[msgspec.Struct]) -> dict[str, Any]:
    """The JSON Schema of a tool's arguments, without what costs tokens and tells nothing."""
    schema = msgspec.json.schema(arguments)
    definition = schema["$defs"][arguments.__name__]
    properties = {
        name: {key: value for key, value in field.items() if key != "default"}
        for name, field in definition["properties"].items()
    }
    return {
        "type": "object",
        "properties": properties,
        "required": definition.get("required", []),
    }


def parse_arguments(tool: Tool[A], text: str) -> A:
    """The arguments that the model wrote, as the tool wants them.

    Raises:
        ToolFailed: they are no JSON, or lack something; the message says what is expected.
    """
    try:
        raw = msgspec.json.decode(text or "{}")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ToolFailed(f"the arguments of {tool.name} are not JSON: {error}") from error
    try:
        return msgspec.convert(raw, tool.arguments, strict=False)
    except msgspec.ValidationError as error:
        names = ", ".join(_shown(tool.arguments))
        raise ToolFailed(f"the arguments of {tool.name}: {error}. It takes: {names}") from error


def _shown(arguments: type[msgspec.Struct]) -> list[str]:
    parameters: Mapping[str, Any] = parameters_of(arguments)
    required = set(parameters["required"])
    return [name if name in required else f"{name} (optional)" for name in parameters["properties"]]
