"""What a tool is: what the model is told of it, and an object that understands and makes calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Flag, StrEnum, auto
from typing import Any, Generic, Literal, Protocol, TypeVar

import msgspec

from qwen_code.base.json_text import decode_json
from qwen_code.base.stop import Stop
from qwen_code.tools.errors import ToolFailed

A = TypeVar("A", bound=msgspec.Struct)


class Effect(StrEnum):
    """What a call may change. Approvals, checkpoints, fronts and summaries go by it."""

    NONE = "none"
    STEPS = "steps"
    """The list of steps that the model keeps."""
    FILES = "files"
    """Files of the workspace. The tool calls `ToolContext.keep` before each change."""
    NOTES = "notes"
    """The user's own notes."""
    NETWORK = "network"
    """Nothing here, but a request leaves this machine."""
    ANYTHING = "anything"
    """What a command or another program does: it cannot be known in advance."""

    @property
    def is_read_only(self) -> bool:
        """Whether nothing of the user's is changed, so that no approval is needed."""
        return self in (Effect.NONE, Effect.STEPS)


class Subject(StrEnum):
    """What the subject of a call is, so that rules can read it."""

    FILE = "file"
    """The one file that is read or changed: the argument ``path``."""
    PATH = "path"
    """A file, or a directory with everything below it."""
    COMMAND = "command"
    HOST = "host"
    OTHER = "other"

    @property
    def is_path(self) -> bool:
        """Whether rules compare it as a path."""
        return self in (Subject.FILE, Subject.PATH)


class Audience(Flag):
    """Who may be offered a tool. An agent is offered the tools that share a flag with it."""

    AGENT = auto()
    """The agent of any session."""
    INTERACTIVE = auto()
    """The agent of a session in which a person answers the model's questions."""
    PLANNING = auto()
    """The agent in plan mode, where a person can accept the plan."""
    HELPERS = auto()
    """Helpers, which ``task`` starts: they only read, and no one sees their questions."""
    SMALL_MODELS = auto()
    """Models that need help with calling tools; `agent.small` finds their calls."""


class Definition(msgspec.Struct, frozen=True):
    """A tool as data: what the model is told of it, and what the rest of the program goes by.

    ``parameters`` is a JSON Schema of an object. ``verb`` is what a person sees before the title
    of a call. ``implementation`` is a class as ``module:name``, imported at the first call:
    ``create`` of it makes the tool from an `AgentToolContext`. It is empty for tools that are not
    in the catalogue. ``takes_long``: a call is shown when it begins, although it changes nothing.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    effect: Effect
    verb: str
    subject: Subject = Subject.OTHER
    audience: Audience = Audience.AGENT
    implementation: str = ""
    takes_long: bool = False


class Image(msgspec.Struct, frozen=True):
    """A picture for a model that can see; ``data`` is the file."""

    media_type: str
    data: bytes


class FileChange(msgspec.Struct, frozen=True):
    """A file's whole text before and after; ``None`` where there is none, or none that is text."""

    path: str
    old: str | None
    new: str | None

    def diff(self) -> list[str]:
        """The lines of a unified diff."""
        from difflib import unified_diff  # only where a person looks at it

        old, new = ((text or "").splitlines() for text in (self.old, self.new))
        return list(unified_diff(old, new, f"{self.path} (now)", self.path, lineterm=""))


class Todo(msgspec.Struct, frozen=True):
    """One step of the list that the model keeps."""

    content: str
    status: Literal["pending", "in_progress", "completed"]


class Preview(msgspec.Struct, frozen=True):
    """What a call would do beyond what its title says, for the person who is asked."""

    text: str = ""
    change: FileChange | None = None


class Result(msgspec.Struct, frozen=True):
    """What the model is told, and in one line what the user is.

    ``change`` and ``todos`` are what a front can show of it.
    """

    text: str
    summary: str
    image: Image | None = None
    change: FileChange | None = None
    todos: tuple[Todo, ...] | None = None


class Tool(Protocol):
    """What makes the calls of one tool."""

    def parse(self, text: str) -> Any:
        """The arguments that the model wrote, as JSON, in the form that the tool wants.

        Raises:
            ToolFailed: they are no JSON, or lack something; the message says what is expected.
        """

    def title(self, arguments: Any) -> str:
        """The call as the user sees it, on one line."""

    def subject(self, arguments: Any) -> str:
        """What rules look at: a command line, a path, a host; of the kind in its definition."""

    def directory(self, arguments: Any) -> str:
        """Where a command would run, if that is not the session's own directory."""

    def preview(self, arguments: Any) -> Preview:
        """What would change, for the person who is asked; nothing where the title says it all.

        Raises:
            ToolFailed: the call cannot be made, so nobody has to be asked.
        """

    def run(self, arguments: Any, show: Callable[[str], None], stop: Stop) -> Result:
        """Do it; ``show`` gets output as it comes. When ``stop`` is set, everything that was
        started is ended at once.

        Raises:
            ToolFailed: it cannot be done; the model is told why.
            Stopped: it was stopped, and nothing is worth telling of it.
        """


class BuiltInTool(Generic[A]):
    """What the built-in tools share: their arguments are a struct."""

    definition: Definition
    arguments: type[A]

    def parse(self, text: str) -> A:
        name = self.definition.name
        try:
            raw = decode_json(text or "{}")
        except msgspec.DecodeError as error:
            raise ToolFailed(f"the arguments of {name} are not JSON: {error}") from error
        try:
            return msgspec.convert(raw, self.arguments, strict=False)
        except msgspec.ValidationError as error:
            names = ", ".join(_shown(self.definition.parameters))
            raise ToolFailed(f"the arguments of {name}: {error}. It takes: {names}") from error

    def subject(self, arguments: A) -> str:
        return ""

    def directory(self, arguments: A) -> str:
        return ""

    def preview(self, arguments: A) -> Preview:
        return Preview()


def parameters_of(arguments: type[msgspec.Struct]) -> dict[str, Any]:
    """The JSON Schema of a struct, without what costs tokens and tells nothing."""
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


def _shown(parameters: Mapping[str, Any]) -> list[str]:
    required = set(parameters["required"])
    return [name if name in required else f"{name} (optional)" for name in parameters["properties"]]
