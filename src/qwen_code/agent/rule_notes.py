"""Notes in ``.qwen/rules``: Markdown files, of which some are only about certain files (``paths``).

Node Qwen Code gives the model those when it works on such a file. Here it is told in one line which
file to read before, so they cost as little.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import msgspec

from qwen_code.agent.command_formats import front_matter, without_comments
from qwen_code.base.files import read_beginning

_MAX_FILES = 100
_MAX_ENTRIES = 2000
_MAX_BYTES = 64 << 10
_MAX_TOTAL_CHARACTERS = 50_000


class RuleNote(msgspec.Struct, frozen=True):
    """One file. ``patterns`` are the files that it is about, in words; empty for all."""

    path: Path
    patterns: str
    text: str


def find_rule_notes(directory: Path, notice: Callable[[str], None]) -> list[RuleNote]:
    """The notes below ``directory``, by name; links that leave it are skipped. ``notice`` is told
    what was left out."""
    root = Path(os.path.realpath(directory))
    found: list[RuleNote] = []
    left = _MAX_TOTAL_CHARACTERS
    for path in islice(_files(directory), _MAX_FILES):
        if not Path(os.path.realpath(path)).is_relative_to(root) or not path.is_file():
            notice(f"{path} leads out of {directory} and is not used")
            continue
        try:
            text = read_beginning(path, _MAX_BYTES).decode("utf-8-sig", "replace")
        except OSError as error:
            notice(f"{path} cannot be read: {error.strerror}")
            continue
        fields, body = front_matter(text)
        body = without_comments(body)
        left -= len(body)
        if left < 0:
            notice(f"{directory} holds too much: {path} and what follows is not used")
            break
        if body:
            found.append(RuleNote(path, _patterns(fields.get("paths", "")), body))
    return found


def _files(directory: Path) -> Iterator[Path]:
    looked_at = 0
    for folder, folders, names in os.walk(directory):
        looked_at += len(folders) + len(names)
        if looked_at > _MAX_ENTRIES:
            return
        folders.sort()
        yield from (Path(folder, name) for name in sorted(names) if name.endswith(".md"))


def _patterns(listed: str) -> str:
    """``- 'a/**' - "b"`` and ``[a/**, b]`` as ``a/**, b``."""
    return ", ".join(each for each in re.findall(r"[^\s'\",\[\]]+", listed) if each != "-")
