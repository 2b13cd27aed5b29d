"""What an undo or redo did, file by file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwen_code.base.text import safe_text

if TYPE_CHECKING:
    from qwen_code.agent.checkpoints import Undone

_FUTILE = """\
So nothing was changed, and that turn stays as it was. The ids of other turns: qwen checkpoints
"""


def undone_in_words(undone: Undone) -> str:
    """A line for each file, with its end."""
    kinds = (
        ("Put back", undone.restored),
        ("Removed", undone.removed),
        ("Left as it is, because it was changed since", undone.left),
        ("Left as it is, because the other content is not stored", undone.missing),
    )
    lines = [f"{what}: {_on_one_line(path)}\n" for what, paths in kinds for path in paths]
    if undone.is_futile:
        lines.append(_FUTILE)
    return "".join(lines) or "No file was changed.\n"


def _on_one_line(path: str) -> str:
    """A name may have line ends in it, and must not look like another line of the report."""
    return safe_text(path).replace("\n", "\\n")
