"""Custom slash commands: prompts in files, used as ``/name arguments``.

The file ``.qwen/commands/git/commit.md`` (or ``.toml``) defines ``/git:commit``. In its text,
``{{args}}`` and ``$ARGUMENTS`` are replaced by the arguments, ``@{path}`` by a file of the
workspace, and ``!{command}`` by the output of a command, if that is allowed. What is put in is not
looked at again: a file with ``!{…}`` in it runs nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from qwen_code.agent.command_formats import NotACommand, from_markdown, from_toml
from qwen_code.agent.events import AgentEvent
from qwen_code.agent.news import Attached
from qwen_code.agent.permission import Permission, Refusal
from qwen_code.agent.toolbox import Prepared, Toolbox
from qwen_code.base.errors import InputError
from qwen_code.base.files import read_beginning
from qwen_code.base.secret import redact
from qwen_code.base.stop import Stop
from qwen_code.models.events import Notice
from qwen_code.tools.base import Image
from qwen_code.tools.catalogue import RUN_SHELL_COMMAND
from qwen_code.tools.errors import ToolFailed

if TYPE_CHECKING:
    from qwen_code.agent.mentions import MentionReader

_MAX_BYTES = 64 << 10
_MAX_FILES = 200
_MAX_ENTRIES = 5000
_NAME = r"\w[\w.-]*"
_ARGUMENTS = r"\{\{args\}\}|\$ARGUMENTS\b"
_PART = rf"{_ARGUMENTS}|([!@])\{{"
_FORMATS = {".md": from_markdown, ".toml": from_toml}


class CommandFile(msgspec.Struct, frozen=True):
    """A command: its name with the slash, its description, its prompt, and what its file has to no
    effect."""

    name: str
    description: str
    text: str
    path: Path
    argument_hint: str = ""
    without_effect: tuple[str, ...] = ()


class Expansion(msgspec.Struct, frozen=True):
    """``text`` is the prompt. ``own`` is what the command's author and its user wrote of it, in
    which ``@path`` is looked for. ``images`` come from ``@{path}``."""

    text: str
    own: str
    attached: Attached


def find_commands(directories: Sequence[Path]) -> dict[str, Path]:
    """The files by name. Links that leave a directory are skipped.

    The user's directory comes first: a command of the project that has the name of one of theirs
    is ``/project:NAME``, so that a clone cannot take its place. Of two files with one name in a
    directory, Markdown counts.
    """
    found: dict[str, Path] = {}
    for directory in directories:
        here: dict[str, Path] = {}
        for path in sorted(islice(_files_below(directory), _MAX_FILES)):
            parts = path.relative_to(directory).with_suffix("").parts
            parts = tuple(part.replace(":", "_") for part in parts)
            is_inside = path.resolve().is_relative_to(directory.resolve())
            if is_inside and all(re.fullmatch(_NAME, part) for part in parts):
                here.setdefault(f"/{':'.join(parts)}", path)
        found |= {n if n not in found else f"/project:{n[1:]}": p for n, p in here.items()}
    return found


def _files_below(directory: Path) -> Iterator[Path]:
    """The files; the directory may be a link to one with any number of them."""
    looked_at = 0
    for folder, folders, names in os.walk(directory):
        looked_at += len(folders) + len(names)
        if looked_at > _MAX_ENTRIES:
            return
        folders.sort()
        yield from (Path(folder, name) for name in sorted(names) if name.endswith(tuple(_FORMATS)))


def read_commands(
    directories: Sequence[Path], notice: Callable[[str], None] = lambda _: None
) -> list[CommandFile]:
    """The commands, sorted by name; ``notice`` is told of files that define none."""
    commands = []
    for name, path in sorted(find_commands(directories).items()):
        try:
            commands.append(read_command(name, path))
        except InputError as error:
            notice(error.message)
    return commands


def read_command(name: str, path: Path) -> CommandFile:
    """The command that a file defines.

    Raises:
        InputError: it defines none; the message names the file and the line.
    """
    try:
        text = read_beginning(path, _MAX_BYTES).decode("utf-8-sig")
        found = _FORMATS[path.suffix](text)
    except UnicodeDecodeError as error:
        problem = f"it is not UTF-8 text (byte {error.start:,})"
    except OSError as error:
        problem = f"it cannot be read: {error.strerror}"
    except NotACommand as error:
        problem = str(error)
    else:
        if found.text.strip():
            return CommandFile(
                name,
                found.description,
                found.text,
                path,
                found.argument_hint,
                found.without_effect,
            )
        problem = "it has no text"
    raise InputError(
        f"the command {name} cannot be used: {path}: {problem}", hint="Correct that file."
    )


def expand(
    command: CommandFile,
    arguments: str,
    toolbox: Toolbox,
    permission: Permission,
    reader: MentionReader,
    stop: Stop,
) -> Generator[list[AgentEvent], None, Expansion]:
    """Returns the expanded prompt; yields what happens on the way. All commands in it are asked
    about before the first one runs.

    Raises:
        InputError: a shell command was not allowed, or could not run.
        Stopped: the turn was stopped.
    """
    if command.without_effect:
        fields = ", ".join(command.without_effect)
        yield [Notice(f"{command.path}: {fields} has no effect here")]
    parts = list(_parts(command.text))
    lines = [_line(text, arguments) for kind, text in parts if kind == "!" and text.strip()]
    settled: list[Prepared] = []
    for line in lines:
        settled += [(yield from _settled(line, toolbox, permission, stop))]
    pieces: list[str] = []
    own: list[str] = []
    images: tuple[Image, ...] = ()
    for kind, text in parts:
        if kind == "@":
            path = re.sub(_ARGUMENTS, lambda _: arguments, text).strip()
            content = yield from reader.content_of(path)
            pieces.append(f"@{{{text}}}" if content is None else content.text)
            images += () if content is None else content.images
        elif kind == "!":
            pieces.append(_output(lines.pop(0), settled.pop(0), stop) if text.strip() else "")
        else:
            pieces.append(arguments if kind == "args" else text)
            own.append(pieces[-1])
    if arguments and not re.search(_ARGUMENTS, command.text):
        pieces.append(f"\n\n{arguments}")
        own.append(pieces[-1])
    return Expansion("".join(pieces).strip(), "\n".join(own), Attached(images=images))


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


def _settled(
    line: str, toolbox: Toolbox, permission: Permission, stop: Stop
) -> Generator[list[AgentEvent], None, Prepared]:
    try:
        arguments = msgspec.json.encode({"command": line}).decode()
        prepared = toolbox.prepare(RUN_SHELL_COMMAND.name, arguments)
        settled = yield from permission.settle("command", prepared, toolbox, stop)
        if isinstance(settled, Refusal):
            raise ToolFailed(settled.text)
    except ToolFailed as error:
        raise _not_run(line, error, stop) from error
    return settled


def _output(line: str, settled: Prepared, stop: Stop) -> str:
    """What the command prints, with its exit code if that is not 0."""
    try:
        return redact(settled.run(lambda _: None, stop).text)
    except ToolFailed as error:
        raise _not_run(line, error, stop) from error


def _not_run(line: str, error: ToolFailed, stop: Stop) -> InputError:
    stop.check()
    return InputError(f"{line}: {error.message}", hint="Correct the file that defines the command.")


def _line(text: str, arguments: str) -> str:
    """The command line: ``{{args}}`` as one word, ``$ARGUMENTS`` as words if they are plain."""
    from shlex import quote  # few commands run any

    is_plain = re.fullmatch(r"[\w@%+=:,./ -]*", arguments, re.ASCII) is not None
    words = {"{{args}}": quote(arguments)}
    plain = arguments if is_plain else quote(arguments)
    return re.sub(_ARGUMENTS, lambda found: words.get(found[0], plain), text.strip())
