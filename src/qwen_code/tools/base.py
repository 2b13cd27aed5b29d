"""A tool: its definition, which is data, and the object that parses and executes its calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Generic, Literal, Protocol, TypeVar

import msgspec

from qwen_code.base.json_text import decode_json
from qwen_code.base.stop import Stop
from qwen_code.tools.errors import ToolFailed

A = TypeVar("A", bound=msgspec.Struct)


class Effect(StrEnum):
    """What a call may change. Approvals, checkpoints, fronts and summaries depend on it."""

    NONE = "none"
    STEPS = "steps"
    """The list of steps that the model keeps."""
    FILES = "files"
    """Files of the workspace. The tool calls `ToolContext.keep` before each change."""
    NOTES = "notes"
    """The user's own notes."""
    NETWORK = "network"
    """Nothing on this machine, but a request leaves it."""
    ANYTHING = "anything"
    """Whatever a command or another program does; it cannot be known in advance."""

    @property
    def is_read_only(self) -> bool:
        """Whether nothing of the user's is changed, so that no approval is needed."""
        return self in (Effect.NONE, Effect.STEPS)


class Subject(StrEnum):
    """What kind of thing a call is about, which tells rules how to match it."""

    FILE = "file"
    """The one file that is read or changed: the argument ``path``."""
    PATH = "path"
    """A file, or a directory with everything below it."""
    COMMAND = "command"
    HOST = "host"
    NAME = "name"
    """Something that rules call by its name: a skill, a sub-agent."""
    OTHER = "other"

    @property
    def is_path(self) -> bool:
        """Whether rules compare it as a path."""
        return self in (Subject.FILE, Subject.PATH)


Audience = Literal["agent", "interactive", "planning", "skilled", "helpers", "small models"]
"""Who may be offered a tool: the agent of any session; the agent where a person answers the model's
questions; the agent in plan mode, where a person can accept the plan; the agent that has skills to
read; helpers, which ``task`` starts and which only read; models that need help with calling tools
(`agent.small`)."""


class Definition(msgspec.Struct, frozen=True):
    """A tool as data: its description for the model, and how the program treats it.

    ``aliases`` are the names that rules and hooks written for other agents have for it.
    ``parameters`` is a JSON Schema of an object. ``verb`` is shown to a person before the title
    of a call. ``implementation`` names a class as ``module:name``; it is imported at the first
    call, and its ``create`` takes an `AgentToolContext`. Tools outside of the catalogue leave it
    empty. ``takes_long``: a call is shown when it begins, although it changes nothing.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    effect: Effect
    verb: str
    subject: Subject = Subject.OTHER
    audience: frozenset[Audience] = frozenset({"agent"})
    implementation: str = ""
    takes_long: bool = False
    aliases: tuple[str, ...] = ()


class Image(msgspec.Struct, frozen=True):
    """An image for a model with vision, or a document for one that takes it; ``data`` is the
    content of the file, and ``name`` its name. ``caption`` is what a model that gets it is told in
    place of the result's text."""

    media_type: str
    data: bytes
    name: str = ""
    caption: str = ""

    @property
    def is_document(self) -> bool:
        """Whether it is a PDF document."""
        return self.media_type == "application/pdf"

    @property
    def part_type(self) -> str:
        """The type of the API's content part that shows it."""
        return "file" if self.is_document else "image_url"


class FileChange(msgspec.Struct, frozen=True):
    """A file's text before and after a change; ``None`` if it does not exist or is not text."""

    path: str
    old: str | None
    new: str | None

    def diff(self) -> list[str]:
        """The lines of a unified diff."""
        from difflib import unified_diff  # only needed when a person is shown a diff

        old, new = ((text or "").splitlines() for text in (self.old, self.new))
        return list(unified_diff(old, new, f"{self.path} (now)", self.path, lineterm=""))


class Todo(msgspec.Struct, frozen=True):
    """One step of the list that the model keeps."""

    content: str
    status: Literal["pending", "in_progress", "completed"]


class Preview(msgspec.Struct, frozen=True):
    """What a call would do, whole and verbatim, for the person who approves it."""

    text: str = ""
    change: FileChange | None = None
    facts: tuple[str, ...] = ()
    """What else it depends on, a line each: where a command runs."""


