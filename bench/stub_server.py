"""A model server for measurements: it plays a script and records the times of each exchange.

It speaks Chat Completions and the Responses API (for ``codex``), both as server-sent events, and
lists one model. Each connection has a thread and carries one request. The server runs in the
measuring process, so that all times are from one clock (``time.perf_counter``, in seconds).
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

WORD = "measured"
"""The text of every delta."""

_JSON_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
_SSE_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
)


class Script(NamedTuple):
    """The server's answer to the next prompts."""

    chunks: int = 1
    """The number of deltas."""
    delay_s: float = 0.0
    """The pause after each delta; with 0, all of them are sent at once."""
    hold_s: float = 0.0
    """How long to wait for :meth:`StubServer.release` after the first delta."""


class StubExchange(NamedTuple):
    """One prompt and its answer. Times are those of ``time.perf_counter``."""

    path: str
    arrived: float
    first_sent: float
    """When the first delta was passed to the kernel."""
    last_sent: float
    """When the end of the answer was passed to the kernel."""
    body: bytes
    """The request."""


class StubServer:
    """Listens on loopback until it is closed."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self.base_url = f"http://127.0.0.1:{self.port}/v1"
        self.exchanges: list[StubExchange] = []
        self._script = Script()
        self._answers: dict[tuple[str, int], list[bytes]] = {}
        self._released = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def play(self, script: Script) -> None:
        """Delete the recorded exchanges, and answer the next prompts with ``script``."""
        self._script = script
        self.exchanges = []
        self._released.clear()
        for path in ("/chat/completions", "/responses"):
            self._events(path, script.chunks)

    def release(self) -> None:
        """Continue after the first delta."""
        self._released.set()

    def close(self) -> None:
        """Stop listening. Without the shutdown, a thread would stay in accept(2)."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                method, path, sent = _read_request(connection)
                arrived = time.perf_counter()
                if method == "POST" and path.endswith(("/chat/completions", "/responses")):
                    self._answer(connection, path, arrived, sent)
                else:
                    body = b'{"object":"list","data":[{"id":"m","object":"model"}],"models":[]}'
                    connection.sendall(
                        _JSON_HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body
                    )
            except (OSError, EOFError):
                return  # the measured program has closed the connection

    def _answer(self, connection: socket.socket, path: str, arrived: float, sent: bytes) -> None:
        script = self._script
        events = self._events(path, script.chunks)
        connection.sendall(_SSE_HEAD + events[0])
        first_sent = time.perf_counter()
        connection.sendall(events[1])
        if script.hold_s:
            self._released.wait(script.hold_s)
        if script.delay_s:
            for event in events[2:-1]:
                time.sleep(script.delay_s)
                connection.sendall(event)
        else:
            connection.sendall(b"".join(events[2:-1]))
        # Taken before the call, because the reader may have finished before it returns.
        last_sent = time.perf_counter()
        self.exchanges.append(StubExchange(path, arrived, first_sent, last_sent, sent))
        connection.sendall(events[-1])

    def _events(self, path: str, chunks: int) -> list[bytes]:
        """The answer in pieces: the beginning, one for each delta, and the end. It is cached."""
        build = _responses if path.endswith("/responses") else _chat_completions
        key = (build.__name__, chunks)
        if key not in self._answers:
            self._answers[key] = build(chunks)
        return self._answers[key]


def _read_request(connection: socket.socket) -> tuple[str, str, bytes]:
    """Method, path and body of one complete request."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _receive(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    request_line, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    if headers.get("transfer-encoding") == "chunked":
        while not body.endswith(b"0\r\n\r\n"):
            body += _receive(connection)
        body = b"".join(line for line in body.split(b"\r\n")[1::2])
    else:
        length = int(headers.get("content-length", 0))
        while len(body) < length:
            body += _receive(connection)
    method, path, _ = request_line.split(" ")
    return method, path, body


def _receive(connection: socket.socket) -> bytes:
    piece = connection.recv(65536)
    if not piece:
        raise EOFError
    return piece


def _chat_completions(chunks: int) -> list[bytes]:
    def chunk(delta: Mapping[str, str], finish_reason: str | None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "m",
            "choices": [choice],
        }

    delta = _event(chunk({"content": f"{WORD} "}, None))
    usage = {"prompt_tokens": 1, "completion_tokens": chunks, "total_tokens": chunks + 1}
    end = _event(chunk({}, "stop") | {"usage": usage}) + _frame(b"data: [DONE]\n\n")
    return [_event(chunk({"role": "assistant"}, None)), *[delta] * chunks, end + _frame(b"")]


def _responses(chunks: int) -> list[bytes]:
    def event(kind: str, **fields: Any) -> bytes:
        return _event({"type": kind, **fields}, kind)

    def message(status: str, text: str) -> dict[str, Any]:
        content = [{"type": "output_text", "text": text, "annotations": []}] if text else []
        fields = {"type": "message", "id": "msg_1", "role": "assistant"}
        return {**fields, "status": status, "content": content}

    tokens = {"input_tokens": 1, "output_tokens": chunks, "total_tokens": chunks + 1}
    usage = {**tokens, "input_tokens_details": None, "output_tokens_details": None}
    text = f"{WORD} "
    whole = message("completed", text * chunks)
    delta = event(
        "response.output_text.delta", item_id="msg_1", output_index=0, content_index=0, delta=text
    )
    return [
        event("response.created", response={"id": "resp_1"})
        + event("response.output_item.added", output_index=0, item=message("in_progress", "")),
        *[delta] * chunks,
        event("response.output_item.done", output_index=0, item=whole)
        + event("response.completed", response={"id": "resp_1", "usage": usage})
        + _frame(b""),
    ]


def _event(data: Mapping[str, Any], kind: str = "") -> bytes:
    name = f"event: {kind}\n" if kind else ""
    return _frame(f"{name}data: {json.dumps(data, separators=(',', ':'))}\n\n".encode())


def _frame(data: bytes) -> bytes:
    """One chunk of the chunked encoding; an empty one is the last."""
    return b"%x\r\n%b\r\n" % (len(data), data)
