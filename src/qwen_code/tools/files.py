"""``read_file``, ``write_file`` and ``edit``."""

from __future__ import annotations

import os
from collections.abc import Callable
from io import BytesIO
from typing import Annotated, BinaryIO, Self

import msgspec

from qwen_code.base.secret import redact
from qwen_code.base.stop import Stop
from qwen_code.tools import catalogue
from qwen_code.tools.base import BuiltInTool, FileChange, Image, Preview, Result
from qwen_code.tools.context import ToolContext
from qwen_code.tools.edit import replace, unencodable
from qwen_code.tools.editorconfig import encoding_of
from qwen_code.tools.encodings import HEAD_BYTES, Encoding, declared, detect, is_binary
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.masks import unmasked
from qwen_code.tools.media import Media, media_of, picture_size, problem_of
from qwen_code.tools.parts import MAX_LINES, Part, Wanted, read_part
from qwen_code.tools.seen import Seen
from qwen_code.tools.text import counted
from qwen_code.tools.workspace import HeldPlaces, Place, Workspace

_MAX_BYTES = 10 << 20
_MAX_DOCUMENT_BYTES = 32 << 20
_MAX_SENT_PAGES = 100

Keep = Callable[[Place, bytes], None]
"""Called before each change with a place and its new content."""


def _keep_nothing(place: Place, data: bytes) -> None:
    """For callers without checkpoints."""


def _encoding(workspace: Workspace, seen: Seen, place: Place, data: bytes) -> Encoding:
    """The encoding of a file, as the model knows it, ``.editorconfig`` says, or it looks like."""
    if known := seen.encoding(place):
        return detect(data, (known, ""))
    told = encoding_of(workspace, place)
    return detect(data, (told.name, told.declared_by) if told and not told.mark else ("", ""))


class ReadArguments(msgspec.Struct):
    path: str
    offset: Annotated[int, msgspec.Meta(ge=1)] = 1
    limit: Annotated[int, msgspec.Meta(ge=1)] = MAX_LINES
    column: Annotated[int, msgspec.Meta(ge=1)] = 1


