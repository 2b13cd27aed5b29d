"""Reads what a prompt names with ``@``, by the tools that the model has for it.

So the workspace's boundary, ignore files, rules, hooks, masks and bounds are those of the tools,
and a file that was read counts as seen. What cannot be read is said to the user and to the model,
and the prompt is sent all the same.
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import msgspec

from qwen_code.agent.calls import completed
from qwen_code.agent.events import AgentEvent, MentionRead
from qwen_code.agent.fitting import fitted
from qwen_code.agent.mention_text import Lines, Mention, find_mentions
from qwen_code.agent.news import Attached
from qwen_code.agent.permission import Permission, Refusal
from qwen_code.agent.toolbox import Toolbox
from qwen_code.base.secret import redact
from qwen_code.base.stop import Stop
from qwen_code.tools.base import Definition, Image, Result
from qwen_code.tools.catalogue import GLOB, LIST_DIRECTORY, READ_FILE
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.ignored import is_ignored_by_git
from qwen_code.tools.names import find_name
from qwen_code.tools.workspace import Workspace

MAX_FILES = 50
"""Files, directories and patterns that are read for one prompt."""
_MAX_MATCHED_FILES = 20
"""Files that are read for one pattern; more are only named."""
_MAX_MISSING = 10
_MIN_ROOM_TOKENS = 100
_BYTES_A_TOKEN = 4
_UNSEEN = "This model takes text only, unless the user sets model.vision."

Reading = Generator[list[AgentEvent], None, Attached]
"""Yields what happens, and returns what was read."""


class Sight(msgspec.Struct, frozen=True):
    """What the model takes: ``types`` of content parts beside text, and how many tokens."""

    types: frozenset[str]
    room_tokens: int


class _NotRead(Exception):
    """Why something is not read, in words for the user and the model."""


class MentionReader:
    """Reads what one prompt names, within the room that the model has for it.

    ``tools`` are all tools of the session. ``skips_ignored``: what git ignores is not read.
    """

    def __init__(
        self,
        tools: Toolbox,
        permission: Permission,
        workspace: Workspace,
        home: Path,
        sight: Sight,
        stop: Stop,
        *,
        skips_ignored: bool = True,
    ) -> None:
        self._tools = tools
        self._permission = permission
        self._workspace = workspace
        self._home = home
        self._types = sight.types
        self._room_tokens = sight.room_tokens
        self._stop = stop
        self._skips_ignored = skips_ignored
        self._read: set[tuple[object, ...]] = set()

    def all_in(self, text: str) -> Reading:
        """Read what ``text`` names, each thing once.

        Raises:
            Stopped: the turn was stopped.
        """
        found, images, missing = "", list[Image](), 0
        for mention in find_mentions(text, self._kind_of):
            self._stop.check()
            if len(self._read) >= MAX_FILES:
                reason = f"more than {MAX_FILES} things are named in one prompt"
                yield [MentionRead(mention.path, f"{reason}; the rest is not read", is_error=True)]
                found += f"\n\n[The rest was not read: {reason}.]"
                break
            is_missing = not mention.kind and not mention.is_pattern
            missing += is_missing
            if is_missing and missing > _MAX_MISSING:
                continue
            attached = yield from self.one(mention)
            found += attached.text
            images += attached.images
        return Attached(found, tuple(images))

    def one(self, mention: Mention) -> Reading:
        """Read one mention; nothing if that was done before."""
        key = (mention.path.rstrip("/"), mention.lines)
        if key in self._read:
            return Attached()
        self._read.add(key)
        try:
            if mention.is_pattern:
                return (yield from self._matching(mention))
            if not mention.kind:
                raise _NotRead("there is no such file")
            path = self._path_of(mention.path)
            if mention.kind == "directory":
                return (yield from self._directory(mention, path))
            return (yield from self._file(mention.path, path, mention.lines))
        except (_NotRead, ToolFailed) as error:
            reason = redact(str(error))
            yield [MentionRead(mention.path, reason, is_error=True)]
            return Attached(f"\n\n[{mention.written} could not be read: {reason}]")

    def content_of(self, path: str) -> Generator[list[AgentEvent], None, Attached | None]:
        """What ``path`` holds, without a heading; ``None`` if it cannot be read, which is said.

        Raises:
            Stopped: the turn was stopped.
        """
        try:
            kind = self._kind_of(path)
            if not kind:
                raise _NotRead("there is no such file")
            if kind == "directory":
                text, summary = yield from self._listing(self._path_of(path))
                images: tuple[Image, ...] = ()
            else:
                text, images, summary = yield from self._content(self._path_of(path), None)
        except (_NotRead, ToolFailed) as error:
            yield [MentionRead(path, redact(str(error)), is_error=True)]
            return None
        yield [MentionRead(path, summary)]
        return Attached(text, images)

    # -- what there is ----------------------------------------------------------------------------

    def _kind_of(self, text: str) -> str:
        try:
            path = find_name(self._workspace.roots[0], self._path_of(text))
            if not os.path.lexists(path):
                return ""
            return "directory" if path.is_dir() else "file"
        except (OSError, ValueError, ToolFailed):
            return ""

    def _path_of(self, text: str) -> str:
        """The path as the tools take it: below the first directory of the workspace that has it."""
        if text == "~" or text.startswith("~/"):
            return str(self._home) + text[1:]
        first, *others = self._workspace.roots
        if os.path.lexists(find_name(first, text)):
            return text
        return next((str(o / text) for o in others if os.path.lexists(o / text)), text)

    # -- reading ----------------------------------------------------------------------------------

    def _file(self, shown: str, path: str, lines: Lines | None = None) -> Reading:
        text, images, summary = yield from self._content(path, lines)
        yield [MentionRead(shown, summary)]
        where = f", {summary}" if lines is not None else ""
        return Attached(f"\n\n[@{shown}{where}]\n{text}", images)

    def _content(
        self, path: str, lines: Lines | None
    ) -> Generator[list[AgentEvent], None, tuple[str, tuple[Image, ...], str]]:
        """The text of a file, what the model sees of it, and a summary."""
        self._check_not_ignored(path)
        arguments: dict[str, Any] = {"path": path}
        if lines is not None:
            arguments |= {"offset": lines.first, "limit": lines.count}
        result = yield from self._called(READ_FILE, arguments)
        image = result.image
        if image is not None and image.part_type in self._types:
            return image.caption or result.text, (image,), result.summary
        if image is not None and not image.is_document:
            raise _NotRead(f"{result.text} {_UNSEEN}")
        text = self._within_room(result.text, READ_FILE, arguments)
        return text, (), result.summary

    def _directory(self, mention: Mention, path: str) -> Reading:
        text, summary = yield from self._listing(path)
        yield [MentionRead(mention.path, summary)]
        return Attached(f"\n\n[@{mention.path}: a directory]\n{text}")

    def _listing(self, path: str) -> Generator[list[AgentEvent], None, tuple[str, str]]:
        """The text of a directory, and a summary."""
        result = yield from self._called(LIST_DIRECTORY, {"path": path})
        text, summary = result.text, result.summary
        if any(line.endswith("/") for line in text.splitlines()):
            below = yield from self._called(GLOB, {"pattern": "**", "path": path})
            text += f"\nFiles in it and below:\n{_sorted(below.text)}"
            summary += f", {below.summary} in all"
        return self._within_room(text, LIST_DIRECTORY, {"path": path}), summary

    def _matching(self, mention: Mention) -> Reading:
        """The files that match a pattern, the first ones with their content."""
        base, pattern = _split(mention.path)
        path = self._path_of(base) if base else "."
        result = yield from self._called(GLOB, {"pattern": pattern, "path": path})
        names = sorted(_names(result.text))
        if not names:
            raise _NotRead(result.text.partition("\n")[0])
        text, images = "", list[Image]()
        for name in names[:_MAX_MATCHED_FILES]:
            self._stop.check()
            if (name, None) in self._read:
                continue
            self._read.add((name, None))
            try:
                attached = yield from self._file(name, name)
            except (_NotRead, ToolFailed) as error:
                yield [MentionRead(name, str(error), is_error=True)]
                attached = Attached(f"\n\n[@{name} could not be read: {redact(str(error))}]")
            text += attached.text
            images += attached.images
        rest = names[_MAX_MATCHED_FILES:]
        if rest:
            summary = f"{result.summary}; {len(rest)} are only named"
            yield [MentionRead(mention.path, summary)]
            text += f"\n\n[{mention.written}: not read, only named]\n" + "\n".join(rest)
        return Attached(text, tuple(images))

    def _called(
        self, definition: Definition, arguments: dict[str, Any]
    ) -> Generator[list[AgentEvent], None, Result]:
        """The result of a call, if it is allowed.

        Raises:
            _NotRead: it is not.
            ToolFailed: it failed.
        """
        if self._tools.definition(definition.name) is not definition:
            raise _NotRead(f"the tool {definition.name} is switched off")
        if self._room_tokens < _MIN_ROOM_TOKENS:
            raise _NotRead("the model's window has no room for more in this prompt")
        prepared = self._tools.prepare(definition.name, msgspec.json.encode(arguments).decode())
        call_id, began = f"mention_{len(self._read)}", time.monotonic()
        settled = yield from self._permission.settle(call_id, prepared, self._tools, self._stop)
        if isinstance(settled, Refusal):
            raise _NotRead(settled.text)
        result = settled.run(lambda _: None, self._stop)
        ran_s, hooks = time.monotonic() - began, self._permission.call_hooks
        result, is_error = completed(call_id, settled, result, hooks, self._stop, ran_s=ran_s)
        if is_error:
            raise _NotRead(result.text)
        text = redact(result.text.encode("utf-8", "replace").decode())
        return msgspec.structs.replace(result, text=text)

    def _within_room(self, text: str, definition: Definition, arguments: dict[str, Any]) -> str:
        encoded = msgspec.json.encode(arguments).decode()
        text = fitted(text.rstrip("\n"), self._room_tokens, definition.name, encoded)
        self._room_tokens -= len(text.encode("utf-8", "replace")) // _BYTES_A_TOKEN
        return text

    def _check_not_ignored(self, path: str) -> None:
        if not self._skips_ignored:
            return
        place = self._workspace.locate(path)
        if is_ignored_by_git(place.root, place.names):
            raise _NotRead(
                "git ignores it. To include such files, set context.fileFiltering.respectGitIgnore "
                "to false, or ask for it without the @"
            )


def _split(pattern: str) -> tuple[str, str]:
    """The directory before the first name with a sign of a pattern, and the rest."""
    *names, last = pattern.split("/")
    base = []
    while names and not set(names[0]) & set("*?[{"):
        base.append(names.pop(0))
    rest = "/".join([*names, last])
    return "/".join(base) or ("/" if pattern.startswith("/") else ""), rest if names else f"/{last}"


def _names(text: str) -> Iterator[str]:
    lines = text.splitlines()
    return (line for line in lines if line and line != "no file matches" and line[0] != "[")


def _sorted(text: str) -> str:
    names = sorted(_names(text))
    return "\n".join([*names, *(line for line in text.splitlines() if line.startswith("["))])
