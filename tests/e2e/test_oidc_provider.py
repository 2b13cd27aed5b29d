"""The authorization server that others wrote does what our tests rely on, seen by plain urllib."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

_DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_SCOPE = "openid profile email offline_access"


class PlainClient:
    """The smallest client: no code of ours, so that only the server is on trial."""

    def __init__(self, provider: Any) -> None:
        self._provider = provider
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self.metadata = self.get("/.well-known/openid-configuration")[1]

    def get(self, path: str, token: str | None = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return self._send(urllib.request.Request(self._provider.issuer + path, headers=headers))

    def post(self, endpoint: str, **fields: str) -> tuple[int, Any]:
        form = urllib.parse.urlencode({"client_id": self._provider.client_id, **fields})
        return self._send(urllib.request.Request(self.metadata[endpoint], form.encode()))

    def start(self) -> dict[str, Any]:
        status, answer = self.post("device_authorization_endpoint", scope=_SCOPE)
        assert status == 200, answer
        return dict(answer)

    def poll(self, device_code: str) -> tuple[int, Any]:
        return self.post("token_endpoint", grant_type=_DEVICE_GRANT, device_code=device_code)

    def refresh(self, token: str) -> tuple[int, Any]:
        return self.post("token_endpoint", grant_type="refresh_token", refresh_token=token)

    def sign_in(self) -> dict[str, Any]:
        device = self.start()
        self._provider.approve(device["user_code"])
        status, tokens = self.poll(device["device_code"])
        assert status == 200, tokens
        return dict(tokens)

    def _send(self, request: urllib.request.Request) -> tuple[int, Any]:
        try:
            with self._opener.open(request, timeout=10) as response:
                return response.status, json.loads(response.read() or "null")
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, json.loads(refused.read())


def error_of(answer: tuple[int, Any]) -> str:
    """The OAuth error of a refused request."""
    status, body = answer
    assert status == 400, body
    return str(body["error"])


@pytest.fixture
def client(oidc_provider: Any) -> PlainClient:
    return PlainClient(oidc_provider)


def test_both_discovery_documents_name_the_issuer(client: PlainClient, oidc_provider: Any) -> None:
    assert client.metadata["issuer"] == oidc_provider.issuer
    assert client.get("/.well-known/oauth-authorization-server") == (200, client.metadata)


def test_refresh_tokens_rotate_and_a_reused_one_ends_the_family(
    client: PlainClient, oidc_provider: Any
) -> None:
    device = client.start()
    assert error_of(client.poll(device["device_code"])) == "authorization_pending"
    oidc_provider.approve(device["user_code"])
    status, first = client.poll(device["device_code"])
    assert status == 200 and first["token_type"] == "Bearer" and first["scope"] == _SCOPE
    assert client.get("/me", first["access_token"])[1]["email"] == "alice@example.com"

    status, second = client.refresh(first["refresh_token"])
    assert status == 200
    assert second["refresh_token"] != first["refresh_token"]
    assert client.get("/me", second["access_token"])[0] == 200

    assert error_of(client.refresh(first["refresh_token"])) == "invalid_grant"
    assert error_of(client.refresh(second["refresh_token"])) == "invalid_grant"
    assert client.get("/me", second["access_token"])[0] == 401

    tokens = [line for line in oidc_provider.log if line["endpoint"] == "/token"]
    assert [(line["grant_type"], line["outcome"]) for line in tokens] == [
        (_DEVICE_GRANT, "authorization_pending"),
        (_DEVICE_GRANT, "ok"),
        ("refresh_token", "ok"),
        ("refresh_token", "invalid_grant"),
        ("refresh_token", "invalid_grant"),
    ]
    assert tokens[2]["presented"] == tokens[3]["presented"] != tokens[4]["presented"]
    assert tokens[3]["detail"] == "refresh token already used"


def test_revocation_ends_the_sign_in(client: PlainClient, oidc_provider: Any) -> None:
    tokens = client.sign_in()
    revoked = client.post("revocation_endpoint", token=tokens["refresh_token"])
    assert revoked == (200, None)
    assert error_of(client.refresh(tokens["refresh_token"])) == "invalid_grant"
    assert client.get("/me", tokens["access_token"])[0] == 401
    assert oidc_provider.log[-2]["endpoint"] == "/token/revocation"


def test_the_user_can_refuse(client: PlainClient, oidc_provider: Any) -> None:
    device = client.start()
    oidc_provider.deny(device["user_code"])
    assert error_of(client.poll(device["device_code"])) == "access_denied"


def test_lifetimes_are_as_asked(start_oidc_provider: Callable[..., Any]) -> None:
    provider = start_oidc_provider(access_token_ttl=5, device_code_ttl=30)
    client = PlainClient(provider)
    assert client.start()["expires_in"] == 30
    assert client.sign_in()["expires_in"] == 5
