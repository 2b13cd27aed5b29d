from __future__ import annotations

import http.server
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
import trustme
from listeners import stop_listening

from qwen_code.base.errors import ConfigError, TransportError
from qwen_code.base.http import (
    HttpClient,
    Network,
    ProxySetting,
    Request,
    Response,
    Setting,
    Timeouts,
)
from qwen_code.base.stop import Stop
from qwen_code.base.url import Origin

Serve = Callable[[Callable[[socket.socket, bytes], None]], str]


def client(network: Network | None = None, **timeouts: float) -> HttpClient:
    return HttpClient(network or Network(), user_agent="test/1", timeouts=Timeouts(**timeouts))


def body_of(response: Response) -> bytes:
    return response.read()


def answer(connection: socket.socket, body: bytes, status: str = "200 OK", extra: str = "") -> None:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{extra}\r\n"
    connection.sendall(head.encode() + body)


def test_a_request_arrives_as_it_was_written(serve: Serve) -> None:
    heads: list[bytes] = []

    def handle(connection: socket.socket, head: bytes) -> None:
        heads.append(head)
        answer(connection, b"hello")

    url = serve(handle)
    request = Request("POST", f"{url}/v1/x?api-version=1", {"x-a": "b"}, b'{"k":1}')
    response = client().send(request)
    assert (response.status, body_of(response)) == (200, b"hello")
    assert response.headers["content-length"] == "5"
    assert heads[0].startswith(b"POST /v1/x?api-version=1 HTTP/1.1\r\n")
    assert b"x-a: b" in heads[0].lower() and b"user-agent: test/1" in heads[0].lower()
    assert heads[0].endswith(b'{"k":1}')


