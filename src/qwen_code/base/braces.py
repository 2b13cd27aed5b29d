"""Braces as shells and globs expand them: ``*.{ts,tsx}`` is ``*.ts`` and ``*.tsx``. Pure."""

from __future__ import annotations

import re

_BRACES = re.compile(r"\{([^{}]*,[^{}]*)\}")


def without_braces(text: str, most: int) -> list[str]:
    """The texts that ``text`` stands for.

    Raises:
        ValueError: there are more than ``most``.
    """
    waiting, expanded = [text], list[str]()
    while waiting:
        each = waiting.pop()
        found = _BRACES.search(each)
        if found is None:
            expanded.append(each)
        else:
            start, end = found.span()
            waiting += (each[:start] + one + each[end:] for one in found[1].split(","))
        if len(waiting) + len(expanded) > most:
            raise ValueError(f"it stands for more than {most:,} others")
    return expanded
