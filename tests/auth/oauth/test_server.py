from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from fake_exchange import FakeExchange

from qwen_code.auth.oauth.server import ServerChoice, discover
from qwen_code.auth.oauth.token import Issuer
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


# -- discovery ------------------------------------------------------------------------------------

OTHER = {**METADATA, "issuer": "https://another.example"}
NO_GRANT = {key: text for key, text in METADATA.items() if "device" not in key}


@pytest.mark.parametrize(
    "answers",
    [
        [(200, METADATA)],
        [(404, b""), (200, METADATA)],
        [(200, b"<html>The app</html>"), (200, METADATA)],  # servers that answer 200 to anything
        [(200, NO_GRANT), (200, METADATA)],
        [(200, OTHER), (200, METADATA)],
        [(500, b""), (404, b""), (200, METADATA)],
        [(200, b"\xef\xbb\xbf" + json.dumps(METADATA).encode())],
    ],
)
def test_the_first_document_with_the_grant_is_taken(answers: list[Any]) -> None:
    http: Any = FakeExchange(*answers)
    server = discover(CHOICE, http)
    assert server.device_authorization_endpoint == "https://id.example/device"
    assert server.is_discovered and server.other_origins == []


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([(404, b""), (404, b""), (404, b"")], "--x: .* has no OAuth metadata: it answered 404"),
        ([(200, OTHER), (404, b""), (404, b"")], "another issuer"),
        ([(200, NO_GRANT), (200, NO_GRANT), (200, NO_GRANT)], "device grant"),
        ([(200, b"<html>"), (200, b"<html>"), (404, b"")], "not JSON"),
    ],
)
def test_what_is_wrong_with_the_first_document_is_said(answers: list[Any], message: str) -> None:
    http: Any = FakeExchange(*answers)
    with pytest.raises(ConfigError, match=message):
        discover(CHOICE, http)


@pytest.mark.parametrize("name", ["device_authorization_endpoint", "token_endpoint"])
def test_what_is_missing_is_named(name: str) -> None:
    raw = {key: text for key, text in METADATA.items() if key != name}
    http: Any = FakeExchange(*[(200, raw)] * 3)
    with pytest.raises(ConfigError, match=name):
        discover(CHOICE, http)


def test_endpoints_on_another_origin_are_known_as_such() -> None:
    elsewhere = {**METADATA, "token_endpoint": "https://tokens.example/token"}
    http: Any = FakeExchange((200, elsewhere))
    assert [str(o) for o in discover(CHOICE, http).other_origins] == ["https://tokens.example"]


def test_without_an_issuer_the_paths_are_qwen_ais_own() -> None:
    choice = ServerChoice(value("https://chat.qwen.ai"), None, value("c"), value("s"), None)
    http: Any = FakeExchange()
    server = discover(choice, http)
    assert not server.is_discovered and http.requests == []
    assert server.issuer.token_endpoint == "https://chat.qwen.ai/api/v1/oauth2/token"


# -- signing in again -----------------------------------------------------------------------------

STORED = Source(SourceKind.LOGIN, "the stored sign-in")
DEFAULT = Source(SourceKind.DEFAULT, "qwen.ai")
UNNAMED = ServerChoice(
    Value("https://chat.qwen.ai", DEFAULT), None, Value("c", DEFAULT), Value("s", DEFAULT), None
)


def test_only_a_choice_of_nobody_is_the_default() -> None:
    assert UNNAMED.is_default
    assert not CHOICE.is_default
    assert not msgspec.structs.replace(UNNAMED, base_url=value("https://id.example")).is_default


def test_an_issuer_is_asked_again_with_its_client_and_scope() -> None:
    again = UNNAMED.again_at(Issuer(ISSUER, "corp", "https://id.example/token"), "openid", STORED)
    assert again.issuer == Value(ISSUER, STORED)
    assert (again.client_id.text, again.scope.text) == ("corp", "openid")


def test_what_is_configured_beside_it_comes_first() -> None:
    choice = msgspec.structs.replace(UNNAMED, client_id=value("mine"), scope=value("wide"))
    again = choice.again_at(Issuer(ISSUER, "corp", "https://id.example/token"), "openid", STORED)
    assert (again.client_id.text, again.scope.text) == ("mine", "wide")


def test_a_server_with_the_paths_of_qwen_ai_is_not_looked_up() -> None:
    base = "https://qwen.corp.example"
    issuer = Issuer(base, "corp", f"{base}/api/v1/oauth2/token")
    again = UNNAMED.again_at(issuer, None, STORED)
    assert again.known() == issuer and again.scope.text == "s"
    discovered = msgspec.structs.replace(issuer, revocation_endpoint=f"{base}/revoke")
    assert UNNAMED.again_at(discovered, None, STORED).issuer == Value(base, STORED)


@pytest.mark.parametrize("name", ["http://id.example", "not an address"])
def test_a_stored_address_is_checked_like_any_other(name: str) -> None:
    with pytest.raises(ConfigError, match="the stored sign-in"):
        UNNAMED.again_at(Issuer(name, "c", f"{name}/token"), None, STORED)
