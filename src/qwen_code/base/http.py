"""The one HTTP layer: proxy, certificates, time limits, streaming, cancellation, readable errors.

``engine`` builds what speaks HTTP to one origin, ``http_errors`` explains its errors, and nothing
else depends on either. Its calls cannot be interrupted from Python. So each request runs on a
separate thread, which puts what arrives into a queue; a wait on that queue can be interrupted and
can time out.

Redirects are never followed: a credential must not be sent to an address that the user did not
choose.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Mapping
from contextlib import closing
from queue import Empty, SimpleQueue
from typing import Protocol

import msgspec

from qwen_code.base.engine import Engine, build_engine
from qwen_code.base.errors import TransportError
from qwen_code.base.log import debug
from qwen_code.base.stop import Stop, Stopped, take
from qwen_code.base.url import Origin

_MAX_WAITING_CHUNKS = 4096
"""With this many unread chunks, the network thread pauses until some are read."""

_STALE_WITHIN_S = 2.0
"""A request on an idle connection that the server has closed fails within this time."""

_MAX_SILENT_REPEAT_S = 60.0
"""A request that took longer may have cost something, so it is not repeated silently."""


class Setting(msgspec.Struct, frozen=True):
    """A value and what set it: a variable or a settings key, with its file and line."""

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
    """Replaces the system's certificates (``SSL_CERT_FILE``); the engine reads it itself."""
    extra_ca_file: Setting | None = None
    """PEM certificates that are trusted in addition to the others."""
    client_cert: Setting | None = None
    """PEM with the client's certificate chain; its key may be in the same file."""
    client_key: Setting | None = None

    def proxy_for(self, origin: Origin) -> ProxySetting | None:
        """The proxy for ``origin``; ``None`` for this machine and what ``no_proxy`` lists."""
        proxy = self.https_proxy if origin.scheme == "https" else self.http_proxy
        if proxy is None or origin.is_loopback:
            return None
        if self.no_proxy:
            from qwen_code.base.no_proxy import bypasses_proxy  # few machines have a proxy

            if bypasses_proxy(self.no_proxy, origin):
                return None
        return proxy


class Timeouts(msgspec.Struct, frozen=True):
    """Three limits, in seconds: for connecting; until the first byte of the answer's body, which
    includes connecting and the head; and between two chunks of the body."""

    connect_s: float = 10.0
    first_byte_s: float = 90.0
    idle_s: float = 120.0


class Request(msgspec.Struct, frozen=True):
    """One request, replayable byte for byte. Header names are lower case."""

    method: str
    url: str
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    body: bytes = b""

    def with_headers(self, more: Mapping[str, str]) -> Request:
        """This request with ``more`` headers, which replace headers of the same name."""
        return msgspec.structs.replace(self, headers={**self.headers, **more})

    def __repr__(self) -> str:
        return f"Request({self.method} {self.url}, {len(self.body)} bytes)"


class Sender(Protocol):
    """The part of :class:`HttpClient` that is needed for requests without a credential."""

    def send(self, request: Request) -> Response:
        """The head of the answer."""


class AuthFlow(Protocol):
    """Signs requests. The generator yields the signed request, receives the answer, and can yield
    the request once more."""

    def auth_flow(self, request: Request, stop: Stop) -> Generator[Request, Response, None]: ...


class Response:
    """An answer whose body arrives while it is read. Close it, or read it to the end."""

    def __init__(self, status: int, headers: Mapping[str, str], exchange: _Exchange) -> None:
        self.status = status
        self.headers = headers
        self._exchange = exchange

    def read_chunk(self, within_s: float | None = None) -> bytes | None:
        """The next chunk of the body, or ``None`` at its end.

        Raises:
            TransportError: the connection broke, or nothing arrived within the limit: that of
                ``Timeouts``, or ``within_s`` if that is shorter.
            Stopped: the turn was stopped.
        """
        return self._exchange.next_chunk(within_s)

    def read(self, limit_bytes: int = 4 << 20, *, within_s: float | None = None) -> bytes:
        """The rest of the body, cut at ``limit_bytes``.

        Raises:
            TransportError: as for :meth:`read_chunk`, or it took longer than ``within_s`` in total.
        """
        body = bytearray()
        deadline = None if within_s is None else time.monotonic() + within_s
        left_s = within_s
        while len(body) < limit_bytes:
            try:
                chunk = self.read_chunk(left_s)
            except TransportError as error:
                if error.code != "timeout" or deadline is None or time.monotonic() < deadline:
                    raise
                raise TransportError(
                    f"the answer was not complete after {within_s:g} s",
                    code="timeout",
                    retryable=True,
                ) from None
            if chunk is None:
                break
            body += chunk
            left_s = None if deadline is None else deadline - time.monotonic()
        self.close()
        return bytes(body[:limit_bytes])

    def close(self) -> None:
        """Close the connection; unread data is discarded. Can be called again."""
        self._exchange.close()


