"""The tools of a session, by name: what the model is told of them, and how a call is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from qwen_code.agent.approvals import Call
from qwen_code.tools.base import Result, Tool, parameters_of, parse_arguments
from qwen_code.tools.errors import ToolFailed

__all__ = ["Prepared", "Toolbox"]


class Prepared(msgspec.Struct, frozen=True):
    """A call that is understood: ready to be judged, shown and made."""

    tool: Any
    arguments: Any

    @property
    def title(self) -> str:
        """The call on one line."""
        return " ".join(str(self.tool.title(self.arguments)).split())

    @property
    def call(self) -> Call:
        """The call as rules see it: a shell by its command, files by their path."""
        subject = getattr(self.arguments, "command", None) or getattr(self.arguments, "path", "")
        return Call(self.tool.name, self.tool.reach, str(subject))

    def run(self, show: Callable[[str], None]) -> Result:
        """Make it.

        Raises:
            ToolFailed: it cannot be done.
        """
        result: Result = self.tool.run(self.arguments, show)
        return result


class Toolbox:
    """Tools by name."""

    def __init__(self, tools: Sequence[Tool[Any]]) -> None:
        self._tools = {tool.name: tool for tool in tools}

    @property
    def definitions(self) -> list[dict[str, Any]]:
        """The tools as the Chat Completions API takes them."""
        return [
            {
                "type": "function",
                "function": {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": parameters_of(tool.arguments),
                },
            }
            for tool in self._tools.values()
        ]

    def prepare(self, name: str, arguments: str) -> Prepared:
        """Understand what the model wrote.

        Raises:
            ToolFailed: there is no such tool, or it takes other arguments.
        """
        tool = self._tools.get(name)
        if tool is None:
            raise ToolFailed(f"there is no tool {name!r}; there are: {', '.join(self._tools)}")
        return Prepared(tool, parse_arguments(tool, arguments))
