"""The floor: one prompt through a socket, without decoding. ``bare_socket.py BASE_URL``."""

from __future__ import annotations

import _socket
import sys

BODY = b'{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}'

authority = sys.argv[1].removeprefix("http://").partition("/")[0]
host, _, port = authority.partition(":")
connection = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
connection.connect((host, int(port)))
connection.send(
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: %b\r\nAuthorization: Bearer k\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
    % (authority.encode(), len(BODY), BODY)
)
rest = b""
while piece := connection.recv(65536):
    *lines, rest = (rest + piece).split(b"\n")
    for line in lines:
        sys.stdout.buffer.write(line.partition(b'"content":"')[2].partition(b'"')[0])
    sys.stdout.buffer.flush()
