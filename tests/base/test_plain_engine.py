"""HTTP/1.1 on a plain connection: framing, ends, and what is malformed."""

from __future__ import annotations

import socket
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_code.base.errors import TransportError
from qwen_code.base.http import HttpClient, Network, Request, Response
from qwen_code.base.plain_engine import PlainError, _Chunks, _encoded
from qwen_code.base.url import Origin

Serve = Callable[..., str]


def chunked(*parts: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + end


def decoded(*packets: bytes) -> tuple[bytes, bool]:
    chunks = _Chunks()
    return b"".join(chunks.feed(packet) for packet in packets), chunks.is_done


@pytest.mark.parametrize(
    ("body", "payload"),
    [
        (chunked(b"abc", b"def"), b"abcdef"),
        (chunked(), b""),
        (chunked(b"abc", end=b"0\r\nX-Trailer: 1\r\nY: 2\r\n\r\n"), b"abc"),
        (b"3;name=value\r\nabc\r\n0\r\n\r\n", b"abc"),
        (b"3 \r\nabc\r\n0 \r\n\r\n", b"abc"),
        (b"00003\r\nabc\r\n000\r\n\r\n", b"abc"),
        (b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", b"01234567890123456789"),
        (chunked(b"\r\n\r\n", b"0\r\n\r\n"), b"\r\n\r\n0\r\n\r\n"),
    ],
)
def test_chunks(body: bytes, payload: bytes) -> None:
    assert decoded(body) == (payload, True)
    assert decoded(*(body[n : n + 1] for n in range(len(body)))) == (payload, True)
    assert not decoded(body[:-1])[1]


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=8), st.lists(st.integers(0, 400)))
def test_chunks_cut_anywhere(parts: list[bytes], cuts: list[int]) -> None:
    body = chunked(*parts)
    edges = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    assert decoded(*(body[a:b] for a, b in pairwise(edges))) == (b"".join(parts), True)


@pytest.mark.parametrize(
    "body",
    [
        b"x\r\nabc\r\n",
        b"-3\r\nabc\r\n",
        b"+3\r\nabc\r\n",
        b"0x3\r\nabc\r\n",
        b"1_0\r\nabc\r\n",
        b"\r\nabc\r\n",
        b"3\r\nabcd\r\n0\r\n\r\n",
        b"ffffffffffffffffff\r\nabc",
        b"3" * 2000,
    ],
)
def test_malformed_chunks(body: bytes) -> None:
    with pytest.raises(PlainError):
        decoded(body)


def send(url: str) -> Response:
    return HttpClient(Network(), user_agent="test").send(Request("GET", url))


@pytest.fixture
def answering(serve: Serve) -> Callable[[bytes], str]:
    def start(raw: bytes) -> str:
        return serve(lambda connection, head: connection.sendall(raw))

    return start


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhellomore", b"hello"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"hello"), b"hello"),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", b"hello"),
        (b"HTTP/1.0 200 OK\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            b"hello",
        ),
        (b"HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a:2\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
    ],
)
def test_answers(answering: Callable[[bytes], str], raw: bytes, body: bytes) -> None:
    response = send(answering(raw))
    assert response.read() == body
    if b"X-A" in raw:
        assert response.headers["x-a"] == "1, 2"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n folded: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5x\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000,
    ],
)
def test_what_is_no_answer(answering: Callable[[bytes], str], raw: bytes) -> None:
    with pytest.raises(TransportError) as caught:
        send(answering(raw)).read()
    assert caught.value.code == "cut"


def test_a_request() -> None:
    request = Request("POST", "http://h.example:8080/v1/x?a=b#c", {"x-a": "1"}, b"body")
    assert _encoded(request, Origin.of(request.url), "agent") == (
        b"POST /v1/x?a=b HTTP/1.1\r\nhost: h.example:8080\r\nuser-agent: agent\r\naccept: */*\r\n"
        b"x-a: 1\r\ncontent-length: 4\r\n\r\nbody"
    )
    bare = Request("GET", "http://[::1]")
    assert _encoded(bare, Origin.of(bare.url), "a").startswith(b"GET / HTTP/1.1\r\nhost: [::1]\r\n")


@pytest.mark.parametrize("value", ["a\r\nX-Injected: 1", "a\n", "a\x00b"])
def test_a_header_cannot_add_others(value: str) -> None:
    request = Request("GET", "http://h.example/", {"x-a": value})
    with pytest.raises(PlainError, match="cannot be sent"):
        _encoded(request, Origin.of(request.url), "agent")


@pytest.mark.parametrize(
    ("raw", "is_kept"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"hello"), True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello and more", False),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"hello") + b"x",
            False,
        ),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", False),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", False),
    ],
)
def test_a_connection_is_used_again_only_where_that_is_safe(
    serve: Serve, raw: bytes, is_kept: bool
) -> None:
    requests: list[bytes] = []

    def answering(connection: socket.socket, head: bytes) -> None:
        requests.append(head)
        connection.sendall(raw)
        if not is_kept and b"Connection" not in raw and b"Content-Length" not in raw:
            return
        head = connection.recv(65536)
        if head:
            requests.append(b"again")
            connection.sendall(raw)

    url = serve(answering)
    client = HttpClient(Network(), user_agent="test")
    for _ in range(2):
        assert client.send(Request("GET", url)).read() == b"hello"
    assert (b"again" in requests) is is_kept
