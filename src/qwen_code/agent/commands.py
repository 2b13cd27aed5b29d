"""Custom slash commands: prompts in Markdown files, used as ``/name arguments``.

The file ``.qwen/commands/git/commit.md`` defines ``/git:commit``. In its text, ``{{args}}`` and
``$ARGUMENTS`` are replaced by the arguments, ``@{path}`` by a file of the workspace, and
``!{command}`` by the output of a command, if that is allowed. Front matter between lines of ``---``
can hold a ``description:``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Iterator, Sequence
from itertools import islice
from pathlib import Path

import msgspec

from qwen_code.agent.events import AgentEvent
from qwen_code.agent.permission import Permission, Refusal
from qwen_code.agent.toolbox import Toolbox
from qwen_code.base.errors import InputError
from qwen_code.base.files import read_beginning
from qwen_code.base.secret import redact
from qwen_code.base.stop import Stop
from qwen_code.tools.catalogue import READ_FILE, RUN_SHELL_COMMAND
from qwen_code.tools.errors import ToolFailed

_MAX_BYTES = 64 << 10
_MAX_FILES = 200
_MAX_ENTRIES = 5000
_NAME = r"[A-Za-z0-9][\w.-]*"
_PART = r"\{\{args\}\}|\$ARGUMENTS\b|([!@])\{"


class CommandFile(msgspec.Struct, frozen=True):
    """A command: its name with the slash, its description, and its prompt."""

    name: str
    description: str
    text: str
    path: Path


def find_commands(directories: Sequence[Path]) -> dict[str, Path]:
    """The files by name. Links that leave a directory are skipped.

    The user's directory comes first: a command of the project that has the name of one of theirs
    is ``/project:NAME``, so that a clone cannot take its place.
    """
    found: dict[str, Path] = {}
    for directory in directories:
        for path in sorted(islice(_markdown_below(directory), _MAX_FILES)):
            parts = path.relative_to(directory).with_suffix("").parts
            is_inside = path.resolve().is_relative_to(directory.resolve())
            if is_inside and all(re.fullmatch(_NAME, part) for part in parts):
                name = f"/{':'.join(parts)}"
                found[name if name not in found else f"/project:{name[1:]}"] = path
    return found


def _markdown_below(directory: Path) -> Iterator[Path]:
    """The ``.md`` files; the directory may be a link to one with any number of files."""
    looked_at = 0
    for folder, folders, names in os.walk(directory):
        looked_at += len(folders) + len(names)
        if looked_at > _MAX_ENTRIES:
            return
        folders.sort()
        yield from (Path(folder, name) for name in sorted(names) if name.endswith(".md"))


def read_commands(directories: Sequence[Path]) -> list[CommandFile]:
    """The commands, sorted by name; files that are not text are skipped."""
    return [
        command
        for name, path in sorted(find_commands(directories).items())
        if (command := _read(name, path))
    ]


def expand(
    command: CommandFile, arguments: str, toolbox: Toolbox, permission: Permission, stop: Stop
) -> Generator[list[AgentEvent], None, str]:
    """Returns the expanded prompt; yields the events of its tool calls.

    Raises:
        InputError: a file cannot be read, or a shell command was not allowed or failed.
        Stopped: the turn was stopped.
    """
    pieces, has_arguments = [], False
    for kind, text in _parts(command.text):
        if kind == "args":
            has_arguments = True
            pieces.append(arguments)
        elif kind == "@":
            said = yield from _call(
                toolbox, permission, stop, READ_FILE.name, {"path": text.strip()}
            )
            pieces.append(said)
        elif kind == "!":
            line = re.sub(r"\{\{args\}\}", lambda _: _quoted(arguments), text)
            has_arguments = has_arguments or line != text
            said = yield from _call(
                toolbox, permission, stop, RUN_SHELL_COMMAND.name, {"command": line}
            )
            pieces.append(said)
        else:
            pieces.append(text)
    if arguments and not has_arguments:
        pieces.append(f"\n\n{arguments}")
    return "".join(pieces).strip()


def _read(name: str, path: Path) -> CommandFile | None:
    try:
        text = read_beginning(path, _MAX_BYTES).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return None
    text = text.replace("\r\n", "\n")
    head = re.match(r"---\n(.*?\n)?---\n", text, re.DOTALL)
    body = text[head.end() :] if head else text
    said = re.search(r"^description:\s*(.+)$", head[0], re.MULTILINE) if head else None
    first = next((line.strip() for line in body.splitlines() if line.strip()), "")
    description = said[1].strip().strip("\"'") if said else first
    return CommandFile(name, description[:80], body.strip("\n"), path)


def _parts(text: str) -> Iterator[tuple[str, str]]:
    """The text in parts: ``args``, ``@`` and ``!`` with the content of their braces, and plain."""
    at = 0
    while match := re.compile(_PART).search(text, at):
        end = match.end()
        yield "", text[at : match.start()]
        if match[1] is None:
            yield "args", match[0]
            at = end
            continue
        close = _closing(text, end)
        if close is None:
            yield "", text[match.start() :]
            return
        yield match[1], text[end:close]
        at = close + 1
    yield "", text[at:]


def _closing(text: str, at: int) -> int | None:
    depth = 1
    for index in range(at, len(text)):
        depth += {"{": 1, "}": -1}.get(text[index], 0)
        if depth == 0:
            return index
    return None


def _call(
    toolbox: Toolbox, permission: Permission, stop: Stop, name: str, arguments: dict[str, str]
) -> Generator[list[AgentEvent], None, str]:
    try:
        prepared = toolbox.prepare(name, msgspec.json.encode(arguments).decode())
        settled = yield from permission.settle("command", prepared, toolbox, stop)
        if isinstance(settled, Refusal):
            raise ToolFailed(settled.text)
        return redact(settled.run(lambda _: None, stop).text)
    except ToolFailed as error:
        stop.check()
        what = next(iter(arguments.values()))
        raise InputError(
            f"{what}: {error.message}", hint="Correct the file that defines the command."
        ) from error


def _quoted(text: str) -> str:
    from shlex import quote

    return quote(text)
