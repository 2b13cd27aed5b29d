"""What a server offers, as data of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import msgspec


class ListedTool(msgspec.Struct, frozen=True):
    """A tool in the answer to ``tools/list``. ``is_read_only`` counts only of a trusted server."""

    name: str
    description: str = ""
    schema: Mapping[str, Any] = {}
    is_read_only: bool = False

    @classmethod
    def of(cls, tool: Any) -> Self:
        """From the package's own type."""
        hints = tool.annotations
        is_read_only = bool(hints and hints.read_only_hint)
        return cls(tool.name, tool.description or "", tool.input_schema, is_read_only)


class ListedPrompt(msgspec.Struct, frozen=True):
    """A prompt in the answer to ``prompts/list``; ``required`` are those of its ``arguments``
    that must be given."""

    name: str
    description: str = ""
    arguments: tuple[str, ...] = ()
    required: frozenset[str] = frozenset()

    @classmethod
    def of(cls, prompt: Any) -> Self:
        """From the package's own type."""
        arguments = prompt.arguments or ()
        return cls(
            prompt.name,
            prompt.description or prompt.title or "",
            tuple(each.name for each in arguments),
            frozenset(each.name for each in arguments if each.required),
        )


class ListedResource(msgspec.Struct, frozen=True):
    """A resource, or with ``is_template`` a pattern (RFC 6570) of their addresses."""

    uri: str
    name: str = ""
    description: str = ""
    media_type: str = ""
    is_template: bool = False

    @classmethod
    def of(cls, resource: Any) -> Self:
        """From the package's own types."""
        template = getattr(resource, "uri_template", None)
        return cls(
            template or resource.uri,
            resource.title or resource.name or "",
            resource.description or "",
            resource.mime_type or "",
            is_template=template is not None,
        )
