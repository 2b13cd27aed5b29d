from __future__ import annotations

import json
from typing import Any

import pytest
from fake_exchange import FakeExchange

from qwen_code.auth.oauth.metadata import (
    MetadataMissing,
    find_metadata,
    metadata_urls,
    parse_metadata,
    require_named_endpoint,
)
from qwen_code.base.errors import ConfigError

ISSUER = "https://id.example/tenant"
METADATA = {
    "issuer": ISSUER,
    "authorization_endpoint": "https://id.example/authorize",
    "token_endpoint": "https://id.example/token",
    "revocation_endpoint": "https://id.example/revoke",
    "code_challenge_methods_supported": ["S256"],
    "scopes_supported": ["a", 1, ""],
    "authorization_response_iss_parameter_supported": True,
}


def parse(**changes: Any) -> Any:
    raw = {k: v for k, v in {**METADATA, **changes}.items() if v is not None}
    return parse_metadata(json.dumps(raw).encode(), ISSUER)


def test_the_well_known_addresses_in_the_order_of_the_specification() -> None:
    assert metadata_urls(ISSUER) == [
        "https://id.example/.well-known/oauth-authorization-server/tenant",
        "https://id.example/.well-known/openid-configuration/tenant",
        "https://id.example/tenant/.well-known/openid-configuration",
    ]
    assert metadata_urls("https://id.example/") == [
        "https://id.example/.well-known/oauth-authorization-server",
        "https://id.example/.well-known/openid-configuration",
    ]


def test_what_a_document_says() -> None:
    metadata = parse()
    assert metadata.authorization_endpoint == "https://id.example/authorize"
    assert metadata.token_endpoint == "https://id.example/token"
    assert metadata.scopes == ("a",) and metadata.code_challenge_methods == ("S256",)
    assert metadata.sends_iss and not metadata.takes_metadata_urls
    assert metadata.grant_types is None and metadata.registration_endpoint is None
    assert parse(token_endpoint=5).token_endpoint is None


@pytest.mark.parametrize(
    "issuer", ["https://id.example", f"{ISSUER}/", "https://ID.example/tenant", None, 5]
)
def test_the_issuer_must_match_exactly(issuer: Any) -> None:
    with pytest.raises(ConfigError, match="another issuer"):
        parse(issuer=issuer)


@pytest.mark.parametrize(
    ("issuer", "is_accepted"),
    [
        ("https://id.example", True),
        ("https://id.example/oauth", True),
        ("https://id.example:444/oauth", False),
        ("https://evil.example", False),
        ("nonsense", False),
        (None, False),
    ],
)
def test_any_issuer_of_an_origin(issuer: Any, is_accepted: bool) -> None:
    body = json.dumps({**METADATA, "issuer": issuer}).encode()
    if is_accepted:
        metadata = parse_metadata(body, "https://id.example", any_of_origin=True)
        assert metadata.issuer == issuer
    else:
        with pytest.raises(ConfigError, match="another issuer"):
            parse_metadata(body, "https://id.example", any_of_origin=True)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"\xff"])
def test_what_is_not_metadata(body: bytes) -> None:
    with pytest.raises(ConfigError, match="not JSON"):
        parse_metadata(body, ISSUER)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://id.example/token", "token_endpoint of .* plain http"),
        ("http://127.0.0.1/token", "on this machine"),
        ("https://localhost/token", "on this machine"),
        ("https://[::1]/token", "on this machine"),
        ("https://169.254.169.254/latest", "on this machine or its network link"),
        ("https://[::ffff:169.254.169.254]/latest", "network link"),
        ("https://user@id.example/token", "user name"),
        ("javascript:alert(1)", "not an http"),
    ],
)
def test_endpoints_that_must_not_be_used(url: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse(token_endpoint=url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/x", "http://localhost/x", "https://a.example"])
def test_what_a_server_on_this_machine_can_name(url: str) -> None:
    require_named_endpoint(url, "http://127.0.0.1:9/mcp")


def test_plain_http_beyond_this_machine_is_never_used() -> None:
    with pytest.raises(ConfigError, match="plain http"):
        require_named_endpoint("http://a.example", "http://127.0.0.1:9/mcp")


def test_the_first_document_that_suits_is_taken() -> None:
    def suits(metadata: Any) -> None:
        if metadata.scopes is None:
            raise ConfigError("no scopes")

    bare = {key: METADATA[key] for key in ("issuer", "token_endpoint")}
    http: Any = FakeExchange((200, bare), (404, b""), (200, METADATA))
    assert find_metadata(ISSUER, http, suits).scopes == ("a",)
    http = FakeExchange((200, bare), (404, b""), (404, b""))
    with pytest.raises(ConfigError, match="no scopes"):
        find_metadata(ISSUER, http, suits)


@pytest.mark.parametrize(("status", "is_absent"), [(404, True), (500, False), (302, False)])
def test_an_absent_document_is_not_a_broken_server(status: int, is_absent: bool) -> None:
    http: Any = FakeExchange((404, b""), (status, b""), (404, b""))
    with pytest.raises(MetadataMissing, match=f"{status} at") as caught:
        find_metadata(ISSUER, http)
    assert caught.value.is_absent is is_absent
