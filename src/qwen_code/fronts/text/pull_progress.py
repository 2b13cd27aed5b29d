"""How far the download of the embedded model is, on standard error."""

from __future__ import annotations

import os
import sys
import time
from typing import Self

from qwen_code.fronts.console import rewrite_line, say_error_part, takes_only_lines


class PullProgress:
    """A bar on a terminal, otherwise a line every tenth. Use it as a context manager."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty() and not takes_only_lines(os.environ)
        self._shown: tuple[str, int] | None = None
        self._started: tuple[float, int] | None = None
        self._is_open = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the line of the bar: what comes next is not part of it."""
        if self._is_open:
            say_error_part("\n")

    def __call__(self, source: str, done: int, total: int) -> None:
        step = done * (200 if self._is_terminal else 10) // total
        if self._shown == (source, step):
            return
        if self._started is None or self._shown is None or self._shown[0] != source:
            self._started = (time.monotonic(), done)
        self._shown = (source, step)
        self._is_open = self._is_terminal and done < total
        if not self._is_terminal:
            say_error_part(self._line(source, done, total))
            return
        rewrite_line(self._bar(source, done, total))
        if done >= total:
            say_error_part("\n")

    def _line(self, source: str, done: int, total: int) -> str:
        return f"{source}: {done / 1e6:,.0f} of {total / 1e6:,.0f} MB\n"

    def _bar(self, source: str, done: int, total: int) -> str:
        assert self._started is not None
        filled = done * 30 // total
        elapsed = time.monotonic() - self._started[0]
        speed = (done - self._started[1]) / elapsed / 1e6 if elapsed > 0.5 else 0.0
        rest = f" {speed:,.0f} MB/s" if speed else ""
        bar = "█" * filled + "░" * (30 - filled)
        return f"{source} {bar} {done / 1e6:,.0f}/{total / 1e6:,.0f} MB{rest}"
