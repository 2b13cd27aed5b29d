from __future__ import annotations

import json
from base64 import b64decode
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_code.auth.oauth.pkce import Pkce
from qwen_code.auth.oauth.token import Issuer
from qwen_code.auth.oauth.wire import (
    DeviceAuthorization,
    ErrorAnswer,
    Grant,
    Trouble,
    authorization_code_request,
    device_authorization_request,
    device_token_request,
    parse_device_authorization,
    parse_grant,
    refresh_request,
    revocation_request,
)
from qwen_code.base.secret import Secret

ISSUER = Issuer("https://id.example", "client", "https://id.example/token")
GRANT = {"access_token": "a-1", "token_type": "Bearer"}
DEVICE = {"device_code": "d", "user_code": "U-1", "verification_uri": "https://id.example/go"}


def grant(status: int, body: Any, headers: dict[str, str] | None = None) -> Any:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return parse_grant(status, headers or {}, data, now=0.0)


def device(status: int, body: Any) -> Any:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return parse_device_authorization(status, {}, data, now=0.0)


def form(body: bytes) -> dict[str, str]:
    return dict(parse_qsl(body.decode(), strict_parsing=True))


def test_the_verifier_of_rfc_7636_has_its_challenge() -> None:
    verifier = Secret("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    assert Pkce(verifier).challenge == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_a_verifier_is_43_characters_and_new_each_time() -> None:
    first, second = Pkce.new().verifier.reveal(), Pkce.new().verifier.reveal()
    assert len(first) == 43 and first != second
    assert Pkce.new(bytes).verifier.reveal() == "A" * 43


def test_a_resource_is_named_in_every_request_for_its_tokens() -> None:
    issuer = msgspec.structs.replace(ISSUER, resource="https://host/mcp")
    requests = (
        device_authorization_request("https://x/d", issuer, "", Pkce.new(), "id-1"),
        device_token_request(issuer, Secret("d"), Secret("v")),
        authorization_code_request(issuer, Secret("c"), Secret("v"), "http://127.0.0.1/"),
        refresh_request(issuer, Secret("r")),
    )
    for request in requests:
        assert form(request.body)["resource"] == "https://host/mcp"
        assert "scope" not in form(request.body)


def test_the_requests_say_what_the_rfcs_ask_for() -> None:
    pkce = Pkce.new()
    request = device_authorization_request("https://x/d", ISSUER, "a b", pkce, "id-1")
    assert request.headers["x-request-id"] == "id-1"
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert b"scope=a%20b" in request.body
    assert form(request.body) == {
        "client_id": "client",
        "scope": "a b",
        "code_challenge": pkce.challenge,
        "code_challenge_method": "S256",
    }
    assert form(device_token_request(ISSUER, Secret("d"), Secret("v")).body) == {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "client_id": "client",
        "device_code": "d",
        "code_verifier": "v",
    }
    assert form(refresh_request(ISSUER, Secret("r+/=")).body) == {
        "grant_type": "refresh_token",
        "refresh_token": "r+/=",
        "client_id": "client",
    }
    assert form(revocation_request("https://x/r", ISSUER, Secret("t"), "refresh_token").body) == {
        "token": "t",
        "token_type_hint": "refresh_token",
        "client_id": "client",
    }


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_a_client_with_a_secret_authenticates(method: str) -> None:
    issuer = msgspec.structs.replace(
        ISSUER, client_id="my client", client_secret="a:b%", client_auth=method
    )
    requests = (
        device_authorization_request("https://x/d", issuer, "", Pkce.new(), "id-1"),
        device_token_request(issuer, Secret("d"), Secret("v")),
        authorization_code_request(issuer, Secret("c"), Secret("v"), "http://127.0.0.1/"),
        refresh_request(issuer, Secret("r")),
        revocation_request("https://x/r", issuer, Secret("t"), "refresh_token"),
    )
    for request in requests:
        sent = form(request.body)
        if method == "client_secret_post":
            assert (sent["client_id"], sent["client_secret"]) == ("my client", "a:b%")
            assert "authorization" not in request.headers
        else:
            pair = b64decode(request.headers["authorization"].removeprefix("Basic "))
            assert pair == b"my%20client:a%3Ab%25" and "client_secret" not in sent


def test_a_code_is_exchanged() -> None:
    request = authorization_code_request(ISSUER, Secret("c+"), Secret("v"), "http://127.0.0.1:1/x")
    assert request.url == "https://id.example/token"
    assert form(request.body) == {
        "grant_type": "authorization_code",
        "code": "c+",
        "redirect_uri": "http://127.0.0.1:1/x",
        "code_verifier": "v",
        "client_id": "client",
    }


def test_a_device_answer_and_its_defaults() -> None:
    answer = device(200, {**DEVICE, "expires_in": 600, "interval": 7, "more": 1})
    assert isinstance(answer, DeviceAuthorization)
    assert (answer.expires_in_s, answer.interval_s) == (600, 7)
    assert answer.verification_uri_complete is None
    plain = device(200, DEVICE)
    assert (plain.expires_in_s, plain.interval_s) == (900, 5)


@pytest.mark.parametrize("odd", [0, -5, "soon", None, True, 1e18, []])
def test_odd_times_are_replaced_by_the_defaults(odd: Any) -> None:
    answer = device(200, {**DEVICE, "expires_in": odd, "interval": odd})
    assert (answer.expires_in_s, answer.interval_s) == (900, 5)


@pytest.mark.parametrize("name", DEVICE)
@pytest.mark.parametrize("value", [None, "", 5])
def test_what_a_device_answer_lacks_is_named(name: str, value: Any) -> None:
    answer = device(200, {**DEVICE, name: value})
    assert isinstance(answer, ErrorAnswer) and name in answer.description


def test_a_grant() -> None:
    answer = grant(200, {**GRANT, "refresh_token": "r", "expires_in": 60, "resource_url": "x"})
    assert isinstance(answer, Grant)
    assert answer.access_token.reveal() == "a-1"
    assert answer.refresh_token and answer.refresh_token.reveal() == "r"
    assert (answer.expires_in_s, answer.resource_url) == (60, "x")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (12.5, 12.5),
        ("3600", 3600),
        (0, None),
        (-1, None),
        (1e18, None),
        ("soon", None),
        (None, None),
    ],
)
def test_lifetimes(value: Any, seconds: float | None) -> None:
    assert grant(200, {**GRANT, "expires_in": value}).expires_in_s == seconds


