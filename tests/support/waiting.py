"""What tests wait for: a condition, with a deadline, and the end of a process."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T], seconds: float = 30) -> T:
    """The first true value of ``condition``, asked again and again.

    Raises:
        AssertionError: there was none within ``seconds``.
    """
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"nothing came within {seconds} s"
        time.sleep(0.01)
    return found


def is_running(pid: int | str) -> bool:
    """Whether the process is there and has not ended; a zombie has."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
