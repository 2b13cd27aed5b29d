"""The cells of a Jupyter notebook as text, with the beginning of their output."""

from __future__ import annotations

from typing import Any

import msgspec

from qwen_code.base.json_text import decode_json
from qwen_code.base.secret import redact

_MAX_CELL_OUTPUT = 1000


def as_text(data: bytes) -> str | None:
    """The cells; ``None`` if ``data`` is not a notebook."""
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
