"""The only HTTP layer: proxies, certificates, timeouts, streaming, cancellation, readable errors.

The engine is ``pyreqwest`` (Rust ``reqwest``), chosen by measurement; no other module imports it.
Its calls cannot be interrupted from Python. Each request therefore runs on a separate thread that
passes on what arrives, while the caller can be interrupted or time out.

Redirects are never followed: a credential must not go to an address that the user did not choose.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Mapping
from contextlib import closing
from datetime import timedelta
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Protocol

import msgspec

from qwen_code.base.certificates import with_certificates
from qwen_code.base.errors import ConfigError, TransportError
from qwen_code.base.log import debug
from qwen_code.base.stop import Stop, Stopped
from qwen_code.base.url import Origin

if TYPE_CHECKING:
    from pyreqwest.client import SyncClient

_SENSITIVE = ("authorization", "api-key")

_MAX_WAITING_CHUNKS = 4096
"""How many chunks are read from the network before the caller has taken them."""


class Setting(msgspec.Struct, frozen=True):
    """A value, and the variable or settings key that it comes from, with its file and line."""

    value: str
    blame: str


class ProxySetting(msgspec.Struct, frozen=True):
    """A proxy URL (http, https, socks5, socks5h; it may contain a password) and its origin."""

    url: str
    blame: str

    def __repr__(self) -> str:
        return f"ProxySetting({self.shown}, {self.blame})"

    @property
    def shown(self) -> str:
        """The URL without its user name and password."""
        scheme, separator, rest = self.url.partition("://")
        return f"{scheme}{separator}{rest.rpartition('@')[2]}"


class Network(msgspec.Struct, frozen=True):
    """How this machine reaches others. From the user's own settings, never from a project's."""

    http_proxy: ProxySetting | None = None
    https_proxy: ProxySetting | None = None
    no_proxy: str = ""
    ca_file: Setting | None = None
    """Replaces the system's certificates (``SSL_CERT_FILE``). The engine reads this variable."""
    extra_ca_file: Setting | None = None
    """PEM certificates that are trusted in addition."""
    client_cert: Setting | None = None
    """PEM with the client's certificate chain, and its key unless ``client_key`` has it."""
    client_key: Setting | None = None

    def proxy_for(self, origin: Origin) -> ProxySetting | None:
        """The proxy for ``origin``; none if that is on this machine."""
        if origin.is_loopback:
            return None
        return self.https_proxy if origin.scheme == "https" else self.http_proxy


class Timeouts(msgspec.Struct, frozen=True):
    """Limits in seconds: to connect, to the first byte of the answer, between two chunks."""

    connect_s: float = 10.0
    first_byte_s: float = 300.0
    idle_s: float = 120.0


class Request(msgspec.Struct, frozen=True):
    """One request, which can be sent again byte for byte. Header names are in lower case."""

    method: str
    url: str
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    body: bytes = b""

    def with_headers(self, more: Mapping[str, str]) -> Request:
        """This request with ``more`` headers, which replace those of the same name."""
        return msgspec.structs.replace(self, headers={**self.headers, **more})

    def __repr__(self) -> str:
        return f"Request({self.method} {self.url}, {len(self.body)} bytes)"


class Sender(Protocol):
    """The part of :class:`HttpClient` that requests without a credential need."""

    def send(self, request: Request) -> Response:
        """The head of the answer."""


class AuthFlow(Protocol):
    """Signs requests: yields one signed, is sent the answer, and may yield it once more."""

    def auth_flow(self, request: Request, stop: Stop) -> Generator[Request, Response, None]: ...


class Response:
    """An answer whose body arrives as it is read. Close it, or read it to the end."""

    def __init__(self, status: int, headers: Mapping[str, str], exchange: _Exchange) -> None:
        self.status = status
        self.headers = headers
        self._exchange = exchange

    def read_chunk(self) -> bytes | None:
        """The next chunk of the body, or ``None`` at its end.

        Raises:
            TransportError: nothing arrived for ``Timeouts.idle_s``, or the connection broke.
            Stopped: the turn was stopped.
        """
        return self._exchange.next_chunk()

    def read(self, limit_bytes: int = 4 << 20, *, within_s: float | None = None) -> bytes:
        """The rest of the body, truncated to ``limit_bytes``.

        Raises:
            TransportError: as for :meth:`read_chunk`, or it took longer than ``within_s`` in all.
        """
        body = bytearray()
        deadline = None if within_s is None else time.monotonic() + within_s
        while len(body) < limit_bytes and (chunk := self.read_chunk()) is not None:
            body += chunk
            if deadline is not None and time.monotonic() > deadline:
                self.close()
                raise TransportError(
                    f"the answer was not complete after {within_s:.0f} s",
                    code="timeout",
                    retryable=True,
                )
        self.close()
        return bytes(body[:limit_bytes])

    def close(self) -> None:
        """Close the connection and discard what was not read. Can be called more than once."""
        self._exchange.close()


