from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import urlencode

import pytest
from waiting import until

from qwen_code.auth.oauth.code_flow import CodeFlow
from qwen_code.auth.oauth.errors import SignInDenied
from qwen_code.auth.oauth.loopback import Loopback
from qwen_code.auth.oauth.token import Issuer
from qwen_code.base.errors import ConfigError
from qwen_code.base.secret import Secret


class Listening:
    """A listener that waits for the answer to one request."""

    def __init__(self, loopback: Loopback) -> None:
        self.loopback = loopback
        issuer = Issuer("https://id.example", "c", "https://id.example/token")
        self.flow = CodeFlow.new(
            issuer, "https://id.example/a", loopback.redirect_uri, "", sends_iss=False
        )
        loopback.expect(self.flow.code_of)

    def get(
        self, path: str = "/callback", host: str | None = None, method: str = "GET", **query: str
    ) -> tuple[int, str, http.client.HTTPMessage]:
        with closing(http.client.HTTPConnection(self.loopback.authority, timeout=10)) as connection:
            headers = {"Host": host} if host else {}
            connection.request(method, f"{path}?{urlencode(query)}", headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer.headers

    def answer(self, **fields: str) -> tuple[int, str, http.client.HTTPMessage]:
        return self.get(state=self.flow.state.reveal(), **fields)


@pytest.fixture
def listening() -> Iterator[Listening]:
    with Loopback() as loopback:
        yield Listening(loopback)


def found(listening: Listening) -> Secret | None:
    """The answer, which is delivered after its page was sent."""
    return until(listening.loopback.answer)


def test_the_first_answer_is_taken_and_no_other(listening: Listening) -> None:
    assert listening.loopback.answer() is None
    status, page, headers = listening.answer(code="x")
    assert status == 200 and "close this page" in page
    assert headers["cache-control"] == "no-store" and headers["referrer-policy"] == "no-referrer"
    assert "default-src 'none'" in headers["content-security-policy"]
    status, page, _ = listening.answer(code="y")
    assert status == 410 and "already" in page
    assert found(listening) == Secret("x")
    assert listening.loopback.answer() is None


def test_what_is_not_the_answer_does_not_end_it(listening: Listening) -> None:
    state = listening.flow.state.reveal()
    assert listening.get(code="x", state="wrong")[0] == 400
    assert listening.get(error="access_denied")[0] == 400
    assert listening.get("/", code="x", state=state)[0] == 404
    assert listening.get("/callback/", code="x", state=state)[0] == 404
    assert listening.get("/callback/more", code="x", state=state)[0] == 404
    assert listening.get(method="POST", code="x", state=state)[0] == 501
    assert listening.get(host="evil.example", code="x", state=state)[0] == 404
    assert listening.loopback.answer() is None
    assert listening.answer(code="z")[0] == 200
    assert found(listening) == Secret("z")


def test_a_refusal_ends_it(listening: Listening) -> None:
    status, page, _ = listening.answer(error="access_denied", error_description="<script>")
    assert status == 200 and "<script>" not in page and "terminal says why" in page
    with pytest.raises(SignInDenied):
        found(listening)


def test_a_browser_that_sends_nothing_does_not_block_the_next(listening: Listening) -> None:
    host, port = listening.loopback.authority.split(":")
    with socket.create_connection((host, int(port))):
        assert listening.answer(code="x")[0] == 200


def test_many_answers_at_once_are_one(listening: Listening) -> None:
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(listening.answer(code="x")[0]))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] + [410] * 7


def test_it_listens_on_loopback_until_it_is_closed() -> None:
    with Loopback() as loopback:
        assert loopback.redirect_uri.startswith("http://127.0.0.1:")
        assert loopback._server.server_address[0] == "127.0.0.1"
        host, port = loopback.authority.split(":")
    with pytest.raises(OSError), socket.create_connection((host, int(port)), timeout=1):
        pass


def test_a_registered_address_is_used_exactly() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with Loopback(f"http://localhost:{port}/oauth/back") as loopback:
        assert loopback.redirect_uri == f"http://localhost:{port}/oauth/back"
        assert Listening(loopback).get("/oauth/back")[0] == 400
        with pytest.raises(ConfigError, match=f"port {port} of localhost"):
            Loopback(f"http://localhost:{port}/oauth/back")


def test_without_a_port_any_free_one_is_used() -> None:
    with Loopback("http://localhost") as loopback:
        assert loopback.redirect_uri == f"http://{loopback.authority}"
        assert Listening(loopback).get("/")[0] == 400


@pytest.mark.parametrize(
    "uri",
    [
        "https://127.0.0.1/callback",
        "http://example.com/callback",
        "http://0.0.0.0/callback",
        "http://127.0.0.1/callback?x=1",
        "http://127.0.0.1/callback#x",
        "http://user@127.0.0.1/callback",
        "http://127.0.0.1:99999/callback",
        "http://[::1/callback",
        "qwen:/callback",
        "",
    ],
)
def test_addresses_that_are_not_on_this_machine(uri: str) -> None:
    if uri:
        with pytest.raises(ConfigError, match="redirectUri"):
            Loopback(uri)
    else:
        Loopback(uri)._server.server_close()
