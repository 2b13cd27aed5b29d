from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_code.auth.oauth.protected_resource import find_server, parse_challenge
from qwen_code.auth.oauth.resource import covers
from qwen_code.base.errors import ConfigError

URL = "https://host.example/mcp"
META = "https://host.example/.well-known/oauth-protected-resource"
ISSUER = "https://login.example"


class FakeResponse:
    def __init__(self, status: int, body: Any, headers: dict[str, str]) -> None:
        self.status, self.headers, self._body = status, headers, json.dumps(body).encode()

    def read(self, limit_bytes: int, *, within_s: float | None = None) -> bytes:
        return self._body

    def close(self) -> None: ...


class FakeWeb:
    """Answers by address; what is not there is 404."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.answers: dict[str, tuple[int, Any, dict[str, str]]] = {
            URL: (401, {}, {"www-authenticate": f'Bearer resource_metadata="{META}/x"'}),
            f"{META}/x": (200, {"resource": URL, "authorization_servers": [ISSUER]}, {}),
            f"{ISSUER}/.well-known/oauth-authorization-server": (
                200,
                {
                    "issuer": ISSUER,
                    "token_endpoint": f"{ISSUER}/token",
                    "device_authorization_endpoint": f"{ISSUER}/device",
                    "registration_endpoint": f"{ISSUER}/register",
                },
                {},
            ),
            f"{ISSUER}/register": (201, {"client_id": "c1"}, {}),
        }

    def send(self, request: Any) -> Any:
        self.sent.append(request)
        return FakeResponse(*self.answers.get(request.url, (404, {}, {})))

    def find(self, client_id: str | None = None, *scopes: str, url: str = URL) -> Any:
        headers = {"X-Key": "k"}
        return find_server(url, self, headers=headers, client_id=client_id, scopes=scopes)


def test_the_way_from_a_401_to_a_client_id() -> None:
    web = FakeWeb()
    server = web.find()
    assert server.issuer.client_id == "c1" and server.issuer.resource == URL
    assert server.issuer.name == ISSUER and server.scope == ""
    assert [request.url for request in web.sent][:2] == [URL, f"{META}/x"]
    assert web.sent[0].headers["x-key"] == "k"
    assert all("x-key" not in request.headers for request in web.sent[1:])
    wish = json.loads(web.sent[-1].body)
    assert wish["token_endpoint_auth_method"] == "none"
    assert "urn:ietf:params:oauth:grant-type:device_code" in wish["grant_types"]


def test_a_given_client_id_is_used() -> None:
    web = FakeWeb()
    assert web.find("mine", "a", "b").issuer.client_id == "mine"
    assert web.find("mine", "a", "b").scope == "a b"
    assert not any(request.url.endswith("/register") for request in web.sent)


def test_without_a_named_document_the_well_known_places_are_tried() -> None:
    web = FakeWeb()
    web.answers[URL] = (401, {}, {"www-authenticate": 'Bearer scope="read write"'})
    web.answers[META] = web.answers[f"{META}/x"]
    assert web.find().scope == "read write"
    assert web.sent[1].url == f"{META}/mcp"


def test_an_issuer_may_have_a_slash_at_its_end() -> None:
    web = FakeWeb()
    about = {"resource": URL, "authorization_servers": [f"{ISSUER}/"]}
    web.answers[f"{META}/x"] = (200, {**about, "scopes_supported": ["s", 1]}, {})
    server = web.find()
    assert server.issuer.name == ISSUER and server.scope == "s"


@pytest.mark.parametrize(
    ("place", "answer", "said"),
    [
        (URL, (200, {}, {}), "nothing to sign in to"),
        (URL, (500, {}, {}), "answered 500"),
        (f"{META}/x", (404, {}, {}), "does not say where"),
        (f"{META}/x", (200, {"resource": "https://other.example/mcp"}, {}), "another resource"),
        (f"{META}/x", (200, {"resource": URL}, {}), "which authorization server"),
        (
            f"{META}/x",
            (200, {"resource": URL, "authorization_servers": ["http://login.example"]}, {}),
            "plain http",
        ),
        (
            f"{ISSUER}/.well-known/oauth-authorization-server",
            (200, {"issuer": ISSUER, "token_endpoint": f"{ISSUER}/token"}, {}),
            "device grant",
        ),
        (
            f"{ISSUER}/register",
            (400, {"error_description": "no strangers"}, {}),
            "no strangers",
        ),
        (f"{ISSUER}/register", (201, {}, {}), "did not register"),
    ],
)
def test_what_cannot_be_done_is_said(place: str, answer: Any, said: str) -> None:
    web = FakeWeb()
    web.answers[place] = answer
    with pytest.raises(ConfigError, match=said):
        web.find()


def test_nobody_signs_in_over_plain_http() -> None:
    with pytest.raises(ConfigError, match="plain http"):
        FakeWeb().find(url="http://host.example/mcp")


@pytest.mark.parametrize(
    ("header", "parameters"),
    [
        ("Bearer", {}),
        ('Basic realm="x"', {}),
        ('Bearer resource_metadata="https://h/m", scope="a b"', None),
        ('Basic realm="x", Bearer scope="a b",resource_metadata=https://h/m', None),
        ('Bearer realm="a \\" b"', {"realm": 'a " b'}),
    ],
)
def test_challenges(header: str, parameters: dict[str, str] | None) -> None:
    usual = {"resource_metadata": "https://h/m", "scope": "a b"}
    assert parse_challenge(header) == (usual if parameters is None else parameters)


@given(st.text())
def test_any_challenge_can_be_read(text: str) -> None:
    parse_challenge(f"Bearer {text}")


@pytest.mark.parametrize(
    ("resource", "url", "is_covered"),
    [
        ("https://h/mcp", "https://h/mcp", True),
        ("https://h", "https://h/mcp", True),
        ("https://h/mcp/", "https://h/mcp", True),
        ("https://h/mcp", "https://h/mcp/more", True),
        ("https://h/mcp", "https://h/mcpmore", False),
        ("https://h/mcp", "https://h/", False),
        ("https://h/mcp", "http://h/mcp", False),
        ("https://h/mcp", "https://h:8443/mcp", False),
        ("https://h.evil.example/mcp", "https://h/mcp", False),
        ("nonsense", "https://h/mcp", False),
        (None, "https://h/mcp", False),
    ],
)
def test_a_token_goes_where_it_is_for(resource: str | None, url: str, is_covered: bool) -> None:
    assert covers(resource, url) is is_covered
