from __future__ import annotations

import asyncio

import pytest

from qwen_code.base.blocking import run


async def double(number: int) -> int:
    return number * 2


def test_the_result_comes_back() -> None:
    async def work() -> int:
        return await double(1) + await double(2)

    assert run(work()) == 6


def test_errors_pass_through() -> None:
    async def work() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        run(work())


def test_something_that_needs_an_event_loop_is_a_mistake() -> None:
    async def work() -> None:
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="event loop"):
        run(work())
