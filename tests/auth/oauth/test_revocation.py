"""What signing out says of the server: revoked, not offered, or not told."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from fake_exchange import FakeExchange

from qwen_code.auth.oauth.revocation import revoke
from qwen_code.auth.oauth.token import Issuer, Token
from qwen_code.base.errors import TransportError
from qwen_code.base.secret import Secret

ISSUER = Issuer("https://id.example", "c", "https://id.example/token", "https://id.example/revoke")
UNKNOWN = msgspec.structs.replace(ISSUER, revocation_endpoint=None)
TOKEN = Token(Secret("access-1"), Secret("refresh-1"))
GONE = TransportError("cannot connect: connection refused", code="connect")
METADATA = {"issuer": "https://id.example", "revocation_endpoint": "https://id.example/revoke"}


def said(issuer: Issuer | None, *answers: Any, token: Token = TOKEN) -> tuple[str, FakeExchange]:
    http = FakeExchange(*answers)
    sender: Any = http
    return revoke(token, issuer, sender), http


def test_the_refresh_token_is_revoked_and_without_one_the_access_token() -> None:
    text, http = said(ISSUER, (200, {}))
    assert text == "revoked at https://id.example"
    assert http.forms[0]["token"] == "refresh-1"
    assert http.forms[0]["token_type_hint"] == "refresh_token"
    _, http = said(ISSUER, (200, {}), token=Token(Secret("access-1")))
    assert http.forms[0]["token"] == "access-1"


@pytest.mark.parametrize("status", [200, 204])
def test_any_success_is_one(status: int) -> None:
    assert said(ISSUER, (status, b""))[0].startswith("revoked")


@pytest.mark.parametrize(
    "answers",
    [
        [GONE],
        [(500, b"<html>")],
        [(503, {"error": "temporarily_unavailable"})],
        [(429, b"")],
        [(400, {"error": "unsupported_token_type"})],
        [(302, b"", {"location": "https://elsewhere"})],
    ],
)
def test_a_server_that_is_down_was_not_told(answers: list[Any]) -> None:
    text, _ = said(ISSUER, *answers)
    assert text.startswith("the server was not told: ")
    assert "will expire" in text and "offers no" not in text


@pytest.mark.parametrize(
    "answers",
    [
        [GONE],
        [(500, b"")],
        [(429, b"")],
        [(404, b""), GONE],
        [(404, b""), (502, b"<html>")],
        [(200, METADATA), GONE],
        [(404, b""), (200, METADATA), (503, b"")],
    ],
)
def test_a_server_that_cannot_say_whether_it_revokes_was_not_told(answers: list[Any]) -> None:
    assert said(UNKNOWN, *answers)[0].startswith("the server was not told: ")


@pytest.mark.parametrize(
    "answers",
    [
        [(404, b""), (404, b"")],
        [(200, {"issuer": "x"}), (404, b"")],
        [(200, b"<html>"), (200, b"<html>")],
        [(200, {"revocation_endpoint": "https://evil.example/revoke"}), (404, b"")],
        [(200, {"revocation_endpoint": 5}), (200, [])],
        [(200, {"revocation_endpoint": "no address"}), (404, b"")],
    ],
)
def test_a_server_that_offers_none_is_said_to(answers: list[Any]) -> None:
    text, http = said(UNKNOWN, *answers)
    assert text.startswith("the server offers no revocation")
    assert all(request.method == "GET" for request in http.requests)


def test_where_to_revoke_may_be_in_either_document() -> None:
    for answers in ([(200, METADATA), (200, {})], [(404, b""), (200, METADATA), (200, {})]):
        text, http = said(UNKNOWN, *answers)
        assert text == "revoked at https://id.example"
        assert http.requests[-1].url == "https://id.example/revoke"


def test_a_sign_in_of_an_unknown_server() -> None:
    text, http = said(None)
    assert "not told" in text and http.requests == []
