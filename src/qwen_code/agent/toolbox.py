"""The tools of a session by name: their definitions, and the calls of the model to them."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol, cast

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
    """Where a command would run; empty for the session's directory."""


class Prepared(msgspec.Struct, frozen=True):
    """A parsed call, ready to be judged, shown and executed."""

    definition: Definition
    tool: Tool
    arguments: Any
    note: str = ""
    """Text before the result, for example that the person changed the call."""

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
        """What would change, for the person who approves the call.

        Raises:
            ToolFailed: the call would fail.
        """
        return self.tool.preview(self.arguments)

    def run(self, show: Callable[[str], None], stop: Stop) -> Result:
        """Execute the call.

        Raises:
            ToolFailed: it failed.
            Stopped: it was stopped.
        """
        return self.tool.run(self.arguments, show, stop)


class OfferedTool(Protocol):
    """A tool of another program, with its definition."""

    @property
    def definition(self) -> Definition: ...


class Toolbox:
    """Tools by name. ``make`` creates a tool at its first call, because most sessions call few.
    ``audience`` tells who is offered the tools at the moment. ``others`` are the tools of other
    programs, which may be different ones for each request."""

    def __init__(
        self,
        definitions: Sequence[Definition],
        make: Callable[[Definition], Tool],
        audience: Callable[[], frozenset[Audience]] = lambda: frozenset({"agent"}),
        others: Callable[[], Sequence[OfferedTool]] = tuple,
    ) -> None:
        self._built_in = list(definitions)
        self._make = make
        self._audience = audience
        self._others = others
        self._fits: Callable[[Definition], bool] = lambda _: True
        self._tools: dict[str, Tool] = {}
        self._making = threading.RLock()
        self._plain: set[str] = set()
        self._withheld: set[str] = set()

    @property
    def names(self) -> list[str]:
        """The offered tools, in the order of the request."""
        return [each.name for each in self._offered()]

    @property
    def definitions(self) -> list[dict[str, Any]]:
        """The offered tools in the format of the Chat Completions API."""
        return [
            {
                "type": "function",
                "function": {
                    "name": each.name,
                    "description": each.description,
                    "parameters": self._parameters(each),
                },
            }
            for each in self._offered()
        ]

    def offered_to(self, audience: Audience) -> Toolbox:
        """A toolbox with the tools for another audience only; it shares the tool objects."""
        made = self._narrowed(lambda each: audience in each.audience)
        made._audience = lambda: frozenset({audience})
        return made

    def redefine(self, definition: Definition) -> None:
        """Offer a tool by another definition, in all toolboxes that share the tool objects."""
        name = definition.name
        self._built_in[:] = [definition if each.name == name else each for each in self._built_in]
        self._tools.pop(name, None)

    def fitting(self, fits: Callable[[Definition], bool]) -> Toolbox:
        """A toolbox with the tools that fit only; it shares the tool objects."""
        return self._narrowed(fits)

    def restricted_to(self, names: Collection[str]) -> Toolbox:
        """A toolbox with the tools of these names only; it shares the tool objects."""
        return self._narrowed(lambda each: each.name in names)

    def reduce(self, names: Collection[str]) -> tuple[list[str], list[str]]:
        """Offer these tools of other programs with plain schemas; those that are so already, not at
        all. Returns the names of both. Without ``names``: all of them."""
        others = [other.definition.name for other in self._others()]
        meant = [name for name in others if (name in names or not names)]
        withheld = [name for name in meant if name in self._plain - self._withheld]
        plain = [name for name in meant if name not in self._plain]
        self._withheld.update(withheld)
        self._plain.update(plain)
        return plain, withheld

    def definition(self, name: str) -> Definition | None:
        """The definition of the tool of that name, whether it is offered or not.

        Models also write ``functions.read_file``, ``Read_File``, or another agent's name.
        """
        known = self._definitions()
        found = known.get(name)
        if found is not None or not name:
            return found
        bare = re.split(r"[.:/]", name)[-1].replace("-", "_").lower()
        return next((each for each in known.values() if _is_called(each, bare)), None)

    def prepare(self, name: str, arguments: str) -> Prepared:
        """Parse a call of the model.

        Raises:
            ToolFailed: the tool does not exist, or its arguments are not valid.
        """
        definition = self.definition(name)
        if definition is None:
            raise ToolFailed(f"there is no tool {name!r}; available: {', '.join(self.names)}")
        tool = self._tool(definition)
        return Prepared(definition, tool, tool.parse(arguments))

    def _tool(self, definition: Definition) -> Tool:
        for other in self._others():
            if other.definition is definition:
                return cast("Tool", other)
        with self._making:  # helpers call tools at the same time
            if definition.name not in self._tools:
                self._tools[definition.name] = self._make(definition)
            return self._tools[definition.name]

    def _definitions(self) -> dict[str, Definition]:
        all_of_them = [*self._built_in, *(other.definition for other in self._others())]
        return {
            each.name: each
            for each in all_of_them
            if self._fits(each) and each.name not in self._withheld
        }

    def _parameters(self, definition: Definition) -> Mapping[str, Any]:
        if definition.name not in self._plain:
            return definition.parameters
        from qwen_code.agent.refused_tools import plain_schema  # few providers refuse any

        return plain_schema(definition.parameters)

    def _offered(self) -> list[Definition]:
        audience = self._audience()
        return [each for each in self._definitions().values() if each.audience & audience]

    def _narrowed(self, fits: Callable[[Definition], bool]) -> Toolbox:
        made = Toolbox(self._built_in, self._make, self._audience, self._others)
        before = self._fits
        made._fits = lambda each: before(each) and fits(each)
        made._tools, made._plain, made._withheld = self._tools, self._plain, self._withheld
        made._built_in, made._making = self._built_in, self._making
        return made


def _is_called(definition: Definition, name: str) -> bool:
    """Whether a name in lower case means this tool."""
    return name in (definition.name.lower(), *map(str.lower, definition.aliases))
