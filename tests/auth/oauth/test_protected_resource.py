from __future__ import annotations

import json
from typing import Any

import pytest

from qwen_code.auth.oauth.protected_resource import find_resource, find_server, offers_code_grant
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
                },
                {},
            ),
        }

    def send(self, request: Any) -> Any:
        self.sent.append(request)
        return FakeResponse(*self.answers.get(request.url, (404, {}, {})))

    def find(self, url: str = URL) -> Any:
        resource = find_resource(url, self, {"X-Key": "k"})
        return resource, find_server(resource, url, self)

    @property
    def urls(self) -> list[str]:
        return [request.url for request in self.sent]


def test_the_way_from_a_401_to_the_server() -> None:
    web = FakeWeb()
    resource, metadata = web.find()
    assert resource.identifier == URL and resource.issuers == (ISSUER,)
    assert metadata.issuer == ISSUER and metadata.device_authorization_endpoint
    assert web.urls[:2] == [URL, f"{META}/x"]
    assert web.sent[0].headers["x-key"] == "k"
    assert all("x-key" not in request.headers for request in web.sent[1:])


def test_without_a_named_document_the_well_known_places_are_tried() -> None:
    web = FakeWeb()
    web.answers[URL] = (401, {}, {"www-authenticate": 'Bearer scope="read write"'})
    web.answers[META] = web.answers[f"{META}/x"]
    resource, _ = web.find()
    assert resource.challenge.scopes == ("read", "write")
    assert web.urls[1:3] == [f"{META}/mcp", META]


def test_a_document_is_enough_if_nothing_is_refused_without_a_token() -> None:
    web = FakeWeb()
    web.answers[URL] = (200, {}, {})
    web.answers[META] = web.answers[f"{META}/x"]
    assert web.find()[1].issuer == ISSUER
    methods = [json.loads(request.body)["method"] for request in web.sent if request.body]
    assert methods == ["tools/list", "initialize"]


def test_an_issuer_may_have_a_slash_at_its_end() -> None:
    web = FakeWeb()
    about = {"resource": URL, "authorization_servers": [f"{ISSUER}/"]}
    web.answers[f"{META}/x"] = (200, {**about, "scopes_supported": ["s", 1]}, {})
    resource, metadata = web.find()
    assert metadata.issuer == ISSUER and resource.scopes == ("s",)


def test_the_first_server_that_can_be_used_is_taken() -> None:
    web = FakeWeb()
    servers = ["http://plain.example", "https://absent.example", 5, ISSUER]
    web.answers[f"{META}/x"] = (200, {"resource": URL, "authorization_servers": servers}, {})
    assert web.find()[1].issuer == ISSUER


OAUTH = f"{ISSUER}/.well-known/oauth-authorization-server"
NO_PKCE = {
    "issuer": ISSUER,
    "token_endpoint": f"{ISSUER}/token",
    "authorization_endpoint": f"{ISSUER}/authorize",
}


@pytest.mark.parametrize(
    ("place", "answer", "said"),
    [
        (URL, (200, {}, {}), "nothing to sign in to"),
        (URL, (500, {}, {}), "answered 500"),
        (f"{META}/x", (404, {}, {}), "has no metadata"),
        (f"{META}/x", (503, {}, {}), "answered 503"),
        (f"{META}/x", (429, {}, {}), "answered 429"),
        (f"{META}/x", (200, {"resource": "https://other.example/mcp"}, {}), "another resource"),
        (f"{META}/x", (200, {"resource": f"{URL}/more"}, {}), "another resource"),
        (f"{META}/x", (200, {"authorization_servers": [ISSUER]}, {}), "another resource"),
        (f"{META}/x", (200, {"resource": URL}, {}), "which authorization server"),
        (
            f"{META}/x",
            (200, {"resource": URL, "authorization_servers": ["http://login.example"]}, {}),
            "plain http",
        ),
        (
            f"{META}/x",
            (200, {"resource": URL, "authorization_servers": ["http://127.0.0.1:8080"]}, {}),
            "on this machine",
        ),
        (
            URL,
            (401, {}, {"www-authenticate": 'Bearer resource_metadata="http://169.254.169.254/"'}),
            "network link",
        ),
        (OAUTH, (200, {"issuer": ISSUER, "token_endpoint": f"{ISSUER}/token"}, {}), "neither"),
        (OAUTH, (200, {"issuer": ISSUER}, {}), "no token_endpoint"),
        (OAUTH, (200, NO_PKCE, {}), "PKCE with S256"),
        (OAUTH, (200, {**NO_PKCE, "code_challenge_methods_supported": ["plain"]}, {}), "PKCE"),
        (
            OAUTH,
            (
                200,
                {
                    **NO_PKCE,
                    "code_challenge_methods_supported": ["S256"],
                    "grant_types_supported": ["client_credentials"],
                },
                {},
            ),
            "neither",
        ),
        (OAUTH, (200, {**NO_PKCE, "issuer": "https://evil.example"}, {}), "another issuer"),
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


# -- servers of the revision 2025-03-26 -----------------------------------------------------------

ORIGIN = "https://host.example"


def old_web(metadata: Any = None, status: int = 404) -> FakeWeb:
    web = FakeWeb()
    place = f"{ORIGIN}/.well-known/oauth-authorization-server"
    answer: Any = (200, metadata, {}) if metadata else (status, {}, {})
    web.answers = {URL: (401, {}, {}), place: answer}
    return web


def test_without_any_metadata_the_endpoints_are_the_default_ones() -> None:
    resource, metadata = old_web().find()
    assert resource.identifier == URL and offers_code_grant(metadata)
    assert metadata.issuer == ORIGIN and metadata.token_endpoint == f"{ORIGIN}/token"
    assert metadata.authorization_endpoint == f"{ORIGIN}/authorize"
    assert metadata.registration_endpoint == f"{ORIGIN}/register"


def test_its_own_metadata_counts() -> None:
    said = {
        "issuer": f"{ORIGIN}/oauth",
        "authorization_endpoint": f"{ORIGIN}/oauth/authorize",
        "token_endpoint": f"{ORIGIN}/oauth/token",
        "code_challenge_methods_supported": ["S256"],
    }
    metadata = old_web(said).find()[1]
    assert metadata.issuer == f"{ORIGIN}/oauth"
    assert metadata.token_endpoint == f"{ORIGIN}/oauth/token"


def test_a_broken_server_does_not_get_the_default_endpoints() -> None:
    with pytest.raises(ConfigError, match="has no OAuth metadata: it answered 503"):
        old_web(status=503).find()
    web = old_web()
    web.answers[f"{META}/mcp"] = (502, {}, {})
    with pytest.raises(ConfigError, match="answered 502"):
        web.find()


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
