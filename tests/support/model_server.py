"""A model server that answers with what is written down, and says what it was sent."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Any, NamedTuple

from listeners import stop_listening


class Seen(NamedTuple):
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    raw: bytes = b""
    """The body as it came."""

    @property
    def key(self) -> str:
        return self.headers.get("authorization", "").removeprefix("Bearer ")


class RawAnswer(NamedTuple):
    """A response as it stands; ``holds``: the connection stays open after it."""

    body: bytes
    status: int = 200
    content_type: str = "text/event-stream"
    headers: Mapping[str, str] = MappingProxyType({})
    holds: bool = False


class FakeModelServer:
    """Answers Chat Completions with the scripted words, and keeps every byte that came in."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family)
        self.port = self._listener.getsockname()[1]
        self.base_url = f"http://{f'[{host}]' if ':' in host else host}:{self.port}/v1"
        self.requests: list[Seen] = []
        self.raw = bytearray()
        self.connections = 0
        self.words = ["Hello", " from", " the", " model"]
        self.models = ["only-model"]
        self.listing: dict[str, Any] = {}
        """The whole list of models, if it says more than their names."""
        self.lists_to_anyone = False
        self.accepts: set[str] | None = None
        """The keys that it accepts; ``None``: all."""
        self.answers: set[str] | None = None
        """The models that it has; ``None``: all."""
        self.status = 200
        self.error_body: bytes = b""
        self.extra_headers: dict[str, str] = {}
        self.after_first_word: Callable[[], None] = lambda: None
        self.script: list[list[dict[str, Any]]] = []
        """Answers for the next chat requests, each as deltas; afterwards, the words."""
        self.raw_answer: Callable[[Seen], RawAnswer | None] = lambda seen: None
        """What to send instead of anything else, if it is not ``None``."""
        self.tokens = 0
        """What the server says that it counted, where it says anything."""
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def prompts(self) -> list[str]:
        """The last message of each chat request."""
        return [r.body["messages"][-1]["content"] for r in self.requests if r.method == "POST"]

    def close(self) -> None:
        stop_listening(self._listener)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                data = b""
                while b"\r\n\r\n" not in data:
                    data += self._receive(connection)
                head, _, body = data.partition(b"\r\n\r\n")
                first, *lines = head.decode("latin-1").split("\r\n")
                headers = {n.lower(): v.strip() for n, _, v in (x.partition(":") for x in lines)}
                while len(body) < int(headers.get("content-length", 0)):
                    body += self._receive(connection)
                method, path, _ = first.split(" ")
                parsed = json.loads(body) if body else None
                self.requests.append(Seen(method, path, headers, parsed, body))
                self._answer(connection, method)
            except (OSError, EOFError):
                pass

    def _receive(self, connection: socket.socket) -> bytes:
        piece = connection.recv(65536)
        if not piece:
            raise EOFError
        self.raw += piece
        return piece

    def _answer(self, connection: socket.socket, method: str) -> None:
        if method == "POST" and (raw := self.raw_answer(self.requests[-1])) is not None:
            self._raw(connection, raw)
            return
        if self.status != 200:
            self._whole(connection, self.status, self.error_body)
            return
        if method == "POST" and not _alternate(self.requests[-1].body["messages"]):
            self._whole(connection, 400, b'{"error": {"message": "the roles must alternate"}}')
            return
        seen = self.requests[-1]
        is_list = method == "GET"
        is_refused = self.accepts is not None and seen.key not in self.accepts
        if not (is_list and self.lists_to_anyone) and (is_refused or (is_list and not seen.key)):
            self._whole(connection, 401, b'{"error": {"message": "no key"}}')
            return
        if method == "POST" and self.answers is not None and seen.body["model"] not in self.answers:
            said = f'{{"error": {{"message": "no model {seen.body["model"]}", "code": "model_not_found"}}}}'
            self._whole(connection, 404, said.encode())
            return
        if method == "GET":
            models = json.dumps(self.listing or {"data": [{"id": m} for m in self.models]})
            self._whole(connection, 200, models.encode())
            return
        if not self.requests[-1].body.get("stream"):
            message = {"role": "assistant", "content": "".join(self.words)}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            self._whole(connection, 200, json.dumps({"choices": [choice]}).encode())
            return
        head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode())
        deltas = self.script.pop(0) if self.script else [{"content": w} for w in self.words]
        for number, delta in enumerate(deltas):
            self._event(connection, delta, None)
            if number == 0:
                self.after_first_word()
        is_call = any("tool_calls" in delta for delta in deltas)
        self._event(connection, {}, "tool_calls" if is_call else "stop")
        if self.tokens:
            usage = {"prompt_tokens": self.tokens, "completion_tokens": 1}
            usage["total_tokens"] = self.tokens + 1
            chunk = {"id": "r1", "object": "chat.completion.chunk", "choices": [], "usage": usage}
            connection.sendall(b"data: " + json.dumps(chunk).encode() + b"\n\n")
        connection.sendall(b"data: [DONE]\n\n")

    def _event(self, connection: socket.socket, delta: dict[str, Any], reason: str | None) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        chunk = {"id": "r1", "object": "chat.completion.chunk", "choices": [choice]}
        chunk["model"] = self.requests[-1].body["model"]
        connection.sendall(b"data: " + json.dumps(chunk).encode() + b"\n\n")

    def _raw(self, connection: socket.socket, raw: RawAnswer) -> None:
        lines = [f"HTTP/1.1 {raw.status} X", f"Content-Type: {raw.content_type}"]
        lines += [f"{name}: {value}" for name, value in raw.headers.items()]
        if not raw.holds:
            lines += [f"Content-Length: {len(raw.body)}", "Connection: close"]
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + raw.body)
        while raw.holds and connection.recv(65536):
            pass  # until the client goes

    def _whole(self, connection: socket.socket, status: int, body: bytes) -> None:
        extra = "".join(f"{name}: {value}\r\n" for name, value in self.extra_headers.items())
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{extra}\r\n"
        connection.sendall(head.encode() + body)


def _alternate(messages: list[dict[str, Any]]) -> bool:
    """Whether even a strict server accepts them: only tools have two messages in a row."""
    roles = [message["role"] for message in messages]
    return all(a != b or a == "tool" for a, b in pairwise(roles))


def call(name: str, index: int = 0, **arguments: Any) -> list[dict[str, Any]]:
    """Deltas of an answer that calls a tool, its arguments in two pieces."""
    text = json.dumps(arguments)
    half = len(text) // 2
    function = {"name": name, "arguments": text[:half]}
    return [
        {
            "tool_calls": [
                {"index": index, "id": f"call_{os.urandom(4).hex()}", "function": function}
            ]
        },
        {"tool_calls": [{"index": index, "function": {"arguments": text[half:]}}]},
    ]
