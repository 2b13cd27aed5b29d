"""The HTTP client and the credential for a remote server."""

from __future__ import annotations

import asyncio
import shlex
import ssl
from collections.abc import AsyncGenerator, AsyncIterator

import httpx2

from qwen_code.base.errors import QwenError
from qwen_code.base.http import Network
from qwen_code.base.url import Origin
from qwen_code.mcp.context import Refusal, TokenFor
from qwen_code.mcp.servers import ServerSpec

_MAX_TRIES = 3
"""Of one request, if each time there is another token."""

_OWN_HEADER_REFUSED = "it refuses the Authorization header in its entry"
_CONNECT_S = 10.0
_READ_S = 300.0
_MAX_BODY_BYTES = 64 << 20


class RemoteAuth(httpx2.Auth):
    """Signs requests with the token of a stored sign-in; a refused token is replaced once.

    ``refusal`` is why the last message was refused and what the user can do, else ``None``.
    """

    def __init__(self, spec: ServerSpec, token_for: TokenFor) -> None:
        self._spec = spec
        self._token_for = token_for
        self.refusal: str | None = None

    async def async_auth_flow(
        self, request: httpx2.Request
    ) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        if "authorization" in request.headers:  # the user's settings have a header
            response = yield request
            is_refused = response.status_code == 401
            self._note(request, _OWN_HEADER_REFUSED if is_refused else None)
            return
        token = await asyncio.to_thread(self._token_for, self._spec, None)
        reason: str | None = None
        for attempt in range(_MAX_TRIES):
            if token:
                request.headers["Authorization"] = f"Bearer {token}"
            response = yield request
            status = response.status_code
            if status not in (401, 403):
                reason = None
                break
            name = shlex.quote(self._spec.name)
            reason = f"it requires a sign-in; run: qwen mcp login {name}"
            if status == 401 and attempt > 0:
                break
            challenge = response.headers.get("www-authenticate", "")
            fresh, reason = await self._another(Refusal(token, status, challenge), reason)
            if fresh is None or fresh == token:
                break
            token = fresh
        self._note(request, reason)

    async def _another(self, refusal: Refusal, reason: str) -> tuple[str | None, str | None]:
        """Another token, and why the request is refused if that one is as well. A 403 without an
        explanation is not about the sign-in."""
        try:
            token = await asyncio.to_thread(self._token_for, self._spec, refusal)
        except QwenError as error:
            return None, f"{error.message}. {error.hint}" if error.hint else error.message
        return token, reason if refusal.status == 401 else None

    def _note(self, request: httpx2.Request, refusal: str | None) -> None:
        """Only a message counts (POST): the stream of events is optional."""
        if request.method == "POST":
            self.refusal = refusal


def make_http_client(
    spec: ServerSpec, network: Network, auth: RemoteAuth, user_agent: str
) -> httpx2.AsyncClient:
    """A client that uses the proxies and certificates of the user.

    Raises:
        OSError: a certificate file cannot be read.
    """
    assert spec.url is not None
    proxy = network.proxy_for(Origin.of(spec.url))
    return httpx2.AsyncClient(
        headers={"User-Agent": user_agent, "Accept-Encoding": "identity", **spec.headers},
        auth=auth,
        timeout=httpx2.Timeout(_CONNECT_S, read=_READ_S),
        proxy=None if proxy is None else proxy.url,
        verify=_certificates(network),
        trust_env=False,
        follow_redirects=False,
        event_hooks={"response": [_bound]},
    )


async def _bound(response: httpx2.Response) -> None:
    """Let no server fill the memory: neither by a body without end, nor by a packed one.

    Raises:
        httpx2.DecodingError: it is packed, which was not asked for.
    """
    encoding = response.headers.get("content-encoding", "identity").lower()
    if encoding != "identity":
        await response.aclose()
        raise httpx2.DecodingError(f"the server used the encoding {encoding}, which is refused")
    is_stream = "text/event-stream" in response.headers.get("content-type", "")
    if not is_stream and isinstance(response.stream, httpx2.AsyncByteStream):
        response.stream = _BoundedStream(response.stream)


class _BoundedStream(httpx2.AsyncByteStream):
    """The body of a response, of at most `_MAX_BODY_BYTES`."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        count = 0
        async for data in self._stream:
            count += len(data)
            if count > _MAX_BODY_BYTES:
                raise httpx2.ReadError(f"the server sent more than {_MAX_BODY_BYTES >> 20} MiB")
            yield data

    async def aclose(self) -> None:
        await self._stream.aclose()


def _certificates(network: Network) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=network.ca_file.value if network.ca_file else None)
    if network.extra_ca_file:
        context.load_verify_locations(network.extra_ca_file.value)
    if network.client_cert:
        key = network.client_key.value if network.client_key else None
        context.load_cert_chain(network.client_cert.value, key)
    return context