@pytest.mark.parametrize("kind", ["bearer", "BEARER", "Bearer"])
def test_any_case_of_bearer_is_bearer(kind: str) -> None:
    assert isinstance(grant(200, {**GRANT, "token_type": kind}), Grant)


@pytest.mark.parametrize("kind", ["DPoP", "mac", "", 5])
def test_another_kind_of_token_is_refused(kind: Any) -> None:
    assert isinstance(grant(200, {**GRANT, "token_type": kind}), ErrorAnswer)


@pytest.mark.parametrize("access", [None, "", 5, "two words", "new\nline", "ä"])
def test_what_cannot_stand_in_a_header_is_no_token(access: Any) -> None:
    assert isinstance(grant(200, {**GRANT, "access_token": access}), Trouble)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, {"error": "authorization_pending"}, ErrorAnswer("authorization_pending", "", 400)),
        (429, {"error": "slow_down"}, ErrorAnswer("slow_down", "", 429)),
        (400, {"error": "slow_down"}, ErrorAnswer("slow_down", "", 400)),
        (400, {"error": "x", "error_description": "a\x1b[1m\nb"}, ErrorAnswer("x", "a [1m b", 400)),
        (200, {"error": "x"}, ErrorAnswer("x", "", 200)),
        (401, b"", ErrorAnswer("unauthorized", "it answered 401 without saying why", 401)),
        (401, b"<html>", ErrorAnswer("unauthorized", "it answered 401 without saying why", 401)),
        (401, {"error": "invalid_client"}, ErrorAnswer("invalid_client", "", 401)),
        (400, {"error": "invalid_grant"}, ErrorAnswer("invalid_grant", "", 400)),
        (401, {"error": "invalid_grant"}, ErrorAnswer("invalid_grant", "", 401)),
        (403, {"error": "invalid_grant"}, ErrorAnswer("invalid_grant", "", 403)),
        (429, {"error": "invalid_grant"}, ErrorAnswer("invalid_grant", "", 429)),
        (500, {"error": "invalid_grant"}, ErrorAnswer("invalid_grant", "", 500)),
        (200, {"error": "invalid_grant"}, ErrorAnswer("invalid_grant", "", 200)),
        (429, {"error": "authorization_pending"}, Trouble("the server answered 429")),
        (503, {"error": "temporarily_unavailable"}, Trouble("the server answered 503")),
        (503, {"error": "slow_down"}, Trouble("the server answered 503")),
        (204, b"", Trouble("the server's answer is not a JSON object")),
        (400, {"message": "no"}, ErrorAnswer("http_400", "no", 400)),
        (429, {"error": "rate_limited"}, Trouble("the server answered 429")),
        (429, b"", Trouble("the server answered 429")),
        (500, {"error": "server_error"}, Trouble("the server answered 500")),
        (502, b"<html>", Trouble("the server answered 502")),
        (400, b"<html>", Trouble("the server answered 400")),
        (200, b"", Trouble("the server's answer is not a JSON object")),
        (200, b'{"access_token": "a', Trouble("the server's answer is not a JSON object")),
        (200, b'{"access_token": "\xff"}', Trouble("the server's answer is not a JSON object")),
        (200, [1], Trouble("the server's answer is not a JSON object")),
    ],
)
def test_what_an_answer_means(status: int, body: Any, expected: Any) -> None:
    assert grant(status, body) == expected


