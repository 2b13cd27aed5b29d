"""Servers that live in the program which drives this one. Their messages travel as requests to it,
one for each message, and the answer of a request is the server's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
from mcp.shared.message import SessionMessage
from mcp.types import JSONRPCRequest, jsonrpc_message_adapter

from qwen_code.base.errors import QwenError

Exchange = Callable[[str, Mapping[str, Any]], "Future[Mapping[str, Any]]"]
"""Hands a message to the server of that name; the result is the message that it answers with.
Cancel the future to give up. It fails with a `QwenError`."""

_INTERNAL_ERROR = -32603


@asynccontextmanager
async def embedded(name: str, exchange: Exchange) -> AsyncIterator[tuple[Any, Any]]:
    """The transport to the server ``name``."""
    to_session, from_server = anyio.create_memory_object_stream[Any](16)
    to_server, from_session = anyio.create_memory_object_stream[Any](16)

    async def deliver(message: Any) -> None:
        data = message.model_dump(mode="json", by_alias=True, exclude_unset=True)
        try:
            answer = await asyncio.wrap_future(exchange(name, data))
        except QwenError as error:
            answer = _failure(data, error)
        if isinstance(message, JSONRPCRequest):
            await to_session.send(_received(answer, data))

    async def pass_on() -> None:
        async with asyncio.TaskGroup() as group:
            async for item in from_session:
                group.create_task(deliver(item.message))

    passing = asyncio.create_task(pass_on())
    try:
        yield from_server, to_server
    finally:
        passing.cancel()
        with suppress(BaseExceptionGroup):
            await asyncio.gather(passing, return_exceptions=True)
        for stream in (to_session, from_server, to_server, from_session):
            stream.close()


def _received(answer: Mapping[str, Any], request: Mapping[str, Any]) -> SessionMessage:
    try:
        message = jsonrpc_message_adapter.validate_python(answer, by_name=False)
        is_answer = answer.get("id") == request["id"]
    except (ValueError, AttributeError):
        is_answer = False
    if not is_answer:
        failure = _failure(request, QwenError("its answer is not a message of the protocol"))
        message = jsonrpc_message_adapter.validate_python(failure, by_name=False)
    return SessionMessage(message)


def _failure(request: Mapping[str, Any], error: QwenError) -> dict[str, Any]:
    said = {"code": _INTERNAL_ERROR, "message": error.message}
    return {"jsonrpc": "2.0", "id": request.get("id"), "error": said}
