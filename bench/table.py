"""Markdown tables of numbers."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Iterable, Mapping, Sequence

_NONE = "–"


def median(values: Iterable[float]) -> float | None:
    """The median of ``values``; ``None`` if there are none."""
    known = list(values)
    return statistics.median(known) if known else None


def cell(value: float | None, digits: int = 0, suffix: str = "") -> str:
    """A number for a table."""
    return _NONE if value is None else f"{value:,.{digits}f}{suffix}"


def table(columns: Sequence[str], rows: Mapping[str, Sequence[str]]) -> str:
    """A table with one row for each program. Rows without any number are omitted."""
    lines = [f"| {' | '.join(columns)} |", f"|---{'|--:' * (len(columns) - 1)}|"]
    lines += [
        f"| {' | '.join([name, *cells])} |"
        for name, cells in rows.items()
        if any(value != _NONE for value in cells)
    ]
    return "\n".join(lines)


def machine() -> str:
    """One line about the machine."""
    cores = os.cpu_count()
    load = f", load {os.getloadavg()[0]:.1f} at the end" if hasattr(os, "getloadavg") else ""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{platform.platform(terse=True)}, {platform.machine()}, {cores} cores, {python}{load}"
