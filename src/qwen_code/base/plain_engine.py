"""HTTP/1.1 (RFC 9112) to an ``http`` origin without a proxy: a model server in the same network.

The usual engine hands over each chunk of an answer by itself, which takes 25 µs, and a fast server
on this machine sends many tokens in that time. This one passes on what one read of the socket
brings. It is meant for `base.http` alone, which runs each exchange on its own thread.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from qwen_code.base.url import Origin

if TYPE_CHECKING:
    from qwen_code.base.http import Request

_READ_BYTES = 16_384
_MAX_HEAD_BYTES = 65_536
_MAX_SIZE_LINE_BYTES = 1024
_MAX_SIZE_DIGITS = 15
_PROTOCOLS = (b"HTTP/1.1", b"HTTP/1.0")
_SIGNS = b"!#$%&'*+-.^_`|~"
"""What the name of a header can have beside letters and digits (RFC 9110 §5.6.2)."""


class PlainError(Exception):
    """``is_connecting``: the connection could not be opened."""

    def __init__(self, reason: str, *, is_connecting: bool = False) -> None:
        super().__init__(reason)
        self.is_connecting = is_connecting


class PlainAnswer:
    """The head of an answer, and its body as it arrives."""

    def __init__(self, engine: PlainEngine, head: bytes, rest: bytes) -> None:
        first, *lines = head.split(b"\r\n")
        protocol, _, words = first.partition(b" ")
        code = words[:3]
        if protocol not in _PROTOCOLS or not code.isdigit() or words[3:4] not in (b"", b" "):
            raise PlainError("it does not answer in HTTP/1.1")
        self.status = int(code)
        self.headers: dict[str, str] = {}
        for line in lines:
            raw, colon, text = line.partition(b":")
            if not colon or not raw.translate(None, _SIGNS).isalnum():
                raise PlainError("a header of its answer is malformed")
            name, value = raw.decode().lower(), text.strip(b" \t").decode("latin-1")
            before = self.headers.get(name)
            self.headers[name] = value if before is None else f"{before}, {value}"
        self._engine = engine
        self._rest = rest
        self._chunks: _Chunks | None = None
        self._has_more = self._ends_with_connection = False
        self._is_old = protocol == b"HTTP/1.0"
        self._left: int | None = None
        """Bytes of the body that are left; ``None``: until the connection ends."""
        if self.status in (204, 304):
            self._left = 0
        elif self.headers.get("transfer-encoding", "").lower().endswith("chunked"):
            self._chunks = _Chunks()
        elif length := self.headers.get("content-length"):
            if not length.isascii() or not length.isdigit():
                raise PlainError(f"its content-length is {length!r}")
            self._left = int(length)

    def read_chunk(self) -> bytes | None:
        """What arrived of the body since the last call; ``None`` at its end.

        Raises:
            PlainError: the connection broke, or the body is malformed.
        """
        while True:
            if self._left == 0 or (self._chunks is not None and self._chunks.is_done):
                self._engine.is_reusable = self._can_be_followed
                return None
            data, self._rest = self._rest, b""
            if not data:
                data = self._engine.receive()
            if not data:
                if self._left is None and self._chunks is None:
                    self._left, self._ends_with_connection = 0, True
                    continue
                raise PlainError("it was closed before the answer was complete")
            if self._chunks is not None:
                data = self._chunks.feed(data)
            elif self._left is not None:
                self._has_more = len(data) > self._left
                data = data[: self._left]
                self._left -= len(data)
            if data:
                return data

    @property
    def _can_be_followed(self) -> bool:
        """Whether another answer can come on this connection."""
        is_last = self._is_old or self.headers.get("connection", "").lower() == "close"
        has_more = self._has_more or bool(self._chunks and self._chunks.rest) or bool(self._rest)
        return not is_last and not has_more and not self._ends_with_connection


class _Chunks:
    """Decodes the chunked transfer coding (RFC 9112 §7.1)."""

    def __init__(self) -> None:
        self.is_done = False
        self.rest = b""
        self._left = 0
        self._is_after_chunk = self._is_in_trailers = False

    def feed(self, data: bytes) -> bytes:
        """The payload in ``data``."""
        data, position = self.rest + data, 0
        payload: list[bytes] = []
        while True:
            if self._left:
                part = data[position : position + self._left]
                payload.append(part)
                position += len(part)
                self._left -= len(part)
                if self._left:
                    break
                self._is_after_chunk = True
            end = data.find(b"\r\n", position)
            if end < 0:
                if len(data) - position > _MAX_SIZE_LINE_BYTES:
                    raise PlainError("a chunk of its answer is malformed")
                break
            line, position = data[position:end], end + 2
            if self._is_after_chunk:
                if line:
                    raise PlainError("a chunk of its answer is malformed")
                self._is_after_chunk = False
            elif self._is_in_trailers:
                if not line:
                    self.is_done = True
                    break
            else:
                self._left = _size(line)
                self._is_in_trailers = self._left == 0
        self.rest = data[position:]
        return b"".join(payload)


def _size(line: bytes) -> int:
    size = line.partition(b";")[0].strip()
    if len(size) > _MAX_SIZE_DIGITS or not size.isalnum() or size[1:2] in (b"x", b"X"):
        raise PlainError("a chunk of its answer is malformed")
    try:
        return int(size, 16)
    except ValueError as error:
        raise PlainError("a chunk of its answer is malformed") from error


class PlainEngine:
    """One connection. ``address`` is used instead of resolving the host, if it is given."""

    def __init__(
        self, origin: Origin, user_agent: str, connect_s: float, address: str | None
    ) -> None:
        self.is_reusable = False
        self._origin = origin
        self._user_agent = user_agent
        self._connect_s = connect_s
        self._address = address
        self._socket: socket.socket | None = None
        self._is_closed = False

    @contextmanager
    def exchange(self, request: Request) -> Iterator[PlainAnswer]:
        """Send a request, and give its answer.

        Raises:
            PlainError: there is no connection, or no answer.
        """
        if self._socket is None:
            self._socket = self._connected()
        self.is_reusable = False
        try:
            self._socket.sendall(_encoded(request, self._origin, self._user_agent))
        except OSError as error:
            raise PlainError(_words(error)) from error
        yield self._answer()

    def receive(self) -> bytes:
        """The next bytes of the connection; none at its end."""
        assert self._socket is not None
        try:
            return self._socket.recv(_READ_BYTES)
        except OSError as error:
            raise PlainError(_words(error)) from error

    def close(self) -> None:
        """End the connection, also while another thread waits for it."""
        self._is_closed = True
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()

    def __del__(self) -> None:
        self.close()

    def _answer(self) -> PlainAnswer:
        data = b""
        while True:
            while (end := data.find(b"\r\n\r\n")) < 0:
                if len(data) > _MAX_HEAD_BYTES:
                    raise PlainError("the head of its answer is longer than 64 KiB")
                more = self.receive()
                if not more:
                    raise PlainError("it was closed before an answer")
                data += more
            answer = PlainAnswer(self, data[:end], data[end + 4 :])
            if answer.status >= 200 or answer.status == 101:
                return answer
            data = data[end + 4 :]  # an interim answer (RFC 9110 §15.2)

    def _connected(self) -> socket.socket:
        host, deadline = self._address or self._origin.host, time.monotonic() + self._connect_s
        # For a text, Python loads what converts international names: 1 ms.
        name = host.encode() if host.isascii() else host
        try:
            found = socket.getaddrinfo(name, self._origin.port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise PlainError(_words(error), is_connecting=True) from error
        reason = "the host has no address"
        for family, kind, protocol, _, address in found:
            connection = socket.socket(family, kind, protocol)
            try:
                connection.settimeout(max(0.001, deadline - time.monotonic()))
                connection.connect(address)
                connection.settimeout(None)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as error:
                connection.close()
                reason = _words(error)
                continue
            if self._is_closed:
                connection.close()
                break
            return connection
        raise PlainError(reason, is_connecting=True)


def _encoded(request: Request, origin: Origin, user_agent: str) -> bytes:
    """The request as bytes. What could end a line early cannot be in it."""
    address = request.url.partition("#")[0].partition("://")[2]
    start = min((at for at in map(address.find, "/?") if at >= 0), default=len(address))
    target = address[start:]
    target = target if target.startswith("/") else f"/{target}"
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    port = "" if origin.port == 80 else f":{origin.port}"
    headers = {"host": f"{host}{port}", "user-agent": user_agent, "accept": "*/*"}
    headers |= request.headers
    if request.body or request.method not in ("GET", "HEAD"):
        headers["content-length"] = str(len(request.body))
    lines = [f"{request.method} {_escaped(target)} HTTP/1.1"]
    for name, value in headers.items():
        if not value.isprintable() or not name.isprintable():
            raise PlainError(f"the header {name!r} cannot be sent")
        lines.append(f"{name}: {value}")
    return "\r\n".join([*lines, "", ""]).encode("utf-8") + request.body


def _escaped(target: str) -> str:
    from urllib.parse import quote

    return target if target.isascii() and " " not in target else quote(target, "/?&=%:+,;@~!$'()*")


def _words(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "it took too long"
    return error.strerror or str(error)
