from __future__ import annotations

import json
from typing import Any

import pytest

from qwen_code.auth.oauth.server import (
    ServerChoice,
    metadata_url,
    parse_metadata,
)
from qwen_code.base.errors import ConfigError
from qwen_code.config.values import Source, SourceKind, Value

ISSUER = "https://id.example/tenant"


def value(text: str) -> Value:
    return Value(text, Source(SourceKind.FLAG, "--x"))


CHOICE = ServerChoice(value("https://unused"), value(ISSUER), value("client"), value("s"), None)
METADATA = {
    "issuer": ISSUER,
    "device_authorization_endpoint": "https://id.example/device",
    "token_endpoint": "https://id.example/token",
    "revocation_endpoint": "https://id.example/revoke",
}


def parse(**changes: Any) -> Any:
    raw = {k: v for k, v in {**METADATA, **changes}.items() if v is not None}
    return parse_metadata(json.dumps(raw).encode(), CHOICE)


def test_the_well_known_addresses() -> None:
    oauth, oidc = (
        metadata_url(ISSUER, k) for k in ("oauth-authorization-server", "openid-configuration")
    )
    assert oauth == "https://id.example/.well-known/oauth-authorization-server/tenant"
    assert oidc == "https://id.example/tenant/.well-known/openid-configuration"
    assert metadata_url("https://id.example/") == (
        "https://id.example/.well-known/oauth-authorization-server"
    )


def test_metadata_gives_the_endpoints() -> None:
    server = parse()
    assert server.device_authorization_endpoint == "https://id.example/device"
    assert server.issuer.token_endpoint == "https://id.example/token"
    assert server.issuer.revocation_endpoint == "https://id.example/revoke"
    assert server.issuer.client_id == "client"
    assert parse(revocation_endpoint=None).issuer.revocation_endpoint is None


@pytest.mark.parametrize(
    "issuer", ["https://id.example", f"{ISSUER}/", "https://evil.example", None, 5]
)
def test_the_issuer_must_match_exactly(issuer: Any) -> None:
    with pytest.raises(ConfigError, match="another issuer"):
        parse(issuer=issuer)


@pytest.mark.parametrize("name", ["device_authorization_endpoint", "token_endpoint"])
def test_what_is_missing_is_named(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        parse(**{name: None})


def test_plain_http_is_refused() -> None:
    with pytest.raises(ConfigError, match="plain http"):
        parse(token_endpoint="http://id.example/token")
    with pytest.raises(ConfigError, match="plain http"):
        parse(token_endpoint="http://127.0.0.1/token")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"\xff"])
def test_what_is_no_metadata(body: bytes) -> None:
    with pytest.raises(ConfigError, match="not JSON"):
        parse_metadata(body, CHOICE)
