"""The code blocks of Node Qwen Code's documents for users, as the installed package has them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from node_qwen import DOCS

from qwen_code.config import jsonc

_FENCE = re.compile(r"^(?P<indent> *)(?P<marks>`{3,})(?P<language>[\w-]*)[^\n]*$")


class Block(NamedTuple):
    """One block: the document below the documents' directory, its line, language and text."""

    document: str
    line: int
    language: str
    text: str
    heading: str

    @property
    def id(self) -> str:
        return f"{self.document.removesuffix('.md')}:{self.line}"

    def tree(self) -> dict[str, Any] | None:
        """The JSON object that it is, with comments allowed; ``None`` if it is not one."""
        try:
            return jsonc.loads(self.text.encode())
        except jsonc.JsoncError:
            return None


def blocks(*documents: str) -> list[Block]:
    """All blocks of these documents, or of all; none if the package is not installed."""
    names = documents or sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))
    return [block for name in names if (DOCS / name).is_file() for block in _of(DOCS / name, name)]


def _of(path: Path, name: str) -> Iterator[Block]:
    lines = path.read_text().splitlines()
    heading, opened, start = "", None, 0
    for number, line in enumerate(lines):
        fence = _FENCE.match(line)
        if opened is None:
            if line.startswith("#"):
                heading = line.lstrip("# ")
            if fence:
                opened, start = fence, number
        elif fence and not fence["language"] and len(fence["marks"]) >= len(opened["marks"]):
            indent = len(opened["indent"])
            text = "".join(
                f"{each[min(indent, len(each) - len(each.lstrip())) :]}\n"
                for each in lines[start + 1 : number]
            )
            yield Block(name, start + 1, opened["language"], text, heading)
            opened = None
