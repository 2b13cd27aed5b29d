"""The whole sign-in by code in this process, at a server that can misbehave."""

from __future__ import annotations

import base64
import json
import stat
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from fake_resource import FakeResource

from qwen_code.auth.oauth import code_login
from qwen_code.auth.oauth.errors import SignInDenied, SignInFailed
from qwen_code.auth.oauth.registration import ClientSettings
from qwen_code.auth.oauth.resource_sign_in import ResourceSignIn
from qwen_code.auth.oauth.resource_tokens import ResourceTokens
from qwen_code.base.clock import BlockingClock
from qwen_code.base.errors import AuthError, ConfigError, QwenError
from qwen_code.base.secret import Secret
from qwen_code.config.load import Config

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Redirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def landing(url: str) -> str:
    """Where the authorization server sends the browser to."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), Redirects())
    with pytest.raises(urllib.error.HTTPError) as caught:
        opener.open(url, timeout=10)
    with caught.value as answer:
        return str(answer.headers["location"])


class FakeDisplay:
    """A person whose browser follows every redirect, or who pastes ``lines``."""

    def __init__(self, *, browser: bool = True) -> None:
        self.browser = browser
        self.urls: list[str] = []
        self.said: list[str] = []
        self.on_show: Callable[[str], object] = lambda _: None
        self.lines: list[str | Callable[[str], str]] = []

    def can_open_browser(self) -> bool:
        return self.browser

    def show_address(self, url: str) -> None:
        self.urls.append(url)
        self.on_show(url)
        if self.browser:
            threading.Thread(target=self._open, args=(url,), daemon=True).start()

    def pasted(self, seconds: float) -> str | None:
        if self.lines:
            line = self.lines.pop(0)
            return line if isinstance(line, str) else line(self.urls[-1])
        threading.Event().wait(0.02)
        return None

    def say(self, line: str) -> None:
        self.said.append(line)

    def _open(self, url: str) -> None:
        try:
            OPENER.open(url, timeout=10).close()
        except OSError:
            pass


class World:
    def __init__(self, home: Path, server: FakeResource) -> None:
        self.server = server
        self.config = Config.load({"HOME": str(home)}, home)
        self.display = FakeDisplay()
        self.file = home / ".qwen" / "mcp" / "ours.json"

    def sign_in(self, *extra: str, **settings: Any) -> Any:
        display: Any = self.display
        return ResourceSignIn(
            "ours",
            self.server.url,
            config=self.config,
            user_agent="qwen",
            clock=BlockingClock(),
            display=display,
            headers={},
            settings=ClientSettings(**settings),
            extra_scopes=extra,
        ).run()

    @property
    def stored(self) -> Any:
        return json.loads(self.file.read_text())

    def tokens(self) -> ResourceTokens:
        return ResourceTokens(self.config, "qwen")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    server = FakeResource()
    yield World(tmp_path, server)
    server.close()


def test_a_sign_in_by_code(world: World) -> None:
    token = world.sign_in()
    (asked,), (sent,) = world.server.seen("/authorize"), world.server.seen("/token")
    (wish,) = world.server.seen("/register")
    assert wish["redirect_uris"] == [asked["redirect_uri"]] == [sent["redirect_uri"]]
    assert asked["scope"] == "read" and asked["client_id"] == "registered"
    assert asked["resource"] == sent["resource"] == world.server.url
    assert sent["grant_type"] == "authorization_code" and sent["basic"] == ""
    assert stat.S_IMODE(world.file.stat().st_mode) == 0o600
    assert world.stored["access_token"] == token.access_token.reveal()
    assert world.stored["qwen_code"]["requested_scope"] == "read"
    assert world.tokens().token("ours", world.server.url) == token.access_token.reveal()


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_a_registered_secret_is_used_and_stored(world: World, method: str) -> None:
    world.server.metadata = {"token_endpoint_auth_methods_supported": [method]}
    world.server.registration = {"client_secret": "s:cret/1"}
    world.sign_in()
    (sent,) = world.server.seen("/token")
    pair = base64.b64encode(b"registered:s%3Acret%2F1").decode()
    if method == "client_secret_basic":
        assert sent["basic"] == f"Basic {pair}" and "client_secret" not in sent
    else:
        assert (sent["client_id"], sent["client_secret"]) == ("registered", "s:cret/1")
    ours = world.stored["qwen_code"]
    assert (ours["client_secret"], ours["client_auth"]) == ("s:cret/1", method)


def test_scopes_add_up(world: World) -> None:
    world.sign_in()
    world.server.challenge_scope = ""
    world.server.prm = {"scopes_supported": ["list"]}
    world.server.metadata = {"scopes_supported": ["read", "offline_access"]}
    world.sign_in("write")
    assert world.server.seen("/authorize")[-1]["scope"] == "read list write offline_access"
    assert world.server.seen("/authorize")[-1]["prompt"] == "consent"
    world.sign_in(scopes=("mine",))
    assert world.server.seen("/authorize")[-1]["scope"] == "mine"


def test_no_scope_is_made_up(world: World) -> None:
    world.server.challenge_scope = ""
    world.server.metadata = {"scopes_supported": ["all", "offline_access"]}
    world.sign_in()
    assert "scope" not in world.server.seen("/authorize")[-1]


def test_without_a_browser_the_device_grant_is_used_where_it_is_offered(world: World) -> None:
    world.display.browser = False
    world.server.metadata = {"device_authorization_endpoint": f"{world.server.base}/device"}
    with pytest.raises(SignInFailed, match="gave no code"):  # the server has no such page
        world.sign_in()
    assert world.server.seen("/device")[0]["scope"] == "read"
    assert world.server.seen("/register")[0]["redirect_uris"] == []


def test_an_address_can_be_pasted(world: World) -> None:
    world.display.browser = False
    world.display.lines = ["what?", "", landing]
    world.sign_in()
    assert world.display.said == [
        "That is not the answer. Paste the whole address of the last page."
    ]
    assert world.stored["refresh_token"] == "rt-1"


def test_a_code_can_be_pasted(world: World) -> None:
    world.display.browser = False
    world.server.metadata = {"authorization_response_iss_parameter_supported": None}
    world.server.answer = {"iss": None}
    world.display.lines = [lambda url: parse_qs(urlsplit(landing(url)).query)["code"][0]]
    world.sign_in()
    assert world.file.exists()


# -- what a hostile or broken server gets -----------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        ({"error": "access_denied", "code": None}, SignInDenied, "refused in the browser"),
        ({"error": "invalid_scope", "code": None}, SignInFailed, "refused the sign-in: invalid_s"),
        ({"iss": "https://evil.example"}, SignInFailed, "another server"),
        ({"iss": None}, SignInFailed, "does not say which server"),
        ({"code": None}, SignInFailed, "without a code"),
    ],
)
def test_answers_that_end_it(world: World, answer: Any, kind: Any, said: str) -> None:
    world.server.answer = answer
    with pytest.raises(kind, match=said) as caught:
        world.sign_in()
    assert caught.value.hint == "Run: qwen mcp login ours"
    assert world.server.seen("/token") == [] and not world.file.exists()


def test_an_answer_with_another_state_is_not_used(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code_login, "WAIT_S", 1.0)
    world.server.answer = {"state": "wrong"}
    with pytest.raises(SignInFailed, match="no answer came"):
        world.sign_in()
    assert world.server.seen("/token") == [] and not world.file.exists()


def test_a_code_that_was_used_already(world: World) -> None:
    world.server.token_answer = (400, b'{"error": "invalid_grant", "error_description": "used"}')
    with pytest.raises(SignInFailed, match="gave no tokens: invalid_grant: used"):
        world.sign_in()
    assert len(world.server.seen("/token")) == 1


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((500, b""), "answered 500"),
        ((200, b"<html>"), "not a JSON object"),
        ((200, b'{"token_type": "Bearer"}'), "no usable access_token"),
        ((200, b'{"access_token": "' + b"x" * (2 << 20) + b'"}'), "not a JSON object"),
        ((302, b""), "redirects"),
        ((401, b'{"error": "invalid_client"}'), "invalid_client"),
    ],
)
def test_answers_without_tokens(world: World, answer: Any, said: str) -> None:
    world.server.token_answer = answer
    with pytest.raises(SignInFailed, match=said):
        world.sign_in()
    assert not world.file.exists()


def test_a_token_that_cannot_be_used_is_revoked(world: World) -> None:
    world.server.token_answer = (200, b'{"access_token": "at-mac", "token_type": "mac"}')
    with pytest.raises(SignInFailed, match="type mac"):
        world.sign_in()
    assert world.server.seen("/revoke")[0]["token"] == "at-mac"


@pytest.mark.parametrize(
    ("prm", "metadata", "said"),
    [
        ({"resource": "https://evil.example/mcp"}, {}, "another resource"),
        ({}, {"issuer": "https://evil.example"}, "another issuer"),
        ({}, {"token_endpoint": "http://evil.example/token"}, "plain http"),
        ({}, {"authorization_endpoint": "http://evil.example/"}, "plain http"),
        ({}, {"authorization_endpoint": "javascript:alert(1)"}, "not an http"),
        ({}, {"code_challenge_methods_supported": None}, "PKCE"),
        ({}, {"registration_endpoint": None}, "does not let programs register"),
        ({"padding": "x" * (2 << 20)}, {}, "has no metadata"),
    ],
)
def test_nobody_is_sent_to_a_server_that_must_not_be_used(
    world: World, prm: Any, metadata: Any, said: str
) -> None:
    world.server.prm, world.server.metadata = prm, metadata
    with pytest.raises(ConfigError, match=said) as caught:
        world.sign_in()
    assert "qwen mcp add ours -H" in (caught.value.hint or "")
    assert world.display.urls == [] and world.server.seen("/token") == []


def test_a_secret_does_not_follow_the_resource_to_another_server(world: World) -> None:
    mine = {"client_id": "mine", "client_secret": Secret("s3cret")}
    world.server.metadata = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    world.sign_in(**mine)
    other = FakeResource()
    world.server.prm = {"authorization_servers": [other.base]}
    with pytest.raises(ConfigError, match="now names another authorization server"):
        world.sign_in(**mine)
    assert other.seen("/token") == []
    with pytest.raises(ConfigError, match="does not name the authorization server"):
        world.sign_in(**mine, issuer=world.server.base)
    world.server.prm = {"authorization_servers": [other.base, world.server.base]}
    world.sign_in(**mine, issuer=world.server.base)
    assert other.seen("/.well-known/oauth-authorization-server") != []
    assert other.seen("/token") == [] and len(world.server.seen("/token")) == 2
    other.close()


def test_the_listener_is_gone_after_an_interrupt(world: World) -> None:
    def interrupt(url: str) -> None:
        raise KeyboardInterrupt

    world.display.on_show = interrupt
    with pytest.raises(KeyboardInterrupt):
        world.sign_in()
    (wish,) = world.server.seen("/register")
    with pytest.raises(OSError):
        OPENER.open(f"{wish['redirect_uris'][0]}?code=x", timeout=2)


# -- refusals by the resource -----------------------------------------------------------------------


def refused(world: World, token: str | None, header: str, status: int = 403) -> str | None:
    return world.tokens().after_refusal("ours", world.server.url, token, status, header)


def test_a_missing_scope_is_asked_for_once(world: World) -> None:
    token = world.sign_in().access_token.reveal()
    header = 'Bearer error="insufficient_scope", scope="write admin"'
    with pytest.raises(AuthError) as caught:
        refused(world, token, header)
    assert caught.value.hint == "Run: qwen mcp login ours --scope 'write admin'"
    token = world.sign_in("write", "admin").access_token.reveal()
    assert world.server.seen("/authorize")[-1]["scope"] == "read write admin"
    with pytest.raises(AuthError, match="although it asked for") as caught:
        refused(world, token, header)
    assert "login" not in (caught.value.hint or "")
    with pytest.raises(AuthError, match="does not say what would"):
        refused(world, token, 'Bearer error="insufficient_scope"')


def test_other_refusals_are_not_about_the_sign_in(world: World) -> None:
    token = world.sign_in().access_token.reveal()
    assert refused(world, token, "") is None
    assert refused(world, token, 'Bearer error="invalid_token"') is None
    assert refused(world, None, "Bearer", 401) is None


def test_a_token_that_was_stored_meanwhile_is_used(world: World) -> None:
    old = world.sign_in().access_token.reveal()
    new = world.sign_in("write").access_token.reveal()
    assert refused(world, old, 'Bearer error="insufficient_scope", scope="write"') == new
    assert refused(world, old, "Bearer", 401) == new


@pytest.mark.process
def test_a_client_that_the_server_has_forgotten(world: World) -> None:
    token = world.sign_in().access_token.reveal()
    world.server.token_answer = (401, b'{"error": "invalid_client"}')
    with pytest.raises(QwenError, match="invalid_client") as caught:
        refused(world, token, "Bearer", 401)
    assert "qwen mcp login ours" in (caught.value.hint or "")
    assert world.server.seen("/token")[-1]["resource"] == world.server.url
    world.server.token_answer = None
    assert world.sign_in().access_token.reveal() != token
    assert len(world.server.seen("/register")) == 2
