"""What Node Qwen Code remembers by itself: read where it would use it, never written.

``QWEN_HOME/memories`` is about the user, ``QWEN_HOME/projects/<project>/memory`` about a project.
Each has an index, ``MEMORY.md``, and the notes that it lists.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from qwen_code.agent.context import Note
from qwen_code.base.files import read_beginning
from qwen_code.base.secret import redact

_MAX_FILES = 100
_MAX_CHARACTERS = 8_000
"""Of all of them: they are a part of every request."""


def find_memories(indexes: Sequence[Path]) -> list[Note]:
    """The indexes, and the notes beside and below each, the newest ones while there is room."""
    notes, left = [], _MAX_CHARACTERS
    for path in (*indexes, *(file for index in indexes for file in _beside(index))):
        try:
            text = redact(read_beginning(path, _MAX_CHARACTERS).decode("utf-8", "replace")).strip()
        except OSError:
            continue
        if text and len(text) <= left:
            left -= len(text)
            notes.append(Note(path, text))
    return notes


def _beside(index: Path) -> list[Path]:
    """The notes that an index may list, the newest first."""
    found: list[tuple[float, Path]] = []
    for folder, folders, names in os.walk(index.parent):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths = (Path(folder, name) for name in names if name.endswith(".md"))
        kept = (path for path in paths if path != index and not path.is_symlink())
        found += [(path.lstat().st_mtime, path) for path in kept]
        if len(found) > _MAX_FILES:
            break
    return [path for _, path in sorted(found, reverse=True)]
