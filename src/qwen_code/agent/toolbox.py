"""The tools of a session, by name: what the model is told of them, and how a call is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from qwen_code.base.stop import Stop
from qwen_code.tools.base import Audience, Definition, Effect, Preview, Result, Subject, Tool
from qwen_code.tools.errors import ToolFailed


class Call(msgspec.Struct, frozen=True):
    """A call as rules see it: what it may change, and what it is about."""

    tool: str
    effect: Effect
    subject: str = ""
    kind: Subject = Subject.OTHER
    directory: str = ""
    """Where a command would run, if that is not the session's own directory."""


class Prepared(msgspec.Struct, frozen=True):
    """A call that is understood: ready to be judged, shown and made."""

    definition: Definition
    tool: Tool
    arguments: Any
    note: str = ""
    """What the model is told before the result, such as that the person changed the call."""

    @property
    def title(self) -> str:
        """The call on one line."""
        return " ".join(self.tool.title(self.arguments).split())

    @property
    def call(self) -> Call:
        """The call as rules see it."""
        definition = self.definition
        return Call(
            definition.name,
            definition.effect,
            self.tool.subject(self.arguments),
            definition.subject,
            self.tool.directory(self.arguments),
        )

    def preview(self) -> Preview:
        """What would change, for the person who is asked.

        Raises:
            ToolFailed: nothing would: the call cannot be made.
        """
        return self.tool.preview(self.arguments)

    def run(self, show: Callable[[str], None], stop: Stop) -> Result:
        """Make it.

        Raises:
            ToolFailed: it cannot be done.
        """
        return self.tool.run(self.arguments, show, stop)


class Toolbox:
    """Tools by name. ``make`` gives the one that a definition stands for, when it is first called:
    most sessions call few of them. ``audience`` says who is offered them now."""

    def __init__(
        self,
        definitions: Sequence[Definition],
        make: Callable[[Definition], Tool],
        audience: Callable[[], Audience] = lambda: Audience.AGENT,
    ) -> None:
        self._definitions = {each.name: each for each in definitions}
        self._make = make
        self._audience = audience
        self._tools: dict[str, Tool] = {}

    @property
    def names(self) -> list[str]:
        """The tools, in the order in which the model is told of them."""
        return [each.name for each in self._offered()]

    @property
    def definitions(self) -> list[dict[str, Any]]:
        """The tools as the Chat Completions API takes them."""
        return [
            {
                "type": "function",
                "function": {
                    "name": each.name,
                    "description": each.description,
                    "parameters": each.parameters,
                },
            }
            for each in self._offered()
        ]

    def offered_to(self, audience: Audience) -> Toolbox:
        """The tools for another audience, and no others; those that both have are the same."""
        fitting = [each for each in self._definitions.values() if each.audience & audience]
        made = Toolbox(fitting, self._make, lambda: audience)
        made._tools = self._tools
        return made

    def definition(self, name: str) -> Definition | None:
        """What is known of the tool of that name, offered or not."""
        return self._definitions.get(name)

    def prepare(self, name: str, arguments: str) -> Prepared:
        """Understand what the model wrote.

        Raises:
            ToolFailed: there is no such tool, or it takes other arguments.
        """
        definition = self.definition(name)
        if definition is None:
            raise ToolFailed(f"there is no tool {name!r}; there are: {', '.join(self.names)}")
        tool = self._tools.get(name)
        if tool is None:
            tool = self._tools[name] = self._make(definition)
        return Prepared(definition, tool, tool.parse(arguments))

    def _offered(self) -> list[Definition]:
        audience = self._audience()
        return [each for each in self._definitions.values() if each.audience & audience]
