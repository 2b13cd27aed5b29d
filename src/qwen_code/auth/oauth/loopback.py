"""Receives the answer to an authorization request on this machine (RFC 8252 §7.3).

It listens on loopback only, for one path. A request for anything else, or one that is not the
answer, changes nothing: other programs and web pages can send requests here too.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import msgspec

from qwen_code.auth.oauth.code_flow import NotTheAnswer
from qwen_code.auth.oauth.errors import SignInFailed
from qwen_code.base.errors import ConfigError
from qwen_code.base.secret import Secret
from qwen_code.base.url import is_loopback_host

_DEFAULT = "http://127.0.0.1/callback"
_REQUEST_S = 5.0
_POLL_S = 0.05
_MAX_THREADS = 32

_DONE = "You can close this page and go back to the terminal."
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>qwen</title>
<body style="font: 1.1em sans-serif; margin: 4em auto; max-width: 34em"><p>{text}</p></body></html>
"""
_HEADERS = {
    "content-type": "text/html; charset=utf-8",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
    "referrer-policy": "no-referrer",  # the address of this page has the code
    "x-content-type-options": "nosniff",
    "connection": "close",
}


class _Reaction(msgspec.Struct, frozen=True):
    """What the page of a request says, and what the request brought, if it is the answer."""

    status: HTTPStatus
    text: str
    found: Secret | SignInFailed | None = None


class Loopback:
    """A listener for one answer. It is a context manager, and listens from its start to its end.

    ``wanted`` is the redirect URI that the user registered, if any; without a port, any free one is
    used (RFC 8252 §7.3).

    Raises:
        ConfigError: ``wanted`` is not on this machine, or its port is in use.
    """

    def __init__(self, wanted: str | None = None) -> None:
        host, port, path = _parse(wanted or _DEFAULT)
        self._answers: SimpleQueue[Secret | SignInFailed] = SimpleQueue()
        self._read: Callable[[str], Secret] | None = None
        self._lock = threading.Lock()
        address = "::1" if host == "::1" else "127.0.0.1"
        try:
            self._server = _server_class(address)((address, port), _handler(self))
        except OSError as error:
            raise ConfigError(
                f"cannot listen on port {port} of {host} for the sign-in: {error.strerror}",
                hint="End the program that uses the port, or set another oauth.redirectUri.",
            ) from error
        shown = f"[{host}]" if ":" in host else host
        self.path = path or "/"
        self.authority = f"{shown}:{self._server.server_address[1]}"
        self.redirect_uri = f"http://{self.authority}{path}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_S,), daemon=True
        )

    def expect(self, read: Callable[[str], Secret]) -> None:
        """Take the first request whose query ``read`` accepts as the answer.

        ``read`` returns the code, and can raise `NotTheAnswer` or `SignInFailed`.
        """
        with self._lock:
            self._read = read

    def answer(self) -> Secret | None:
        """The code, or ``None`` if there is no answer yet.

        Raises:
            SignInFailed: the answer is a refusal.
        """
        try:
            found = self._answers.get_nowait()
        except Empty:
            return None
        if isinstance(found, SignInFailed):
            raise found
        return found

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def receive(self, query: str) -> _Reaction:
        """React to a request for the path. Its page is sent before what it found is delivered:
        the program may end soon after that."""
        with self._lock:
            read = self._read
            if read is None:
                text = "No sign-in is waiting here. It may have been answered already."
                return _Reaction(HTTPStatus.GONE, text)
            try:
                found: Secret | SignInFailed = read(query)
                text = f"The browser's part of the sign-in is done. {_DONE}"
            except NotTheAnswer:
                text = "This is not the answer to the current sign-in."
                return _Reaction(HTTPStatus.BAD_REQUEST, text)
            except SignInFailed as error:
                found, text = error, f"The sign-in failed; the terminal says why. {_DONE}"
            self._read = None
            return _Reaction(HTTPStatus.OK, text, found)

    def deliver(self, found: Secret | SignInFailed) -> None:
        """Hand what was found to :meth:`answer`."""
        self._answers.put(found)


def _parse(uri: str) -> tuple[str, int, str]:
    """The host, port (0 means any) and path of a redirect URI.

    Raises:
        ConfigError: it is not a plain http address of this machine.
    """
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname or "", parts.port or 0
    except ValueError:
        parts, host, port = urlsplit(""), "", 0
    is_plain = not (parts.query or parts.fragment or parts.username or parts.password)
    if parts.scheme != "http" or not is_loopback_host(host) or not is_plain:
        raise ConfigError(
            f"oauth.redirectUri is not an http address of this machine: {uri!r}",
            hint="For example: http://127.0.0.1:7777/callback",
        )
    return host, port, parts.path


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = os.name != "nt"  # a registered port can be used again at once
    block_on_close = False

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._slots = threading.BoundedSemaphore(_MAX_THREADS)
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._slots.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A broken connection is not worth a traceback in the user's terminal."""


def _server_class(address: str) -> type[_Server]:
    import socket

    class Server(_Server):
        address_family = socket.AF_INET6 if ":" in address else socket.AF_INET

    return Server


def _handler(loopback: Loopback) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _REQUEST_S
        server_version, sys_version = "qwen", ""

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            # A page elsewhere whose name leads here sends another Host (DNS rebinding).
            if self.headers.get("host") != loopback.authority or parts.path != loopback.path:
                self._send(HTTPStatus.NOT_FOUND, "There is nothing here.")
                return
            reaction = loopback.receive(parts.query)
            try:
                self._send(reaction.status, reaction.text)
            finally:
                if reaction.found is not None:
                    loopback.deliver(reaction.found)

        def _send(self, status: HTTPStatus, text: str) -> None:
            body = _PAGE.format(text=text).encode()
            self.send_response(status)
            for name, value in {**_HEADERS, "content-length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing: requests have secrets in their addresses."""

    return Handler