class HttpClient:
    """Sends requests. There is one for the whole session, and it keeps connections alive.

    If the server has closed a kept connection, the request is silently repeated once. For requests
    that must never be repeated, ``keep_alive=False`` opens a new connection each time.
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
        self.timeouts = timeouts or Timeouts()
        self._idle: dict[Origin, list[Engine]] = {}

    def send(
        self,
        request: Request,
        auth: AuthFlow | None = None,
        *,
        stop: Stop | None = None,
        first_byte_s: float | None = None,
    ) -> Response:
        """Send the request, and return when the head of the answer has arrived.

        The body is read from the `Response`. ``stop`` ends every wait for this answer, also for its
        body. ``first_byte_s`` replaces the limit in ``Timeouts`` for this request.

        Raises:
            TransportError: no connection or no answer in time; ``hint`` names what to check.
            ConfigError: a certificate file or proxy address cannot be used.
            Stopped: the turn was stopped.
        """
        stop = stop or Stop()
        timeouts = self.timeouts
        if first_byte_s is not None:
            timeouts = msgspec.structs.replace(timeouts, first_byte_s=first_byte_s)
        if auth is None:
            return self._send_once(request, timeouts, stop)
        with closing(auth.auth_flow(request, stop)) as flow:
            signed = next(flow)
            while True:
                began = time.monotonic()
                response = self._send_once(signed, timeouts, stop)
                took_s = time.monotonic() - began
                try:
                    signed = flow.send(response)
                except StopIteration:
                    return response
                except BaseException:
                    response.close()
                    raise
                response.close()
                if took_s > _MAX_SILENT_REPEAT_S:
                    raise TransportError(
                        f"{Origin.of(request.url)} refused the credential after {took_s:.0f} s;"
                        " another one is available now",
                        hint="Try again.",
                        code="slow",
                        retryable=True,
                    )

    def _send_once(self, request: Request, timeouts: Timeouts, stop: Stop) -> Response:
        origin = Origin.of(request.url)
        idle = self._idle.setdefault(origin, []) if self._keep_alive else None
        debug("request", method=request.method, url=request.url, body_bytes=len(request.body))

        def start(engine: Engine) -> Response:
            exchange = _Exchange(engine, idle, origin, self._network, timeouts, stop)
            return exchange.start(request)

        response, began = None, time.monotonic()
        if idle:
            try:
                response = start(idle.pop())
            except TransportError as error:
                if error.code != "cut" or time.monotonic() - began > _STALE_WITHIN_S:
                    raise
                debug("stale", url=request.url)  # the server had closed the idle connection
        if response is None:
            address = self._addresses.get(origin.host)
            agent, connect_s = self._user_agent, timeouts.connect_s
            response = start(build_engine(origin, self._network, agent, connect_s, address))
        debug("response", status=response.status, url=request.url)
        return response


class _Exchange:
    """One request and its answer: a thread does the IO, and puts the results into an inbox."""

    def __init__(
        self,
        engine: Engine,
        idle: list[Engine] | None,
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
        self._first_byte_due: float | None = None
        """The deadline of the first chunk of the body; ``None`` once it has arrived."""

    def start(self, request: Request) -> Response:
        thread = threading.Thread(target=self._talk, args=(request,), daemon=True)
        limit_s = self._timeouts.first_byte_s
        self._first_byte_due = time.monotonic() + limit_s
        thread.start()
        head = self._take(limit_s)
        assert isinstance(head, Response)
        return head

    def next_chunk(self, within_s: float | None = None) -> bytes | None:
        if self._ended:
            return None
        due = self._first_byte_due
        limit_s = self._timeouts.idle_s if due is None else due - time.monotonic()
        if within_s is not None:
            limit_s = min(limit_s, within_s)
        chunk = self._take(max(0.0, limit_s))
        self._first_byte_due = None
        if chunk is None:
            if self._idle is None:
                self.close()
            else:
                self._ended = True
                self._forget()
                if self._engine.is_reusable:
                    self._idle.append(self._engine)
                else:
                    self._engine.close()
            return None
        assert isinstance(chunk, bytes)
        return chunk

    def close(self) -> None:
        if not self._ended:
            self._ended = True
            self._forget()
            self._closed.set()
            self._engine.close()

    def _take(self, limit_s: float) -> Response | bytes | None:
        try:
            self._stop.check()  # what arrived before the stop is discarded
            item = take(self._inbox, limit_s)
        except Empty:
            self.close()
            complaint = f"sent nothing for {limit_s:g} s"
            if self._first_byte_due is not None:
                complaint = f"did not answer within {self._timeouts.first_byte_s:g} s"
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
        """Run the exchange. Runs on the thread; all results and errors go into the inbox."""
        put = self._inbox.put
        try:
            with self._engine.exchange(request) as answer:
                put(Response(answer.status, answer.headers, self))
                while (chunk := answer.read_chunk()) is not None:
                    put(chunk)
                    while self._inbox.qsize() > _MAX_WAITING_CHUNKS and not self._closed.wait(
                        0.005
                    ):
                        pass
                    if self._closed.is_set():
                        return
            put(None)
        except BaseException as error:
            put(error)