class HttpClient:
    """Sends requests, and keeps connections alive between them.

    If the server has closed a kept connection, the request is sent again on a new one, without
    notice. For requests that must never be sent twice, ``keep_alive=False`` opens a new connection
    for each.
    """

    def __init__(
        self,
        network: Network,
        *,
        user_agent: str,
        timeouts: Timeouts | None = None,
        keep_alive: bool = True,
        addresses: Mapping[str, str] | None = None,
    ) -> None:
        self._keep_alive = keep_alive
        self._addresses = addresses or {}
        self._network = network
        self._user_agent = user_agent
        self._timeouts = timeouts or Timeouts()
        self._idle: dict[Origin, list[SyncClient]] = {}

    def send(
        self, request: Request, auth: AuthFlow | None = None, *, stop: Stop | None = None
    ) -> Response:
        """The answer, as soon as its head has arrived.

        ``stop`` also ends the waits for its body.

        Raises:
            TransportError: no connection, or no answer in time.
            ConfigError: a certificate file or proxy address cannot be used.
            Stopped: the turn was stopped.
        """
        stop = stop or Stop()
        if auth is None:
            return self._send_once(request, stop)
        with closing(auth.auth_flow(request, stop)) as flow:
            signed = next(flow)
            while True:
                response = self._send_once(signed, stop)
                try:
                    signed = flow.send(response)
                except StopIteration:
                    return response
                except BaseException:
                    response.close()
                    raise
                response.close()

    def _send_once(self, request: Request, stop: Stop) -> Response:
        origin = Origin.of(request.url)
        idle = self._idle.setdefault(origin, []) if self._keep_alive else None
        debug("request", method=request.method, url=request.url, body_bytes=len(request.body))
        response = None
        if idle:
            try:
                response = self._exchange(idle.pop(), idle, origin, stop).start(request)
            except TransportError as error:
                if error.code != "cut":
                    raise
                debug("stale", url=request.url)  # the server had closed the idle connection
        if response is None:
            engine = self._build_engine(origin)
            response = self._exchange(engine, idle, origin, stop).start(request)
        debug("response", status=response.status, url=request.url)
        return response

    def _exchange(
        self, engine: SyncClient, idle: list[SyncClient] | None, origin: Origin, stop: Stop
    ) -> _Exchange:
        return _Exchange(engine, idle, origin, self._network, self._timeouts, stop)

    def _build_engine(self, origin: Origin) -> SyncClient:
        from pyreqwest.client import SyncClientBuilder
        from pyreqwest.proxy import ProxyBuilder

        builder = (
            SyncClientBuilder()
            .no_proxy()
            .follow_redirects(False)
            .referer(False)
            .gzip(False)
            .brotli(False)
            .zstd(False)
            .deflate(False)
            .user_agent(self._user_agent)
            .connect_timeout(timedelta(seconds=self._timeouts.connect_s))
        )
        if proxy := self._network.proxy_for(origin):
            try:
                builder = builder.proxy(
                    ProxyBuilder.all(proxy.url).no_proxy(self._network.no_proxy)
                )
            except ValueError as error:
                raise ConfigError(
                    f"{proxy.blame} is not a proxy address: {proxy.shown}",
                    hint="Write it as http://host:port or socks5h://host:port.",
                ) from error
        if address := self._addresses.get(origin.host):
            builder = builder.resolve(origin.host, address, origin.port)
        if origin.scheme == "https":
            builder = with_certificates(builder, self._network)
        return builder.build()


