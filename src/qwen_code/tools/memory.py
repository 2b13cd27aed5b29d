"""``save_memory``: facts for all later sessions, in the user's notes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Self

import msgspec

from qwen_code.base.files import process_lock, read_bounded, write_atomic
from qwen_code.base.stop import Stop
from qwen_code.tools import catalogue
from qwen_code.tools.base import BuiltInTool, Result
from qwen_code.tools.context import ToolContext
from qwen_code.tools.errors import ToolFailed

_HEADING = "## Qwen Added Memories"
"""The heading that Node Qwen Code uses, too."""

_MAX_BYTES = 256 << 10
_MAX_FACT_LENGTH = 1000
_LOCK_TIMEOUT_S = 5.0


class MemoryArguments(msgspec.Struct):
    fact: str


class SaveMemory(BuiltInTool[MemoryArguments]):
    """Adds a line under a heading of the user's ``QWEN.md``; the rest of the file stays."""

    definition = catalogue.SAVE_MEMORY
    arguments = MemoryArguments

    def __init__(self, file: Path) -> None:
        self._file = file

    @classmethod
    def create(cls, context: ToolContext) -> Self:
        return cls(context.notes_file)

    def title(self, arguments: MemoryArguments) -> str:
        return arguments.fact

    def run(self, arguments: MemoryArguments, show: Callable[[str], None], stop: Stop) -> Result:
        fact = " ".join(arguments.fact.split()).lstrip("-* ")
        if not fact or len(fact) > _MAX_FACT_LENGTH:
            raise ToolFailed(f"a fact must have 1 to {_MAX_FACT_LENGTH} characters")
        lock = self._file.with_name(f"{self._file.name}.lock")
        with process_lock(lock, timeout_s=_LOCK_TIMEOUT_S):
            before = self._read()
            if f"- {fact}" in before.splitlines():
                return Result("This is already remembered.", "already known")
            write_atomic(self._file, _with_fact(before, fact).encode())
        return Result(f"Remembered in {self._file}.", "remembered")

    def _read(self) -> str:
        try:
            return read_bounded(self._file, _MAX_BYTES).decode()
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            raise ToolFailed(f"{self._file} cannot be read: {error}") from error


def _with_fact(text: str, fact: str) -> str:
    """``text`` with the fact as the last line of the section."""
    lines = text.splitlines()
    if _HEADING not in lines:
        return "\n".join([*lines, *([""] if lines else []), _HEADING, f"- {fact}", ""])
    end = lines.index(_HEADING) + 1
    while end < len(lines) and not lines[end].startswith("#"):
        end += 1
    while not lines[end - 1].strip():
        end -= 1
    return "\n".join([*lines[:end], f"- {fact}", *lines[end:], ""])
