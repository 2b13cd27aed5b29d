from __future__ import annotations

import json
from typing import Any

import pytest
from fake_exchange import FakeExchange

from qwen_code.auth.oauth.metadata import ServerMetadata
from qwen_code.auth.oauth.registration import ClientSettings, identify
from qwen_code.base.errors import ConfigError
from qwen_code.base.secret import Secret

ISSUER = "https://id.example"
REDIRECT = "http://127.0.0.1:1234/callback"


def server(**fields: Any) -> ServerMetadata:
    base = {"token_endpoint": f"{ISSUER}/token", "registration_endpoint": f"{ISSUER}/register"}
    return ServerMetadata(ISSUER, **{**base, **fields})


def client(
    metadata: ServerMetadata, *answers: Any, redirect_uri: str | None = REDIRECT, **settings: Any
) -> tuple[Any, Any]:
    http: Any = FakeExchange(*answers)
    issuer = identify(
        metadata,
        ClientSettings(**settings),
        http,
        resource="https://r.example",
        redirect_uri=redirect_uri,
        scope="a b",
    )
    return issuer, [json.loads(request.body) for request in http.requests]


def test_a_registered_client_comes_first() -> None:
    metadata = server(takes_metadata_urls=True)
    issuer, sent = client(metadata, client_id="mine", metadata_url="https://me.example/c.json")
    assert (issuer.client_id, issuer.client_auth, issuer.secret) == ("mine", "none", None)
    assert issuer.resource == "https://r.example" and sent == []


@pytest.mark.parametrize(
    ("methods", "chosen"),
    [
        (None, "client_secret_basic"),
        (("client_secret_post", "client_secret_basic"), "client_secret_basic"),
        (("none", "client_secret_post"), "client_secret_post"),
    ],
)
def test_how_a_secret_is_sent(methods: Any, chosen: str) -> None:
    metadata = server(token_auth_methods=methods)
    issuer, _ = client(metadata, client_id="mine", client_secret=Secret("s3cret"))
    assert (issuer.client_auth, issuer.secret) == (chosen, Secret("s3cret"))
    assert "s3cret" not in repr(issuer)


def test_a_secret_that_the_server_does_not_take() -> None:
    metadata = server(token_auth_methods=("private_key_jwt",))
    with pytest.raises(ConfigError, match="takes no client secret: it supports private_key_jwt"):
        client(metadata, client_id="mine", client_secret=Secret("s3cret"))


def test_a_document_is_named_where_the_server_reads_such() -> None:
    url = "https://me.example/c.json"
    issuer, sent = client(server(takes_metadata_urls=True), metadata_url=url)
    assert (issuer.client_id, issuer.client_auth, sent) == (url, "none", [])
    issuer, sent = client(server(), (201, {"client_id": "c1"}), metadata_url=url)
    assert issuer.client_id == "c1" and len(sent) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://me.example/c",
        "https://me.example",
        "https://me.example/",
        "https://u@me.example/c",
        "https://me.example/c#x",
    ],
)
def test_a_document_must_be_at_an_https_url_with_a_path(url: str) -> None:
    with pytest.raises(ConfigError, match="clientMetadataUrl"):
        client(server(takes_metadata_urls=True), metadata_url=url)


def test_a_native_program_without_a_secret_is_registered() -> None:
    issuer, (wish,) = client(server(), (201, {"client_id": "c1", "client_secret": "unasked"}))
    assert (issuer.client_id, issuer.client_auth, issuer.secret) == ("c1", "none", None)
    assert wish == {
        "client_name": "qwen",
        "application_type": "native",
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "redirect_uris": [REDIRECT],
        "token_endpoint_auth_method": "none",
        "scope": "a b",
    }
    _, (wish,) = client(server(), (201, {"client_id": "c1"}), redirect_uri=None)
    assert wish["redirect_uris"] == [] and "device_code" in wish["grant_types"][0]


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_the_method_is_one_that_the_server_supports(method: str) -> None:
    metadata = server(token_auth_methods=("private_key_jwt", method))
    issuer, (wish,) = client(metadata, (201, {"client_id": "c1", "client_secret": "s1"}))
    assert wish["token_endpoint_auth_method"] == issuer.client_auth == method
    assert issuer.secret == Secret("s1")


def test_the_server_can_choose_another_method() -> None:
    answer = {
        "client_id": "c1",
        "client_secret": "s1",
        "token_endpoint_auth_method": "client_secret_post",
    }
    issuer, _ = client(server(), (201, answer))
    assert (issuer.client_auth, issuer.secret) == ("client_secret_post", Secret("s1"))


@pytest.mark.parametrize(
    ("metadata", "answer", "said"),
    [
        (server(registration_endpoint=None), (201, {}), "does not let programs register"),
        (server(token_auth_methods=("tls_client_auth",)), (201, {}), "only tls_client_auth"),
        (server(), (400, {"error_description": "no strangers\x1b[2J"}), "400 .no strangers"),
        (server(), (403, {"error": "access_denied"}), "access_denied"),
        (server(), (201, {}), "did not register"),
        (server(), (201, {"client_id": 5}), "did not register"),
        (server(), (201, {"client_id": "c\n"}), "did not register"),
        (server(), (201, b"<html>"), "did not register"),
        (server(), (302, {"client_id": "c"}), "answered 302"),
        (
            server(),
            (201, {"client_id": "c", "token_endpoint_auth_method": "private_key_jwt"}),
            "cannot use: private_key_jwt",
        ),
        (
            server(),
            (201, {"client_id": "c", "token_endpoint_auth_method": "client_secret_post"}),
            "cannot use",
        ),
    ],
)
def test_what_cannot_be_used_is_said(metadata: ServerMetadata, answer: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        client(metadata, answer)
    assert "\x1b" not in caught.value.message