class _Exchange:
    """One request and its answer: a thread that sends and receives, and a queue to the caller."""

    def __init__(
        self,
        engine: SyncClient,
        idle: list[SyncClient] | None,
        origin: Origin,
        network: Network,
        timeouts: Timeouts,
        stop: Stop,
    ) -> None:
        self._engine = engine
        self._stop = stop
        self._idle = idle
        self._origin = origin
        self._network = network
        self._timeouts = timeouts
        self._inbox: SimpleQueue[Response | bytes | BaseException | None] = SimpleQueue()
        self._forget = stop.listen(lambda: self._inbox.put(Stopped()))
        self._closed = threading.Event()
        self._ended = False

    def start(self, request: Request) -> Response:
        threading.Thread(target=self._talk, args=(request,), daemon=True).start()
        limit = self._timeouts.connect_s + self._timeouts.first_byte_s
        head = self._take(limit, f"did not answer within {self._timeouts.first_byte_s:.0f} s")
        assert isinstance(head, Response)
        return head

    def next_chunk(self) -> bytes | None:
        if self._ended:
            return None
        limit = self._timeouts.idle_s
        chunk = self._take(limit, f"sent nothing for {limit:.0f} s")
        if chunk is None:
            if self._idle is None:
                self.close()
            else:
                self._ended = True
                self._forget()
                self._idle.append(self._engine)
            return None
        assert isinstance(chunk, bytes)
        return chunk

    def close(self) -> None:
        if not self._ended:
            self._ended = True
            self._forget()
            self._closed.set()
            self._engine.close()

    def _take(self, limit_s: float, complaint: str) -> Response | bytes | None:
        try:
            self._stop.check()  # even if something has arrived already
            item = self._inbox.get(timeout=limit_s)
        except Empty:
            self.close()
            raise TransportError(
                f"{self._origin} {complaint}",
                hint="The server may be overloaded. Try again.",
                code="timeout",
                retryable=True,
            ) from None
        except BaseException:
            self.close()
            raise
        if isinstance(item, BaseException):
            self.close()
            raise self._explained(item) from None
        return item

    def _talk(self, request: Request) -> None:
        """Send and receive, on the thread; every result and error goes into the inbox."""
        put = self._inbox.put
        try:
            builder = self._engine.request(request.method, request.url).body_bytes(request.body)
            for name, value in request.headers.items():
                builder = builder.header(name, value, is_sensitive=name in _SENSITIVE)
            # Without this, the engine delivers the head only after 64 KiB of the body.
            with builder.streamed_read_buffer_limit(0).build_streamed() as answer:
                headers = {name.lower(): value for name, value in answer.headers.items()}
                put(Response(answer.status, headers, self))
                read = answer.body_reader.read_chunk
                while (chunk := read()) is not None:
                    put(bytes(chunk))
                    while self._inbox.qsize() > _MAX_WAITING_CHUNKS:
                        if self._closed.wait(0.005):
                            return
                    if self._closed.is_set():
                        return
            put(None)
        except BaseException as error:
            put(error)

    def _explained(self, error: BaseException) -> BaseException:
        from pyreqwest.exceptions import ConnectError, ConnectTimeoutError, PyreqwestError

        if not isinstance(error, PyreqwestError):
            return error
        details = getattr(error, "details", None) or {}
        causes = [cause["message"] for cause in details.get("causes") or []]
        reason = causes[-1] if causes else str(error)
        proxy = self._network.proxy_for(self._origin)
        connecting = isinstance(error, ConnectError | ConnectTimeoutError)
        if any("(SendRequest)" in cause for cause in causes):
            connecting = False  # the connection broke after it was made
        if any("certificate" in cause.lower() for cause in causes):
            ca = self._network.ca_file or self._network.extra_ca_file
            where = f" {ca.blame} is {ca.value}." if ca else ""
            return TransportError(
                f"the certificate of {self._origin} was not accepted: {reason}",
                hint=f"Behind a company proxy, set SSL_CERT_FILE to its certificate (PEM).{where}",
                code="certificate",
            )
        if proxy and connecting:
            return TransportError(
                f"cannot reach {self._origin} through the proxy {proxy.shown}: {reason}",
                hint=f"The proxy is set by {proxy.blame}. Fix it, or add the host to NO_PROXY.",
                code="proxy",
                retryable=True,
            )
        if connecting:
            return TransportError(
                f"cannot connect to {self._origin}: {reason}",
                hint="Check the network and the address (qwen auth explain shows where it is set).",
                code="connect",
                retryable=True,
            )
        return TransportError(
            f"the connection to {self._origin} broke: {reason}", code="cut", retryable=True
        )
