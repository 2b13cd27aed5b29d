"""What a remote server sends is bounded."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from importlib.util import find_spec

import pytest

if find_spec("httpx2") is None:
    pytest.skip("needs the extra mcp", allow_module_level=True)

import httpx2

from qwen_code.base.http import Network, ProxySetting
from qwen_code.mcp import remote
from qwen_code.mcp.servers import ServerSpec


class Body(httpx2.AsyncByteStream):
    def __init__(self, size: int) -> None:
        self._left = size

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self._left > 0:
            self._left -= 1 << 20
            yield b"x" * (1 << 20)


def read(response: httpx2.Response) -> bytes:
    async def get() -> bytes:
        transport = httpx2.MockTransport(lambda _: response)
        hooks = {"response": [remote._bound]}
        async with httpx2.AsyncClient(transport=transport, event_hooks=hooks) as client:
            return (await client.get("http://127.0.0.1/")).content

    return asyncio.run(get())


def test_a_packed_body_is_refused() -> None:
    bomb = gzip.compress(b"\0" * 10_000_000)
    with pytest.raises(httpx2.DecodingError, match="gzip, which is refused"):
        read(httpx2.Response(200, headers={"content-encoding": "gzip"}, content=bomb))


def test_a_body_without_end() -> None:
    with pytest.raises(httpx2.ReadError, match="more than 64 MiB"):
        read(httpx2.Response(200, stream=Body(100 << 20)))
    assert len(read(httpx2.Response(200, stream=Body(3 << 20)))) == 3 << 20


def test_a_stream_of_events_may_be_long() -> None:
    headers = {"content-type": "text/event-stream"}
    assert len(read(httpx2.Response(200, headers=headers, stream=Body(70 << 20)))) == 70 << 20


@pytest.mark.parametrize(
    ("no_proxy", "is_direct"),
    [
        ("*.corp.example", True),
        ("a.example m.corp.example:443", True),
        ("m.corp.example:80", False),
    ],
)
def test_the_proxy_is_for_what_is_not_listed(no_proxy: str, is_direct: bool) -> None:
    spec = ServerSpec("s", url="https://m.corp.example/mcp")
    proxy = ProxySetting("http://127.0.0.1:9", "HTTPS_PROXY in the environment")
    network = Network(https_proxy=proxy, no_proxy=no_proxy)
    auth = remote.RemoteAuth(spec, lambda _, __: None)
    client = remote.make_http_client(spec, network, auth, "qwen")
    assert (client._transport_for_url(httpx2.URL(str(spec.url))) is client._transport) is is_direct
