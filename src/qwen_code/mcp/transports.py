"""How a server is reached: as a process, over streamable HTTP, or over the older HTTP with SSE."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

import httpx2
from mcp.client.sse import sse_client
from mcp.client.streamable_http import MCP_SESSION_ID, streamable_http_client

from qwen_code.mcp.remote import RemoteAuth, make_http_client
from qwen_code.mcp.servers import ServerSpec

_MAX_EVENT_BYTES = 64 << 20
_MAX_REASON_BYTES = 2000
_NO_SUCH_TRANSPORT = (400, 404, 405, 406, 415)
"""What a server that only speaks the older transport answers to a POST (specification 2025-11-25,
basic/transports, "Backwards Compatibility")."""

Transport = AbstractAsyncContextManager[tuple[Any, Any]]


class HttpWatch:
    """What the HTTP answers of a server say beyond their messages."""

    def __init__(self) -> None:
        self.is_session_lost = asyncio.Event()
        """The server has forgotten the session, and has executed nothing of the last request."""
        self.refusal = ""
        """The last answer that was an error."""
        self._has_answered = False
        self._statuses: list[int] = []

    @property
    def speaks_other_transport(self) -> bool:
        """Whether all answers so far mean that there is no streamable HTTP at that address."""
        known = all(status in _NO_SUCH_TRANSPORT for status in self._statuses)
        return bool(self._statuses) and known and not self._has_answered

    async def note(self, response: httpx2.Response) -> None:
        """Take up an answer; the hook of an HTTP client."""
        status = response.status_code
        if status < 400:
            self._has_answered = self._has_answered or status < 300
            return
        self._statuses.append(status)
        body = await _beginning(response)
        self.refusal = f"it answered {status}{f' ({body})' if body else ''}"
        if MCP_SESSION_ID in response.request.headers and (
            status == 404 or (status == 400 and "session" in body.lower())
        ):
            self.is_session_lost.set()


def streamable(http: httpx2.AsyncClient, spec: ServerSpec) -> Transport:
    """The transport of today. ``http`` stays open."""
    assert spec.url is not None
    return streamable_http_client(spec.url, http_client=http, max_sse_event_size=_MAX_EVENT_BYTES)


@asynccontextmanager
async def over_sse(http: httpx2.AsyncClient, spec: ServerSpec) -> AsyncIterator[tuple[Any, Any]]:
    """The transport of 2024-11-05. It closes ``http``."""
    assert spec.url is not None

    def client(
        headers: dict[str, str] | None = None,  # noqa: ARG001 required by the package
        timeout: httpx2.Timeout | None = None,  # noqa: ARG001 likewise
        auth: httpx2.Auth | None = None,  # noqa: ARG001 likewise
    ) -> httpx2.AsyncClient:
        return http

    async with sse_client(spec.url, httpx_client_factory=client) as streams:
        yield streams


async def open_http(
    spec: ServerSpec, stack: AsyncExitStack, auth: RemoteAuth, watch: HttpWatch, **settings: Any
) -> httpx2.AsyncClient:
    """A client for the server at ``spec.url``, which ``stack`` closes.

    Raises:
        OSError: a certificate file cannot be read.
    """
    http = make_http_client(spec, auth=auth, **settings)
    http.event_hooks["response"].append(watch.note)
    stack.push_async_callback(http.aclose)
    return http


async def _beginning(response: httpx2.Response) -> str:
    """The first words of an error's body, on one line."""
    kind = response.headers.get("content-type", "")
    if "html" in kind or "event-stream" in kind:
        return ""
    try:
        data = await response.aread()
    except httpx2.HTTPError:
        return ""
    return " ".join(data[:_MAX_REASON_BYTES].decode("utf-8", "replace").split())[:200]