class Result(msgspec.Struct, frozen=True):
    """The text for the model, and a summary of one line for the user.

    ``change`` and ``todos`` are for fronts to show.
    """

    text: str
    summary: str
    image: Image | None = None
    change: FileChange | None = None
    todos: tuple[Todo, ...] | None = None


class Tool(Protocol):
    """Parses and executes the calls of one tool."""

    def parse(self, text: str) -> Any:
        """The arguments that the model wrote as JSON, in the type that the tool uses.

        Raises:
            ToolFailed: they are not valid; the message says what is expected.
        """

    def title(self, arguments: Any) -> str:
        """The call on one line, for the user."""

    def subject(self, arguments: Any) -> str:
        """What rules are matched against: a command line, a path or a host (see `Subject`)."""

    def directory(self, arguments: Any) -> str:
        """Where a command would run; empty for the session's directory."""

    def preview(self, arguments: Any) -> Preview:
        """Everything that the call does, for the person who approves it.

        Raises:
            ToolFailed: the call would fail, so no approval is needed.
        """

    def run(self, arguments: Any, show: Callable[[str], None], stop: Stop) -> Result:
        """Execute the call. ``show`` receives output as it is printed. When ``stop`` is set,
        everything that the call has started ends immediately.

        Raises:
            ToolFailed: the call failed; the message tells the model why.
            Stopped: the call was stopped, and there is no result to report.
        """


OTHER_NAMES: Mapping[str, tuple[str, ...]] = {
    "path": ("file_path", "absolute_path", "filepath", "filename", "file", "dir", "dir_path"),
    "command": ("cmd", "script"),
    "content": ("contents", "file_text"),
    "old_string": ("old_str", "old_text"),
    "new_string": ("new_str", "new_text"),
    "pattern": ("query", "regex"),
    "limit": ("num_lines", "max_lines"),
    "offset": ("start_line", "line"),
    "background": ("is_background", "run_in_background"),
    "skill": ("name", "skill_name", "command"),
    "id": ("bash_id", "shell_id", "task_id"),
}
"""What models that learned the tools of other agents call a field."""


class BuiltInTool(Generic[A]):
    """The base of the built-in tools, whose arguments are a struct."""

    definition: Definition
    arguments: type[A]

    def parse(self, text: str) -> A:
        name = self.definition.name
        try:
            raw = decode_json(text.strip() or "{}")
            if isinstance(raw, str):  # some models encode the arguments twice
                raw = decode_json(raw)
        except msgspec.DecodeError as error:
            raise ToolFailed(f"the arguments of {name} are not valid JSON: {error}") from error
        try:
            return msgspec.convert(self._clear(raw), self.arguments, strict=False)
        except msgspec.ValidationError as error:
            names = ", ".join(_shown(self.definition.parameters))
            raise ToolFailed(f"invalid arguments for {name}: {error}. Expected: {names}") from error

    def _clear(self, raw: Any) -> Any:
        """Arguments whose meaning is clear, as the tool takes them: other agents' names for a
        field, and ``null``, an empty text or a 0 that cannot be for one that is left out."""
        if not isinstance(raw, dict):
            return raw
        parameters = self.definition.parameters
        fields, required = parameters["properties"], parameters["required"]
        clear = {}
        for given, value in raw.items():
            meant = given
            if given not in fields:
                meant = next((f for f in fields if given in OTHER_NAMES.get(f, ())), given)
                if meant in raw:
                    continue
            field = fields.get(meant, {})
            is_empty = value == "" and field.get("type") != "string"
            is_below = value in (0, "0") and field.get("minimum", 0) > 0
            is_left_out = value is None or is_empty or is_below
            if not is_left_out or meant in required:
                clear[meant] = value
        return clear

    def subject(self, arguments: A) -> str:
        return ""

    def directory(self, arguments: A) -> str:
        return ""

    def preview(self, arguments: A) -> Preview:
        given = msgspec.to_builtins(arguments)
        return Preview("\n".join(f"{name}: {value}" for name, value in given.items() if value))


def parameters_of(arguments: type[msgspec.Struct]) -> dict[str, Any]:
    """The JSON Schema of a struct, without titles and defaults, which only cost tokens."""
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
