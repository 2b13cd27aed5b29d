"""Run a coroutine that never suspends, without an event loop.

Everything that waits is written as ``async def`` once, and gets its waiting (HTTP body, sleep)
from outside. Under an event loop those really suspend. In a command that does one thing they
simply block, and :func:`run` drives the coroutine to its end: ``asyncio`` alone would cost more
time to import than all the rest of ``qwen -p`` together.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["run"]

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of ``coroutine``, all of whose waits block.

    Raises:
        RuntimeError: something in it needs an event loop, which is a mistake in this program.
    """
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        coroutine.close()
    raise RuntimeError("a coroutine that needs an event loop was run without one")