def test_a_redirect_is_an_end_and_names_its_target() -> None:
    answer = grant(302, b"", {"location": "https://evil.example"})
    assert answer.error == "redirect" and "https://evil.example" in answer.description


def test_retry_after_is_read() -> None:
    assert grant(503, b"", {"retry-after": "7"}) == Trouble("the server answered 503", 7.0)


def test_descriptions_are_cut() -> None:
    answer = grant(400, {"error": "x", "error_description": "y" * 5000})
    assert len(answer.description) == 501


@given(
    st.integers(100, 599),
    st.binary(max_size=50)
    | st.dictionaries(
        st.sampled_from(["error", "error_description", "access_token", "token_type", "expires_in"]),
        st.none() | st.text(max_size=5) | st.integers() | st.floats() | st.lists(st.integers()),
    ).map(lambda table: json.dumps(table).encode()),
)
def test_any_answer_is_understood_somehow(status: int, body: bytes) -> None:
    assert isinstance(grant(status, body), Grant | ErrorAnswer | Trouble)
    assert isinstance(device(status, body), DeviceAuthorization | ErrorAnswer | Trouble)


@pytest.mark.parametrize(
    "uri",
    ["https://x/\nSigned in!", "javascript:1", "file:///x", "https://x y", "https://\u202e", "x"],
)
def test_an_address_that_could_deceive_is_none(uri: str) -> None:
    assert isinstance(device(200, {**DEVICE, "verification_uri": uri}), ErrorAnswer)
    assert (
        device(200, {**DEVICE, "verification_uri_complete": uri}).verification_uri_complete is None
    )


@pytest.mark.parametrize("code", ["A\nB", "\x1b[2J", "A" * 65])
def test_a_code_that_cannot_be_typed_is_none(code: str) -> None:
    assert isinstance(device(200, {**DEVICE, "user_code": code}), ErrorAnswer)
