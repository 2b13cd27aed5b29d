"""A transport whose answers are repaired before the package ``mcp`` validates them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Self

from mcp.shared.message import SessionMessage
from mcp.types import JSONRPCError, JSONRPCRequest, JSONRPCResponse

from qwen_code.mcp.repair import repaired

_Streams = tuple[Any, Any]


@asynccontextmanager
async def tolerant(
    transport: AbstractAsyncContextManager[_Streams], left_out: Callable[[str], None]
) -> AsyncIterator[_Streams]:
    """``transport``, with its results repaired; ``left_out`` is told what of them is missing."""
    async with transport as (from_server, to_server):
        methods: dict[str, str] = {}
        yield _Reader(from_server, methods, left_out), _Writer(to_server, methods)


class _Wrapper:
    """A stream around another one."""

    def __init__(self, stream: Any, methods: dict[str, str]) -> None:
        self._stream = stream
        self._methods = methods
        """The methods of the requests that wait for an answer, by their ids."""

    @property
    def last_context(self) -> Any:
        return getattr(self._stream, "last_context", None)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def __aenter__(self) -> Self:
        await self._stream.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> Any:
        return await self._stream.__aexit__(*error)


class _Writer(_Wrapper):
    async def send(self, item: SessionMessage) -> None:
        if isinstance(item.message, JSONRPCRequest):
            self._methods[str(item.message.id)] = item.message.method
        await self._stream.send(item)


class _Reader(_Wrapper):
    def __init__(
        self, stream: Any, methods: dict[str, str], left_out: Callable[[str], None]
    ) -> None:
        super().__init__(stream, methods)
        self._left_out = left_out

    async def receive(self) -> Any:
        return self._repaired(await self._stream.receive())

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        return self._repaired(await self._stream.__anext__())

    def _repaired(self, item: Any) -> Any:
        if not isinstance(item, SessionMessage):
            return item
        message = item.message
        if not isinstance(message, JSONRPCResponse | JSONRPCError):
            return item
        method = self._methods.pop(str(message.id), None)
        if method is not None and isinstance(message, JSONRPCResponse):
            better = repaired(method, message.result)
            message.result = better.result
            for name in better.left_out:
                self._left_out(name)
        return item