class ReadFile(BuiltInTool[ReadArguments]):
    """Reads a text file or a part of it, a notebook as text, a picture, or a PDF document."""

    definition = catalogue.READ_FILE
    arguments = ReadArguments

    def __init__(self, workspace: Workspace, seen: Seen) -> None:
        self._workspace = workspace
        self._places = HeldPlaces(workspace, reads=True)
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
        with self._workspace.opened(place) as (file, size):
            head = file.read(HEAD_BYTES)
            if media := media_of(head):
                return self._media(place, media, file, size, arguments, stop)
            if is_binary(head):
                shown = self._workspace.shown(place)
                raise ToolFailed(f"{shown} is a binary file of {size:,} bytes")
            file.seek(0)
            if size > _MAX_BYTES:
                return _result(self._part(place, file, size, detect(head), arguments, stop))
            data = file.read(_MAX_BYTES)
        encoding = _encoding(self._workspace, self._seen, place, data)
        self._seen.note(place, data, encoding.name)
        if place.path.suffix.lower() == ".ipynb":
            from qwen_code.tools.notebook import as_text  # few projects have notebooks

            if (cells := as_text(data)) is not None:
                data, encoding = cells.encode(), Encoding("utf-8")
        part = self._part(place, BytesIO(data), len(data), encoding, arguments, stop)
        return _result(part, is_valid=encoding.is_valid(data))

    def _part(
        self,
        place: Place,
        file: BinaryIO,
        size: int,
        encoding: Encoding,
        arguments: ReadArguments,
        stop: Stop,
    ) -> Part:
        wanted = Wanted(arguments.offset, arguments.limit, arguments.column)
        is_whole = size <= _MAX_BYTES
        if encoding.width == 1:
            return read_part(file, size, encoding, wanted, stop, is_whole=is_whole)
        if not is_whole:
            raise ToolFailed(
                f"{place.shown} is too large for {encoding.shown}: {size:,} bytes. "
                f"Convert it first: iconv -f {encoding.name} -t utf-8 FILE > COPY"
            )
        data = encoding.decode(file.read()).encode("utf-8", "replace")
        plain = Encoding("utf-8")
        part = read_part(BytesIO(data), len(data), plain, wanted, stop, is_whole=True)
        return Part(part.text, part.summary, encoding)

    def _media(
        self,
        place: Place,
        media: Media,
        file: BinaryIO,
        size: int,
        arguments: ReadArguments,
        stop: Stop,
    ) -> Result:
        shown = self._workspace.shown(place)
        if media.kind == "other":
            raise ToolFailed(
                f"{shown} is {media.name}, of {size:,} bytes: it cannot be read as text"
            )
        if size > _MAX_DOCUMENT_BYTES:
            limit = f"the limit is {_MAX_DOCUMENT_BYTES:,}"
            raise ToolFailed(f"{shown} is {media.name} of {size:,} bytes; {limit}")
        file.seek(0)
        data = file.read(_MAX_DOCUMENT_BYTES)
        self._seen.note(place, data)
        if media.kind == "pdf":
            return self._pdf(place, media, data, arguments, stop)
        if problem := problem_of(media, data):
            raise ToolFailed(f"{shown} is {media.name} that cannot be shown: {problem}")
        width, height = picture_size(media, data) or (0, 0)
        facts = f"{width}×{height}, {size:,} bytes"
        image = Image(media.media_type, data)
        return Result(f"{shown} is {media.name} ({facts}).", f"image, {size:,} bytes", image)

    def _pdf(
        self, place: Place, media: Media, data: bytes, arguments: ReadArguments, stop: Stop
    ) -> Result:
        """The text of some pages; all of the document too, unless a part was asked for."""
        from qwen_code.tools.pdf import MAX_PAGES, read_pages  # slow to import

        shown = self._workspace.shown(place)
        is_part = arguments.offset > 1 or arguments.limit < MAX_LINES
        limit = arguments.limit if is_part else MAX_PAGES
        pages = read_pages(data, shown, arguments.offset, limit, stop)
        way_on = f"; continue with offset={pages.last + 1}" if pages.last < pages.total else ""
        where = f"pages {pages.first}–{pages.last} of {pages.total}"
        text = f"{pages.text}\n\n[{where}; offset and limit count pages{way_on}]"
        if is_part or pages.total > _MAX_SENT_PAGES or len(data) > _MAX_BYTES:
            return Result(text, where)
        caption = f"{shown} is a PDF document of {counted(pages.total, 'page')}."
        return Result(text, where, Image(media.media_type, data, place.path.name, caption))


def _result(part: Part, *, is_valid: bool = True) -> Result:
    """The part, and what the model has to know of the encoding."""
    notes = []
    if part.encoding.name != "utf-8":
        notes.append(f"encoding: {part.encoding.shown}; edit and write_file keep it")
    if not is_valid:
        notes.append("\ufffd stands for bytes that are not valid; edit keeps them")
    text = "".join([part.text, *(f"\n[{note}]" for note in notes)])
    return Result(text, part.summary)


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
        return Preview(change=self._understood(arguments).change(self._workspace))

    def run(self, arguments: WriteArguments, show: Callable[[str], None], stop: Stop) -> Result:
        write = self._understood(arguments)
        stop.check()
        self._keep(write.place, write.after)
        self._workspace.write(write.place, write.after)
        self._seen.note(write.place, write.after, write.encoding.name)
        lines = arguments.content.count("\n") + (not arguments.content.endswith("\n"))
        verb = "Created" if write.before is None else "Replaced"
        size = counted(lines, "line")
        text = f"{verb} {self._workspace.shown(write.place)} ({size}).{write.note}"
        return Result(text, size, change=write.change(self._workspace))

    def _understood(self, arguments: WriteArguments) -> _Write:
        place = self._places.of(arguments, arguments.path)
        before, content = None, arguments.content
        if os.path.lexists(place.path):
            before = self._workspace.read(place, _MAX_BYTES)
            self._seen.check(place, before)
        if before:
            was = _encoding(self._workspace, self._seen, place, before)
            text = was.decode(before)
        else:
            was = encoding_of(self._workspace, place) or Encoding("utf-8")
            text = ""
        content = unmasked(content, place.shown, text)
        if before and "\ufffd" in content and not was.is_valid(before):
            raise ToolFailed(
                f"{place.shown} has bytes that are not valid, shown as \ufffd, which write_file "
                "cannot write back. Use edit, which keeps them, or write the file without \ufffd."
            )
        return _write(place, before, was, content)


