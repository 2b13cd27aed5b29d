"""``list_directory``: everything in a directory, and what else is to be known of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self

import msgspec

from qwen_code.base.stop import Stop
from qwen_code.tools import catalogue
from qwen_code.tools.base import BuiltInTool, Result
from qwen_code.tools.context import ToolContext
from qwen_code.tools.ignored import ignored
from qwen_code.tools.names import shown_name
from qwen_code.tools.text import counted
from qwen_code.tools.workspace import Entry, HeldPlaces, Workspace

_MAX_ENTRIES = 500
_MAX_NAMED = 20


class ListArguments(msgspec.Struct):
    path: str = "."


class ListDirectory(BuiltInTool[ListArguments]):
    """Lists the names in a directory."""

    definition = catalogue.LIST_DIRECTORY
    arguments = ListArguments

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._places = HeldPlaces(workspace)

    @classmethod
    def create(cls, context: ToolContext) -> Self:
        return cls(context.workspace)

    def title(self, arguments: ListArguments) -> str:
        return arguments.path

    def subject(self, arguments: ListArguments) -> str:
        return self._places.shown(arguments, arguments.path)

    def run(self, arguments: ListArguments, show: Callable[[str], None], stop: Stop) -> Result:
        place = self._places.of(arguments, arguments.path)
        entries, closed = self._workspace.entries(place)
        names = [_name(entry) for entry in entries]
        text = "\n".join(map(shown_name, names[:_MAX_ENTRIES])) or "(the directory is empty)"
        notes = []
        if len(names) > _MAX_ENTRIES:
            notes.append(f"{len(names) - _MAX_ENTRIES} more; use glob")
        kinds = sorted({each.kind for each in entries} - {"file", "directory"})
        notes += [f"{kind}: {_some([e.name for e in entries if e.kind == kind])}" for kind in kinds]
        if skipped := ignored(place.path, place.root, names):
            notes.append(f"ignored by git, so glob and grep leave out: {_some(skipped)}")
        if closed:
            notes.append(f"left out: {closed} closed by the user")
        text = "\n".join([text, *(f"[{note}]" for note in notes)])
        return Result(text, counted(len(names), "entry", "entries"))


def _name(entry: Entry) -> str:
    return f"{entry.name}/" if entry.kind == "directory" else entry.name


def _some(names: Sequence[str]) -> str:
    rest = len(names) - _MAX_NAMED
    more = f" and {rest} more" if rest > 0 else ""
    return ", ".join(map(shown_name, names[:_MAX_NAMED])) + more
