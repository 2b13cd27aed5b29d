"""Model servers that hang, each at another moment of an exchange."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable

from listeners import stop_listening

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
JSON_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 999999\r\n\r\n"
COMMENT = b": OPENROUTER PROCESSING\n\n"


class HangingServer:
    """Reads each request unless ``hang`` is `nothing_is_read`, and answers as ``hang`` does. All of
    it ends when the server is closed."""

    def __init__(self, hang: Hang) -> None:
        self._hang = hang
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.origin = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.base_url = f"{self.origin}/v1"
        self.released = threading.Event()
        self.connections = 0
        self.requests: list[bytes] = []
        """The first line of each."""
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.released.set()
        stop_listening(self._listener)

    def pause(self, seconds: float) -> bool:
        """Let ``seconds`` pass; whether the server is still wanted."""
        return not self.released.wait(seconds)

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
                if self._hang is not nothing_is_read:
                    self._read_request(connection)
                self._hang(self, connection)
            except OSError:
                pass

    def _read_request(self, connection: socket.socket) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = connection.recv(65536)
            if not piece:
                return
            data += piece
        self.requests.append(data.partition(b"\r\n")[0])


Hang = Callable[[HangingServer, socket.socket], None]


def event(text: str) -> bytes:
    """A piece of an answer."""
    choice = {"delta": {"content": text}, "finish_reason": None}
    return b"data: " + json.dumps({"model": "m", "choices": [choice]}).encode() + b"\n\n"


def nothing_is_read(server: HangingServer, connection: socket.socket) -> None:
    server.released.wait()


def no_answer(server: HangingServer, connection: socket.socket) -> None:
    server.released.wait()


def head_in_drops(server: HangingServer, connection: socket.socket) -> None:
    for byte in HEAD * 100:
        connection.sendall(bytes([byte]))
        if not server.pause(0.05):
            return


def head_alone(server: HangingServer, connection: socket.socket) -> None:
    connection.sendall(HEAD)
    server.released.wait()


def comment_alone(server: HangingServer, connection: socket.socket) -> None:
    connection.sendall(HEAD + COMMENT)
    server.released.wait()


def keep_alives(server: HangingServer, connection: socket.socket) -> None:
    connection.sendall(HEAD)
    while server.pause(0.05):
        connection.sendall(COMMENT)


def empty_events(server: HangingServer, connection: socket.socket) -> None:
    """Chunks of the API that hold nothing, as some servers send them for keep-alives."""
    connection.sendall(HEAD)
    while server.pause(0.05):
        connection.sendall(b'data: {"choices": []}\n\n')


def flood_of_comments(server: HangingServer, connection: socket.socket) -> None:
    connection.sendall(HEAD)
    while not server.released.is_set():
        connection.sendall(COMMENT * 100)


def half_an_answer(server: HangingServer, connection: socket.socket) -> None:
    connection.sendall(HEAD + event("half"))
    server.released.wait()


def half_an_answer_and_keep_alives(server: HangingServer, connection: socket.socket) -> None:
    connection.sendall(HEAD + event("half"))
    while server.pause(0.05):
        connection.sendall(COMMENT)


def drops(server: HangingServer, connection: socket.socket) -> None:
    """Bytes of an event that never ends."""
    connection.sendall(HEAD + b"data: ")
    while server.pause(0.05):
        connection.sendall(b"x")


def json_alone(server: HangingServer, connection: socket.socket) -> None:
    """The beginning of an answer that is not streamed."""
    connection.sendall(JSON_HEAD + b"{")
    server.released.wait()


def json_in_drops(server: HangingServer, connection: socket.socket) -> None:
    connection.sendall(JSON_HEAD)
    while server.pause(0.05):
        connection.sendall(b" ")


def error_without_body(server: HangingServer, connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 503 Unavailable\r\nContent-Length: 99\r\n\r\n")
    server.released.wait()


def unavailable(server: HangingServer, connection: socket.socket) -> None:
    """At once: it is overloaded, come back in an hour."""
    head = b"HTTP/1.1 503 Unavailable\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n"
    connection.sendall(head)
