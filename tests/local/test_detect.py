"""Model servers of other programs, and things on their ports that are none."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from listeners import stop_listening

from qwen_code.local.detect import FoundServer, find_servers

Answer = Callable[[socket.socket], None]


@pytest.fixture
def listen() -> Iterator[Callable[[Answer], int]]:
    """Answer connections to a port of loopback; gives the port."""
    listeners: list[socket.socket] = []

    def start(answer: Answer) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    try:
                        connection.recv(65536)
                        answer(connection)
                    except OSError:
                        pass

        threading.Thread(target=accept, daemon=True).start()
        port: int = listener.getsockname()[1]
        return port

    yield start
    for listener in listeners:
        stop_listening(listener)


def saying(body: bytes, status: int = 200) -> Answer:
    head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    return lambda connection: connection.sendall(head + body)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def test_a_server_is_found_with_its_models(listen: Callable[[Answer], int]) -> None:
    port = listen(saying(b'{"object":"list","data":[{"id":"qwen3:8b"},{"id":"llama","x":1}]}'))
    found = find_servers([("Nothing", free_port()), ("Ollama", port)])
    assert found == [FoundServer("Ollama", f"http://127.0.0.1:{port}/v1", ("qwen3:8b", "llama"))]


@pytest.mark.parametrize(
    "answer",
    [
        saying(b"{}", 404),
        saying(b'{"data":[{"id":"locked"}]}', 401),
        saying(b"<html>a router</html>"),
        saying(b""),
        saying(b"[" * 100_000),
        saying(b'{"data":null}'),
        saying(b'{"data":[{"name":"no id"}]}'),
        saying(b'{"data":[{"id":7}]}'),
        lambda connection: connection.sendall(b"SSH-2.0-OpenSSH\r\n"),
        lambda connection: None,
    ],
)
def test_what_is_no_model_server_is_passed_over(
    answer: Answer, listen: Callable[[Answer], int]
) -> None:
    assert find_servers([("Some", listen(answer))]) == []


def test_a_port_that_never_answers_costs_a_moment(listen: Callable[[Answer], int]) -> None:
    released = threading.Event()

    def silent(connection: socket.socket) -> None:
        released.wait(20)

    port = listen(silent)
    started = time.monotonic()
    assert find_servers([("Silent", port)]) == []
    assert time.monotonic() - started < 15
    released.set()