def test_chunks_are_handed_over_as_they_come(serve: Serve) -> None:
    go_on = threading.Event()

    def handle(connection: socket.socket, head: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        assert go_on.wait(30)
        connection.sendall(b"3\r\ntwo\r\n0\r\n\r\n")

    response = client().send(Request("GET", serve(handle)))
    assert response.read_chunk() == b"one"
    go_on.set()
    assert response.read_chunk() == b"two"
    assert response.read_chunk() is None
    assert response.read_chunk() is None


def test_connections_are_kept_alive(serve: Serve) -> None:
    connections: list[int] = []

    def handle(connection: socket.socket, head: bytes) -> None:
        connections.append(connection.fileno())
        answer(connection, b"a")
        while connection.recv(65536):
            answer(connection, b"b")

    http_client = client()
    request = Request("GET", serve(handle))
    assert body_of(http_client.send(request)) == b"a"
    assert http_client.send(request).read_chunk() == b"b"
    assert len(connections) == 1


def test_redirects_are_not_followed(serve: Serve) -> None:
    asked: list[bytes] = []
    other = serve(lambda connection, head: asked.append(head))
    here = serve(lambda c, h: answer(c, b"", "307 Temporary Redirect", f"Location: {other}\r\n"))
    response = client().send(Request("POST", here, {"authorization": "Bearer x"}))
    assert (response.status, response.headers["location"]) == (307, other)
    assert asked == []


@pytest.mark.parametrize("stage", ["head", "body"])
def test_silence_ends_in_a_timeout(serve: Serve, stage: str) -> None:
    release = threading.Event()

    def handle(connection: socket.socket, head: bytes) -> None:
        if stage == "body":
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
        release.wait(8)

    url = serve(handle)
    http_client = client(connect_s=0.1, first_byte_s=0.2, idle_s=0.2)
    with pytest.raises(TransportError) as caught:
        response = http_client.send(Request("GET", url))
        assert response.read_chunk() == b"abc"
        response.read_chunk()
    assert caught.value.code == "timeout" and caught.value.retryable
    release.set()


@pytest.mark.parametrize("moment", ["connection", "head", "drops", "body"])
def test_one_limit_is_for_everything_up_to_the_first_byte(serve: Serve, moment: str) -> None:
    """The others are far away."""
    release = threading.Event()

    def handle(connection: socket.socket, head: bytes) -> None:
        if moment == "body":
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
        while moment == "drops" and not release.wait(0.05):
            connection.sendall(b"H")
        release.wait(30)

    url = serve(handle)
    full = None
    if moment == "connection":
        full = full_listener()
        url = f"http://127.0.0.1:{full[0].getsockname()[1]}"
    began = time.monotonic()
    with pytest.raises(TransportError, match="did not answer within 0.2 s") as caught:
        client(connect_s=30, first_byte_s=0.2, idle_s=30).send(Request("GET", url)).read()
    release.set()
    assert caught.value.code == "timeout"
    assert time.monotonic() - began < 20
    for each in full or ():
        each.close()


def full_listener() -> list[socket.socket]:
    """A server that does not accept: its queue of connections is full. It comes first."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    waiting = [socket.socket() for _ in range(4)]
    for each in waiting:
        each.setblocking(False)
        with suppress(BlockingIOError):
            each.connect(listener.getsockname())
    return [listener, *waiting]


def test_one_request_can_have_another_limit(serve: Serve) -> None:
    release = threading.Event()
    url = serve(lambda connection, head: (release.wait(30), None)[1])
    with pytest.raises(TransportError, match="did not answer within 0.1 s"):
        client().send(Request("GET", url), first_byte_s=0.1)
    release.set()


def test_a_body_that_is_silent_is_given_up_in_time(serve: Serve) -> None:
    release = threading.Event()

    def handle(connection: socket.socket, head: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\na")
        release.wait(30)

    response = client(idle_s=30).send(Request("GET", serve(handle)))
    with pytest.raises(TransportError, match="was not complete after 0.3 s") as caught:
        response.read(within_s=0.3)
    release.set()
    assert caught.value.code == "timeout" and caught.value.retryable


def test_a_connection_that_breaks_in_the_middle_is_told_apart(serve: Serve) -> None:
    def handle(connection: socket.socket, head: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")

    response = client().send(Request("GET", serve(handle)))
    assert response.read_chunk() == b"abc"
    with pytest.raises(TransportError) as caught:
        response.read_chunk()
    assert caught.value.code == "cut"


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(TransportError, match="refused") as caught:
        client().send(Request("GET", f"http://127.0.0.1:{port}"))
    assert caught.value.code == "connect" and caught.value.retryable


def test_closing_early_frees_the_server(serve: Serve) -> None:
    gone = threading.Event()

    def handle(connection: socket.socket, head: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                connection.sendall(b"400\r\n" + b"x" * 1024 + b"\r\n")
        except OSError:
            gone.set()

    response = client().send(Request("GET", serve(handle)))
    assert response.read_chunk()
    response.close()
    response.close()
    assert gone.wait(30)


def test_a_slow_reader_holds_the_network_back(serve: Serve) -> None:
    sent = 0

    def handle(connection: socket.socket, head: bytes) -> None:
        nonlocal sent
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(200_000):
            connection.sendall(b"400\r\n" + b"x" * 1024 + b"\r\n")
            sent += 1024

    response = client().send(Request("GET", serve(handle)))
    before, deadline = -1, time.monotonic() + 8
    while sent != before and time.monotonic() < deadline:  # until the server no longer gets on
        before = sent
        threading.Event().wait(0.3)
    assert sent < 100 << 20
    response.close()


@pytest.mark.parametrize("is_late", [False, True])
def test_a_kept_connection_that_is_gone_costs_a_silent_repeat_only_at_once(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, is_late: bool
) -> None:
    """A server that took its time may have done something."""
    if is_late:
        monkeypatch.setattr("qwen_code.base.http._STALE_WITHIN_S", -1.0)
    connections: list[int] = []

    def handle(connection: socket.socket, head: bytes) -> None:
        connections.append(connection.fileno())
        answer(connection, b"a")
        if len(connections) == 1:
            connection.recv(65536)  # the next request, and then it is gone

    http_client = client()
    request = Request("GET", serve(handle))
    assert body_of(http_client.send(request)) == b"a"
    if is_late:
        with pytest.raises(TransportError) as caught:
            http_client.send(request)
        assert caught.value.code == "cut" and caught.value.retryable
    else:
        assert body_of(http_client.send(request)) == b"a"
    assert len(connections) == (1 if is_late else 2)


class FakeFlow:
    """Signs with a number that grows, and asks for one more try after the first answer."""

    def __init__(self) -> None:
        self.statuses: list[int] = []

    def auth_flow(self, request: Request, stop: Stop) -> Generator[Request, Response, None]:
        for number in ("1", "2"):
            response = yield request.with_headers({"authorization": number})
            self.statuses.append(response.status)


def test_a_request_that_took_long_is_not_signed_and_sent_again_without_a_word(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qwen_code.base.http._MAX_SILENT_REPEAT_S", -1.0)
    heads: list[bytes] = []

    def handle(connection: socket.socket, head: bytes) -> None:
        heads.append(head)
        answer(connection, b"", "401 Unauthorized")

    with pytest.raises(TransportError, match="refused the credential after") as caught:
        client().send(Request("GET", serve(handle)), FakeFlow())
    assert caught.value.retryable
    assert len(heads) == 1


def test_an_auth_flow_may_send_the_same_bytes_again(serve: Serve) -> None:
    heads: list[bytes] = []

    def handle(connection: socket.socket, head: bytes) -> None:
        heads.append(head)
        answer(
            connection,
            b"",
            "401 Unauthorized" if len(heads) == 1 else "200 OK",
            "Connection: close\r\n",
        )

    flow = FakeFlow()
    response = client().send(Request("POST", serve(handle), {}, b"body"), flow)
    assert response.status == 200 and flow.statuses == [401, 200]
    assert [head.endswith(b"body") for head in heads] == [True, True]
    assert b"authorization: 1" in heads[0].lower() and b"authorization: 2" in heads[1].lower()


# -- proxies ------------------------------------------------------------------------------------


def test_a_proxy_is_used_for_others_and_never_for_this_machine(serve: Serve) -> None:
    heads: list[bytes] = []

    def handle(connection: socket.socket, head: bytes) -> None:
        heads.append(head)
        answer(connection, b"via proxy")

    proxy = serve(handle).replace("http://", "http://user:pass@")
    network = Network(http_proxy=ProxySetting(proxy, "HTTP_PROXY in the environment"))
    response = client(network).send(Request("GET", "http://models.example/v1"))
    assert body_of(response) == b"via proxy"
    assert heads[0].startswith(b"GET http://models.example/v1 HTTP/1.1")
    assert b"proxy-authorization: basic dxnlcjpwyxnz" in heads[0].lower()
    direct = serve(lambda connection, head: answer(connection, b"direct"))
    assert body_of(client(network).send(Request("GET", direct))) == b"direct"


def test_no_proxy_is_honoured() -> None:
    dead = ProxySetting("http://127.0.0.1:9", "HTTP_PROXY in the environment")
    network = Network(http_proxy=dead, no_proxy="other.example,.invalid")
    with pytest.raises(TransportError) as caught:
        client(network, connect_s=2).send(Request("GET", "http://models.invalid/v1"))
    assert "proxy" not in caught.value.message.split(":")[0]


@pytest.mark.parametrize("scheme", ["http", "socks5h", "socks5"])
def test_a_dead_proxy_is_blamed_by_name_without_its_password(scheme: str) -> None:
    proxy = ProxySetting(f"{scheme}://me:hunter22@127.0.0.1:9", "HTTPS_PROXY in the environment")
    with pytest.raises(TransportError) as caught:
        client(Network(https_proxy=proxy)).send(Request("GET", "https://models.example/v1"))
    error = caught.value
    assert error.code == "proxy" and error.hint and "HTTPS_PROXY in the environment" in error.hint
    assert "hunter22" not in error.message + error.hint + repr(proxy)


def test_a_socks_proxy_carries_the_request(serve: Serve) -> None:
    target = serve(lambda connection, head: answer(connection, b"through socks"))
    port = Origin.of(target).port
    listener = socket.create_server(("127.0.0.1", 0))
    names: list[bytes] = []

    def proxy() -> None:
        connection, _ = listener.accept()
        with connection, socket.create_connection(("127.0.0.1", port)) as onward:
            connection.recv(1024)
            connection.sendall(b"\x05\x00")
            names.append(connection.recv(1024))
            connection.sendall(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00")
            onward.sendall(connection.recv(65536))
            connection.sendall(onward.recv(65536))

    threading.Thread(target=proxy, daemon=True).start()
    url = f"socks5h://127.0.0.1:{listener.getsockname()[1]}"
    network = Network(http_proxy=ProxySetting(url, "ALL_PROXY in the environment"))
    response = client(network).send(Request("GET", "http://models.example/v1"))
    assert body_of(response) == b"through socks"
    assert b"models.example" in names[0]  # the proxy resolves the name, not this machine
    stop_listening(listener)


def test_a_proxy_address_that_is_none_names_the_variable() -> None:
    network = Network(https_proxy=ProxySetting("http://", "HTTPS_PROXY in the environment"))
    with pytest.raises(ConfigError, match="HTTPS_PROXY in the environment is not a proxy address"):
        client(network).send(Request("GET", "https://models.example/v1"))


# -- certificates -------------------------------------------------------------------------------


class FakeAuthority:
    """A certificate authority of the test's own, and an https server that it vouches for."""

    def __init__(self, directory: Path) -> None:
        self.authority = trustme.CA()
        self.ca_file = directory / "ca.pem"
        self.authority.cert_pem.write_to_path(str(self.ca_file))
        self.client_file = directory / "client.pem"
        self.authority.issue_cert(
            "client@example.com"
        ).private_key_and_cert_chain_pem.write_to_path(str(self.client_file))

    def start(self, *, wants_client: bool) -> tuple[http.server.HTTPServer, str]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
        if wants_client:
            context.verify_mode = ssl.CERT_REQUIRED
            self.authority.configure_trust(context)

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(204)
                self.send_header("WWW-Authenticate", 'Bearer scope="a"')
                self.send_header("WWW-Authenticate", "Basic")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return server, f"https://localhost:{server.server_port}"


@pytest.fixture
def authority(tmp_path: Path) -> FakeAuthority:
    return FakeAuthority(tmp_path)


@pytest.fixture
def https(authority: FakeAuthority) -> Iterator[str]:
    server, url = authority.start(wants_client=False)
    yield url
    server.shutdown()
    server.server_close()


def test_an_unknown_authority_is_refused_and_the_way_out_named(https: str) -> None:
    with pytest.raises(TransportError) as caught:
        client().send(Request("GET", https))
    assert caught.value.code == "certificate" and "SSL_CERT_FILE" in (caught.value.hint or "")
    assert "proxy" not in f"{caught.value.message} {caught.value.hint}"


def test_the_certificate_of_an_encrypted_proxy_is_checked_for_plain_origins_too(
    https: str, authority: FakeAuthority
) -> None:
    proxy = ProxySetting(https, "HTTP_PROXY in the environment")
    request = Request("GET", "http://models.example/v1")
    with pytest.raises(TransportError):
        client(Network(http_proxy=proxy)).send(request)
    extra = Setting(str(authority.ca_file), "NODE_EXTRA_CA_CERTS in the environment")
    assert client(Network(http_proxy=proxy, extra_ca_file=extra)).send(request).status == 204


def test_an_extra_authority_is_trusted(https: str, authority: FakeAuthority) -> None:
    extra = Setting(str(authority.ca_file), "NODE_EXTRA_CA_CERTS in the environment")
    assert client(Network(extra_ca_file=extra)).send(Request("GET", https)).status == 204


@pytest.mark.process
def test_headers_that_occur_again_are_joined(https: str, authority: FakeAuthority) -> None:
    network = Network(extra_ca_file=Setting(str(authority.ca_file), "NODE_EXTRA_CA_CERTS"))
    response = client(network).send(Request("GET", https))
    assert response.headers["www-authenticate"] == 'Bearer scope="a", Basic'
    response.close()


@pytest.mark.process
def test_ssl_cert_file_is_honoured_in_a_real_process(https: str, authority: FakeAuthority) -> None:
    code = (
        "import sys; "
        "from qwen_code.base.http import HttpClient, Network, Request; "
        "print(HttpClient(Network(), user_agent='t').send(Request('GET', sys.argv[1])).status)"
    )
    environ = {
        **os.environ,
        "SSL_CERT_FILE": str(authority.ca_file),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run(
        [sys.executable, "-c", code, https], env=environ, capture_output=True, text=True, timeout=20
    )
    assert done.stdout.strip() == "204", done.stderr


def test_a_client_certificate_is_shown(authority: FakeAuthority) -> None:
    server, url = authority.start(wants_client=True)
    extra = Setting(str(authority.ca_file), "x")
    mine = Setting(str(authority.client_file), "QWEN_CLIENT_CERT in the environment")
    network = Network(extra_ca_file=extra, client_cert=mine)
    try:
        assert client(network).send(Request("GET", url)).status == 204
        with pytest.raises(TransportError):
            client(Network(extra_ca_file=extra)).send(Request("GET", url))
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("field", ["ca_file", "extra_ca_file", "client_cert"])
@pytest.mark.parametrize("content", [None, "no certificate at all"])
def test_a_file_that_is_no_certificate_is_blamed(
    tmp_path: Path, field: str, content: str | None
) -> None:
    path = tmp_path / "some.pem"
    if content is not None:
        path.write_text(content)
    setting = Setting(str(path), "THE_VARIABLE in the environment")
    network = msgspec.structs.replace(Network(), **{field: setting})
    with pytest.raises(ConfigError, match="THE_VARIABLE in the environment names .*some.pem"):
        client(network).send(Request("GET", "https://localhost:1"))


# -- interruption -------------------------------------------------------------------------------


@pytest.mark.process
def test_ctrl_c_ends_a_wait_at_once(serve: Serve) -> None:
    release = threading.Event()

    def hang(connection: socket.socket, head: bytes) -> None:
        release.wait(20)

    url = serve(hang)
    code = (
        "import sys; "
        "from qwen_code.base.http import HttpClient, Network, Request; print('go', flush=True); "
        "HttpClient(Network(), user_agent='t').send(Request('GET', sys.argv[1]))"
    )
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-c", code, url],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout and process.stdout.readline() == b"go\n"
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        process.send_signal(signal.SIGINT)
        threading.Event().wait(0.2)
    release.set()
    _, errors = process.communicate(timeout=30)
    assert b"KeyboardInterrupt" in errors


def test_without_keep_alive_nothing_goes_out_twice_by_itself() -> None:
    """The first request is answered, the second is taken and then dropped."""
    listener = socket.create_server(("127.0.0.1", 0))
    taken: list[bytes] = []

    def take(connection: socket.socket) -> None:
        with connection:
            while data := connection.recv(65536):
                taken.append(data)
                if len(taken) > 1:
                    return
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=take, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    client = HttpClient(Network(), user_agent="t", keep_alive=False)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    response = client.send(Request("POST", url))
    response.read()
    with pytest.raises(TransportError):
        client.send(Request("POST", url))
    stop_listening(listener)
    assert len(taken) == 2


def test_a_body_that_drips_is_given_up_in_time() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    given_up = threading.Event()

    def drip() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            while not given_up.wait(0.05):
                connection.sendall(b" ")

    threading.Thread(target=drip, daemon=True).start()
    client = HttpClient(Network(), user_agent="t")
    response = client.send(Request("GET", f"http://127.0.0.1:{listener.getsockname()[1]}/"))
    started = time.monotonic()
    with pytest.raises(TransportError, match="not complete"):
        response.read(within_s=0.3)
    assert time.monotonic() - started < 20
    given_up.set()
    stop_listening(listener)
