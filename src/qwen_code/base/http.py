"""The one HTTP layer: proxy, certificates, time limits, streaming, cancel, readable errors.

The engine is ``pyreqwest`` (Rust ``reqwest``), chosen by measurement: ``engine`` builds one,
``http_errors`` says what its errors mean, and nothing else knows it.
Its calls cannot be interrupted from Python, so each request runs on a thread of its own that
hands over what arrives, and whoever waits can be interrupted, time out, and give up.

Redirects are never followed: a credential must not travel to an address that nobody chose.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Mapping
from contextlib import closing
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Protocol

import msgspec

from qwen_code.base.errors import TransportError
from qwen_code.base.log import debug
from qwen_code.base.stop import Stop, Stopped
from qwen_code.base.url import Origin

if TYPE_CHECKING:
    from pyreqwest.client import SyncClient

_SENSITIVE = ("authorization", "api-key")

_MAX_WAITING_CHUNKS = 4096
"""How far the network may run ahead of whoever reads, before it is held back."""


class Setting(msgspec.Struct, frozen=True):
    """A value and what to blame for it: a variable or a settings key, with its place."""

    value: str
    blame: str


class ProxySetting(msgspec.Struct, frozen=True):
    """A proxy URL (http, https, socks5, socks5h; may carry a password) and what set it."""

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
    """How this machine reaches others. Built from the user's own settings, never a project's."""

    http_proxy: ProxySetting | None = None
    https_proxy: ProxySetting | None = None
    no_proxy: str = ""
    ca_file: Setting | None = None
    """Replaces the system's certificates (``SSL_CERT_FILE``); the engine reads it by itself."""
    extra_ca_file: Setting | None = None
    """PEM certificates trusted beside the others."""
    client_cert: Setting | None = None
    """PEM with the client's certificate chain; its key may be in the same file."""
    client_key: Setting | None = None

    def proxy_for(self, origin: Origin) -> ProxySetting | None:
        """The proxy towards ``origin``; never one for this machine itself."""
        if origin.is_loopback:
            return None
        return self.https_proxy if origin.scheme == "https" else self.http_proxy


class Timeouts(msgspec.Struct, frozen=True):
    """Three limits, in seconds: to connect, to the first byte of the answer, between two pieces."""

    connect_s: float = 10.0
    first_byte_s: float = 300.0
    idle_s: float = 120.0


class Request(msgspec.Struct, frozen=True):
    """One request, replayable byte for byte. Header names are lower case."""

    method: str
    url: str
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    body: bytes = b""

    def with_headers(self, more: Mapping[str, str]) -> Request:
        """This request with ``more`` headers, which win over its own."""
        return msgspec.structs.replace(self, headers={**self.headers, **more})

    def __repr__(self) -> str:
        return f"Request({self.method} {self.url}, {len(self.body)} bytes)"


class Sender(Protocol):
    """As much of an :class:`HttpClient` as an exchange without a credential needs."""

    def send(self, request: Request) -> Response:
        """The head of the answer."""


class AuthFlow(Protocol):
    """Whatever signs a request: yields it signed, is sent the answer, may yield it once more."""

    def auth_flow(self, request: Request, stop: Stop) -> Generator[Request, Response, None]: ...


class Response:
    """An answer whose body arrives while it is read. Close it, or read it to the end."""

    def __init__(self, status: int, headers: Mapping[str, str], exchange: _Exchange) -> None:
        self.status = status
        self.headers = headers
        self._exchange = exchange

    def read_chunk(self) -> bytes | None:
        """The next piece of the body as it came, or ``None`` at its end.

        Raises:
            TransportError: nothing came for ``Timeouts.idle_s``, or the connection broke.
            Stopped: the turn was stopped.
        """
        return self._exchange.next_chunk()

    def read(self, limit_bytes: int = 4 << 20, *, within_s: float | None = None) -> bytes:
        """The rest of the body, cut at ``limit_bytes``.

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
        """Let go of the connection; what was not read is dropped. May be called again."""
        self._exchange.close()


class HttpClient:
    """Sends requests. One lives as long as the session; connections are kept alive in it.

    A kept connection that the server has let go of costs one silent repeat of the request. Where
    a request must never go out twice by itself, ``keep_alive=False`` opens a new one for each.
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
        """The head of the answer, once it is there; its body follows through the `Response`.

        ``stop`` ends every wait for this answer, those for its body included.

        Raises:
            TransportError: no connection or no answer in time; ``hint`` names what to look at.
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
                debug("stale", url=request.url)  # the server had let go of the idle connection
        if response is None:
            from qwen_code.base.engine import build_engine

            address = self._addresses.get(origin.host)
            connect_s = self._timeouts.connect_s
            engine = build_engine(origin, self._network, self._user_agent, connect_s, address)
            response = self._exchange(engine, idle, origin, stop).start(request)
        debug("response", status=response.status, url=request.url)
        return response

    def _exchange(
        self, engine: SyncClient, idle: list[SyncClient] | None, origin: Origin, stop: Stop
    ) -> _Exchange:
        return _Exchange(engine, idle, origin, self._network, self._timeouts, stop)


class _Exchange:
    """One request and its answer: the thread that talks, and the inbox that waits."""

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
        thread = threading.Thread(target=self._talk, args=(request,), daemon=True)
        thread.start()
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
            self._stop.check()  # what arrived before it is of no use any more
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
            from qwen_code.base.http_errors import explained  # most requests are answered

            raise explained(item, self._origin, self._network) from None
        return item

    def _talk(self, request: Request) -> None:
        """Runs on the thread; everything it learns goes into the inbox."""
        put = self._inbox.put
        try:
            builder = self._engine.request(request.method, request.url).body_bytes(request.body)
            for name, value in request.headers.items():
                builder = builder.header(name, value, is_sensitive=name in _SENSITIVE)
            # Without this the engine holds the head back until it has 64 KiB of the body.
            with builder.streamed_read_buffer_limit(0).build_streamed() as answer:
                headers = {name.lower(): value for name, value in answer.headers.items()}
                put(Response(answer.status, headers, self))
                read = answer.body_reader.read_chunk
                while (chunk := read()) is not None:
                    put(bytes(chunk))
                    while self._inbox.qsize() > _MAX_WAITING_CHUNKS and not self._closed.wait(
                        0.005
                    ):
                        pass
                    if self._closed.is_set():
                        return
            put(None)
        except BaseException as error:
            put(error)
