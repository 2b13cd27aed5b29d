"""``read_file``, ``write_file``, ``edit`` and ``list_directory``."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Annotated, Any, Self

import msgspec

from qwen_code.base.json_text import decode_json
from qwen_code.base.secret import redact
from qwen_code.base.stop import Stop
from qwen_code.tools import catalogue
from qwen_code.tools.base import BuiltInTool, FileChange, Image, Preview, Result
from qwen_code.tools.context import ToolContext
from qwen_code.tools.edit import Edited, replace
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.masks import unmasked
from qwen_code.tools.seen import Seen
from qwen_code.tools.text import Encoding, counted, is_binary, sniff
from qwen_code.tools.workspace import HeldPlaces, Place, Workspace

_MAX_BYTES = 10 << 20
_MAX_LINES = 2000
_MAX_LINE_LENGTH = 2000
_MAX_ENTRIES = 500
_MAX_CELL_OUTPUT = 1000
_IMAGES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
}

Keep = Callable[[Place, bytes], None]
"""Called before each change with a place and its new content."""


def _keep_nothing(place: Place, data: bytes) -> None:
    """For callers without checkpoints."""


class ReadArguments(msgspec.Struct):
    path: str
    offset: Annotated[int, msgspec.Meta(ge=1)] = 1
    limit: Annotated[int, msgspec.Meta(ge=1)] = _MAX_LINES


class ReadFile(BuiltInTool[ReadArguments]):
    """Reads a text file or a part of it, a notebook as text, or an image."""

    definition = catalogue.READ_FILE
    arguments = ReadArguments

    def __init__(self, workspace: Workspace, seen: Seen) -> None:
        self._workspace = workspace
        self._places = HeldPlaces(workspace)
        self._seen = seen

    @classmethod
    def create(cls, context: ToolContext) -> Self:
        return cls(context.workspace, context.seen)

    def title(self, arguments: ReadArguments) -> str:
        part = f" from line {arguments.offset}" if arguments.offset > 1 else ""
        return f"{arguments.path}{part}"

    def subject(self, arguments: ReadArguments) -> str:
        return self._places.shown(arguments, arguments.path)

    def run(self, arguments: ReadArguments, show: Callable[[str], None], stop: Stop) -> Result:
        place = self._places.of(arguments, arguments.path)
        data = self._workspace.read(place, _MAX_BYTES)
        self._seen.note(place, data)
        suffix = place.path.suffix.lower()
        if kind := _IMAGES.get(suffix):
            size = f"{len(data):,} bytes"
            text = f"{self._workspace.shown(place)} is an image ({size})."
            return Result(text, f"image, {size}", Image(kind, data))
        if is_binary(data):
            shown = self._workspace.shown(place)
            raise ToolFailed(f"{shown} is a binary file of {len(data):,} bytes")
        cells = _notebook(data) if suffix == ".ipynb" else None
        return _part(redact(sniff(data).decode(data)) if cells is None else cells, arguments)


def _part(text: str, arguments: ReadArguments) -> Result:
    lines = text.splitlines(keepends=True)
    if not lines:
        return Result("(the file is empty)", "empty")
    first = arguments.offset - 1
    if first >= len(lines):
        raise ToolFailed(f"the file has {len(lines)} lines; there is no line {arguments.offset}")
    chosen = lines[first : first + min(arguments.limit, _MAX_LINES)]
    last = first + len(chosen)
    shown = "".join(_cut(line) for line in chosen)
    summary = f"{len(chosen)} line{'s' if len(chosen) > 1 else ''}"
    if first or last < len(lines):
        rest = f"; continue with offset={last + 1}" if last < len(lines) else ""
        shown += f"\n[lines {first + 1}–{last} of {len(lines)}{rest}]"
        summary = f"lines {first + 1}–{last} of {len(lines)}"
    return Result(shown, summary)


def _cut(line: str) -> str:
    if len(line) <= _MAX_LINE_LENGTH:
        return line
    way_on = f"to go on, run: sed -n NUMBERp FILE | cut -c{_MAX_LINE_LENGTH + 1}-"
    return f"{line[:_MAX_LINE_LENGTH]}… [truncated: {len(line):,} characters; {way_on}]\n"


def _notebook(data: bytes) -> str | None:
    """The cells of a notebook as text, with the beginning of their output."""
    try:
        cells: Any = decode_json(data)["cells"]
        return "\n".join(_cell(number, cell) for number, cell in enumerate(cells, start=1))
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
        return None


def _cell(number: int, cell: dict[str, Any]) -> str:
    text = f"# %% [{cell.get('cell_type')}] cell {number}\n{redact(_joined(cell.get('source')))}\n"
    for output in cell.get("outputs", ()):
        plain = output.get("text") or output.get("data", {}).get("text/plain")
        if plain:
            text += f"# output:\n{redact(_joined(plain))[:_MAX_CELL_OUTPUT]}\n"
    return text


def _joined(source: Any) -> str:
    return "".join(source) if isinstance(source, list) else str(source or "")


class WriteArguments(msgspec.Struct):
    path: str
    content: str


class WriteFile(BuiltInTool[WriteArguments]):
    """Creates a file, or replaces its content."""

    definition = catalogue.WRITE_FILE
    arguments = WriteArguments

    def __init__(self, workspace: Workspace, seen: Seen, keep: Keep = _keep_nothing) -> None:
        self._workspace = workspace
        self._places = HeldPlaces(workspace)
        self._seen = seen
        self._keep = keep

    @classmethod
    def create(cls, context: ToolContext) -> Self:
        return cls(context.workspace, context.seen, context.keep)

    def title(self, arguments: WriteArguments) -> str:
        return arguments.path

    def subject(self, arguments: WriteArguments) -> str:
        return self._places.shown(arguments, arguments.path)

    def preview(self, arguments: WriteArguments) -> Preview:
        place, before, data = self._understood(arguments)
        return Preview(change=_change(self._workspace.shown(place), before, data))

    def run(self, arguments: WriteArguments, show: Callable[[str], None], stop: Stop) -> Result:
        place, before, data = self._understood(arguments)
        stop.check()
        self._keep(place, data)
        self._workspace.write(place, data)
        self._seen.note(place, data)
        lines = arguments.content.count("\n") + (not arguments.content.endswith("\n"))
        verb = "Created" if before is None else "Replaced"
        size = counted(lines, "line")
        shown = self._workspace.shown(place)
        return Result(f"{verb} {shown} ({size}).", size, change=_change(shown, before, data))

    def _understood(self, arguments: WriteArguments) -> tuple[Place, bytes | None, bytes]:
        """The place, its present content, and its new content."""
        place = self._places.of(arguments, arguments.path)
        before = _content(self._workspace, place)
        encoding = Encoding("utf-8")
        if before is not None:
            self._seen.check(place, before)
            encoding = sniff(before)
        content = unmasked(arguments.content, place.shown, encoding.decode(before or b""))
        return place, before, encoding.mark + _encoded(content, encoding)


def _change(shown: str, before: bytes | None, after: bytes) -> FileChange:
    """The change as text, with secrets masked; a binary file has none."""
    texts = [
        None if data is None or is_binary(data) else redact(sniff(data).decode(data))
        for data in (before, after)
    ]
    return FileChange(shown, *texts)


def _content(workspace: Workspace, place: Place) -> bytes | None:
    if not os.path.lexists(place.path):
        return None
    return workspace.read(place, _MAX_BYTES)


def _encoded(content: str, encoding: Encoding) -> bytes:
    if encoding.newline != "\n":
        content = content.replace("\r\n", "\n").replace("\n", encoding.newline)
    try:
        return encoding.encode(content)
    except UnicodeEncodeError:  # better UTF-8 than lost text
        return content.encode()


class EditArguments(msgspec.Struct):
    path: str
    old_string: str
    new_string: str
    replace_all: bool = False


class Edit(BuiltInTool[EditArguments]):
    """Replaces a string in a file."""

    definition = catalogue.EDIT
    arguments = EditArguments

    def __init__(self, workspace: Workspace, seen: Seen, keep: Keep = _keep_nothing) -> None:
        self._workspace = workspace
        self._places = HeldPlaces(workspace)
        self._seen = seen
        self._keep = keep

    @classmethod
    def create(cls, context: ToolContext) -> Self:
        return cls(context.workspace, context.seen, context.keep)

    def title(self, arguments: EditArguments) -> str:
        return arguments.path

    def subject(self, arguments: EditArguments) -> str:
        return self._places.shown(arguments, arguments.path)

    def preview(self, arguments: EditArguments) -> Preview:
        place, before, edited = self._understood(arguments)
        return Preview(change=_change(self._workspace.shown(place), before, edited.data))

    def run(self, arguments: EditArguments, show: Callable[[str], None], stop: Stop) -> Result:
        place, before, edited = self._understood(arguments)
        stop.check()
        self._keep(place, edited.data)
        self._workspace.write(place, edited.data)
        self._seen.note(place, edited.data)
        places = f"{edited.count} place{'s' if edited.count > 1 else ''}"
        shown = self._workspace.shown(place)
        change = _change(shown, before, edited.data)
        return Result(f"Changed {places} in {shown}.", places, change=change)

    def _understood(self, arguments: EditArguments) -> tuple[Place, bytes, Edited]:
        """The place, its present content, and the edit."""
        place = self._places.of(arguments, arguments.path)
        before = self._workspace.read(place, _MAX_BYTES)
        self._seen.check(place, before)
        text = sniff(before).decode(before)
        old, new = (
            unmasked(each, place.shown, text)
            for each in (arguments.old_string, arguments.new_string)
        )
        edited = replace(before, old, new, replace_all=arguments.replace_all)
        return place, before, edited


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
        names = self._workspace.entries(place)
        shown = names[:_MAX_ENTRIES]
        text = "\n".join(shown) or "(the directory is empty)"
        if len(names) > len(shown):
            text += f"\n[{len(names) - len(shown)} more; use glob]"
        return Result(text, counted(len(names), "entry", "entries"))
