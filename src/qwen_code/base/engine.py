"""An HTTP engine for one origin: its proxy, its certificates, and its address.

It is ``pyreqwest`` (Rust ``reqwest``), chosen by measurement; for a plain origin in the same
network `plain_engine`, which is faster for many small chunks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from qwen_code.base.errors import ConfigError
from qwen_code.base.url import Origin

if TYPE_CHECKING:
    from pyreqwest.client import SyncClient
    from pyreqwest.response import SyncResponse

    from qwen_code.base.http import Network, Request

_SENSITIVE = ("authorization", "api-key")


class Answer(Protocol):
    """The head of an answer, and its body."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]:
        """With names in lower case."""

    def read_chunk(self) -> bytes | None:
        """The next part of the body, ``None`` at its end."""


class Engine(Protocol):
    """Sends requests to one origin, one after the other."""

    @property
    def is_reusable(self) -> bool:
        """Whether another request can follow the one whose answer was read to its end."""

    def exchange(self, request: Request) -> AbstractContextManager[Answer]:
        """Send a request; the answer's head has arrived when this enters."""

    def close(self) -> None:
        """End what is going on, from any thread."""


def build_engine(
    origin: Origin, network: Network, user_agent: str, connect_s: float, address: str | None
) -> Engine:
    """An engine for ``origin``.

    ``address`` is used instead of resolving the host name, if it is given. ``connect_s`` is the
    timeout of a connection, in seconds.

    Raises:
        ConfigError: a proxy address or certificate file cannot be used.
    """
    proxy = network.proxy_for(origin)
    if origin.scheme == "http" and proxy is None:
        from qwen_code.base.plain_engine import PlainEngine  # most origins are not plain

        return PlainEngine(origin, user_agent, connect_s, address)
    from pyreqwest.client import SyncClientBuilder
    from pyreqwest.proxy import ProxyBuilder

    from qwen_code.base.certificates import with_certificates

    builder = (
        SyncClientBuilder()
        .no_proxy()
        .follow_redirects(False)
        .referer(False)
        .gzip(False)
        .brotli(False)
        .zstd(False)
        .deflate(False)
        .user_agent(user_agent)
        .connect_timeout(timedelta(seconds=connect_s))
    )
    if proxy:
        try:
            builder = builder.proxy(ProxyBuilder.all(proxy.url))
        except ValueError as error:
            raise ConfigError(
                f"{proxy.blame} is not a proxy address: {proxy.shown}",
                hint="Write it as http://host:port or socks5h://host:port.",
            ) from error
    if address:
        builder = builder.resolve(origin.host, address, origin.port)
    # The connection to a proxy can be encrypted, too.
    return _Reqwest(with_certificates(builder, network).build())


class _Reqwest:
    """``pyreqwest``, which has its own pool of connections."""

    is_reusable = True

    def __init__(self, client: SyncClient) -> None:
        self._client = client

    @contextmanager
    def exchange(self, request: Request) -> Iterator[Answer]:
        builder = self._client.request(request.method, request.url).body_bytes(request.body)
        for name, value in request.headers.items():
            builder = builder.header(name, value, is_sensitive=name in _SENSITIVE)
        # Without this the engine holds the head back until it has 64 KiB of the body.
        with builder.streamed_read_buffer_limit(0).build_streamed() as answer:
            yield _ReqwestAnswer(answer)

    def close(self) -> None:
        self._client.close()


class _ReqwestAnswer:
    def __init__(self, answer: SyncResponse) -> None:
        self.status = answer.status
        self.headers: dict[str, str] = {}
        for raw, value in answer.headers.items():  # a header can occur again (RFC 9110 §5.3)
            name = raw.lower()
            before = self.headers.get(name)
            self.headers[name] = value if before is None else f"{before}, {value}"
        self._read = answer.body_reader.read_chunk

    def read_chunk(self) -> bytes | None:
        chunk = self._read()
        return None if chunk is None else bytes(chunk)