class _Write(msgspec.Struct, frozen=True):
    """A change of all of a file. ``was`` is the encoding of ``before``, ``encoding`` that of
    ``after``; ``note`` says if it is another one."""

    place: Place
    before: bytes | None
    was: Encoding
    after: bytes
    encoding: Encoding
    note: str = ""

    def change(self, workspace: Workspace) -> FileChange:
        before = _as_text(self.before, self.was)
        return FileChange(workspace.shown(self.place), before, _as_text(self.after, self.encoding))


def _write(place: Place, before: bytes | None, was: Encoding, content: str) -> _Write:
    """The content in the encoding that it declares, else in that of the file, else in UTF-8."""
    if was.newline != "\n":
        content = content.replace("\r\n", "\n").replace("\n", was.newline)
    named, by = declared(content[:HEAD_BYTES].encode("utf-8", "replace"))
    if named and named != declared(before or b"")[0] and named != was.name:
        encoding = Encoding(named, newline=was.newline, declared_by=by)
    else:
        encoding = was
    try:
        after = encoding.mark + encoding.encode(content)
    except UnicodeEncodeError as error:
        problem = unencodable(error, encoding)
        if encoding.declared_by:
            raise ToolFailed(
                f"{problem}, and {encoding.declared_by} names that encoding. Name utf-8 there, or "
                "use other characters."
            ) from error
        plain = Encoding("utf-8", newline=was.newline)
        note = f" It is in UTF-8 now: {problem}."
        return _Write(place, before, was, plain.encode(content), plain, note)
    has_changed = before and encoding.name != was.name
    note = f" It is in {encoding.shown} now, as it declares." if has_changed else ""
    return _Write(place, before, was, after, encoding, note)


def _as_text(data: bytes | None, encoding: Encoding) -> str | None:
    """For a person, with secrets masked; a binary file has no text."""
    return None if data is None or is_binary(data) else redact(encoding.decode(data))


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
        return Preview(change=self._understood(arguments)[0].change(self._workspace))

    def run(self, arguments: EditArguments, show: Callable[[str], None], stop: Stop) -> Result:
        write, count = self._understood(arguments)
        stop.check()
        self._keep(write.place, write.after)
        self._workspace.write(write.place, write.after)
        self._seen.note(write.place, write.after, write.encoding.name)
        places = counted(count, "place")
        text = f"Changed {places} in {self._workspace.shown(write.place)}."
        return Result(text, places, change=write.change(self._workspace))

    def _understood(self, arguments: EditArguments) -> tuple[_Write, int]:
        """The change, and the number of its places."""
        place = self._places.of(arguments, arguments.path)
        before = self._workspace.read(place, _MAX_BYTES)
        self._seen.check(place, before)
        encoding = _encoding(self._workspace, self._seen, place, before)
        text = encoding.decode(before)
        old, new = (
            unmasked(each, place.shown, text)
            for each in (arguments.old_string, arguments.new_string)
        )
        edited = replace(before, old, new, encoding, replace_all=arguments.replace_all)
        return _Write(place, before, encoding, edited.data, encoding), edited.count
