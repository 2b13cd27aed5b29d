"""One renewal, by hand: what each answer of the server does to the sign-in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from fake_clock import FakeClock
from fake_exchange import FakeExchange

from qwen_code.auth.oauth.errors import RefreshFailed, SignInEnded
from qwen_code.auth.oauth.exchange import Renewed, renew
from qwen_code.auth.oauth.token import Issuer, Token, document_of, load_token
from qwen_code.auth.stores import open_store
from qwen_code.auth.stores.file import FileStore
from qwen_code.base.errors import CredentialMissing, TransportError
from qwen_code.base.secret import Secret

ISSUER = Issuer("https://id.example.com", "c", "https://id.example.com/token", "https://id/revoke")
OLD = Token(
    Secret("access-1"),
    Secret("refresh-1"),
    "https://gw.example.com/v1",
    expires_at_ms=0,
    issuer=ISSUER,
)
GRANT = {"access_token": "access-2", "refresh_token": "refresh-2", "expires_in": 60}
GONE = TransportError("no route to host", code="connect", retryable=True)


class World:
    def __init__(self, directory: Path) -> None:
        self.clock = FakeClock(1000.0)
        self.store = FileStore(directory / "oauth_creds.json", pause=lambda _: None)
        self.store.save(document_of(OLD))
        self.http = FakeExchange()

    def renew(self, *answers: Any, rejected: str | None = None, **changes: Any) -> Renewed:
        on_request = self.http.on_request
        self.http = FakeExchange(*answers)
        self.http.on_request = on_request
        http: Any = self.http
        return renew(
            self.store,
            http,
            self.clock,
            rejected=Secret(rejected) if rejected else None,
            default_issuer=None,
            jitter=lambda: 0.5,
            **changes,
        )

    def stored(self) -> Token:
        token = load_token(self.store)
        assert token is not None
        return token


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_the_new_pair_is_stored_and_returned(world: World) -> None:
    renewed = world.renew((200, GRANT))
    assert renewed.token == world.stored()
    assert renewed.token.access_token == Secret("access-2")
    assert (renewed.token.generation, renewed.token.expires_at_ms) == (1, 1_060_000)
    assert world.http.forms == [
        {"grant_type": "refresh_token", "refresh_token": "refresh-1", "client_id": "c"}
    ]


@pytest.mark.parametrize(
    "answer",
    [(201, GRANT), (200, b"\xef\xbb\xbf" + msgspec.json.encode(GRANT)), (202, GRANT)],
    ids=["201", "bom", "202"],
)
def test_an_answer_in_an_unusual_wrapping_is_one(world: World, answer: Any) -> None:
    assert world.renew(answer).token.access_token == Secret("access-2")


def test_what_an_answer_leaves_out_stays(world: World) -> None:
    token = world.renew((200, {"access_token": "access-2"})).token
    assert (token.refresh_token, token.resource_url) == (OLD.refresh_token, OLD.resource_url)
    assert token.expires_at_ms is None


@pytest.mark.parametrize("lifetime", [0, -60, 10**18, "soon", None, True, 1e400, 0.0])
def test_a_lifetime_that_makes_no_sense_is_unknown(world: World, lifetime: Any) -> None:
    token = world.renew((200, {**GRANT, "expires_in": 5})).token
    world.store.save(document_of(msgspec.structs.replace(token, expires_at_ms=0)))
    body = msgspec.json.encode({**GRANT, "access_token": "a-3", "expires_in": None})
    if lifetime != 1e400:
        body = msgspec.json.encode({**GRANT, "access_token": "a-3", "expires_in": lifetime})
    assert world.renew((200, body)).token.expires_at_ms is None


# -- what is about the grant, and what is not -----------------------------------------------------

NOT_ABOUT_THE_GRANT = {
    "401 invalid_client": (401, {"error": "invalid_client"}),
    "400 invalid_client": (400, {"error": "invalid_client"}),
    "401 html": (401, b"<html>Sign in to the network</html>"),
    "401 empty": (401, b""),
    "403": (403, {"error": "access_denied"}),
    "400 unauthorized_client": (400, {"error": "unauthorized_client"}),
    "400 invalid_request": (400, {"error": "invalid_request"}),
    "400 invalid_scope": (400, {"error": "invalid_scope"}),
    "400 unsupported": (400, {"error": "unsupported_grant_type"}),
    "404": (404, {"message": "not found"}),
    "a redirect": (302, b"", {"location": "https://login.example"}),
    "another type": (200, {**GRANT, "token_type": "mac"}),
}


@pytest.mark.parametrize("answer", NOT_ABOUT_THE_GRANT.values(), ids=NOT_ABOUT_THE_GRANT)
def test_an_error_that_is_not_about_the_grant_leaves_the_sign_in(world: World, answer: Any) -> None:
    with pytest.raises(RefreshFailed) as caught:
        world.renew(answer)
    assert "still signed in" in (caught.value.hint or "")
    assert world.stored() == OLD
    assert world.store.refusal_of(OLD.version) is None
    assert len(world.http.requests) == 1
    assert world.renew((200, GRANT)).token.generation == 1  # the next run succeeds


TEMPORARY = {
    "429 slow_down": (429, {"error": "slow_down"}),
    "400 slow_down": (400, {"error": "slow_down"}),
    "429": (429, b""),
    "429 another error": (429, {"error": "rate_limited"}),
    "429 access_denied": (429, {"error": "access_denied"}),
    "429 html": (429, b"<html>"),
    "400 temporarily_unavailable": (400, {"error": "temporarily_unavailable"}),
    "503 temporarily_unavailable": (503, {"error": "temporarily_unavailable"}),
    "500": (500, b"<html>"),
    "502 invalid_client": (502, {"error": "invalid_client"}),
    "408": (408, b""),
    "403 html": (403, b"<html>"),
    "400 html": (400, b"<html>"),
    "no connection": GONE,
    "no answer in time": TransportError("no answer", code="timeout", retryable=True),
    "200 html": (200, b"<html>"),
    "200 truncated": (200, b'{"access_token": "acc'),
    "200 empty": (200, b""),
    "200 list": (200, b"[]"),
    "200 without a token": (200, {"expires_in": 3}),
    "200 cut off": (200, TransportError("the connection broke", code="cut", retryable=True)),
    "204": (204, b""),
}


@pytest.mark.parametrize("answer", TEMPORARY.values(), ids=TEMPORARY)
def test_what_may_pass_is_tried_again(world: World, answer: Any) -> None:
    assert world.renew(answer, answer, (200, GRANT)).token.generation == 1
    assert len(world.http.requests) == 3


@pytest.mark.parametrize("answer", TEMPORARY.values(), ids=TEMPORARY)
def test_the_retries_are_bounded_and_lose_nothing(world: World, answer: Any) -> None:
    with pytest.raises(RefreshFailed):
        world.renew(*[answer] * 20)
    assert len(world.http.requests) == 3
    assert world.clock.time - 1000 < 20
    assert world.stored() == OLD and world.store.refusal_of(OLD.version) is None


def test_a_body_that_is_too_slow_is_asked_for_again(world: World) -> None:
    slow = (200, TransportError("the answer was not complete", code="timeout", retryable=True))
    assert world.renew(slow, (200, GRANT)).token.generation == 1


@pytest.mark.parametrize("answer", [(429, {"error": "slow_down"}), (503, b"")])
def test_a_short_retry_after_is_waited_for_and_a_long_one_ends_it(
    world: World, answer: tuple[int, Any]
) -> None:
    world.renew((*answer, {"retry-after": "4"}), (200, GRANT))
    assert world.clock.time == 1004
    world.store.save(document_of(OLD))
    with pytest.raises(RefreshFailed):
        world.renew((*answer, {"retry-after": "3600"}))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503, 200])
def test_invalid_grant_ends_it_under_any_status_and_deletes_nothing(
    world: World, status: int
) -> None:
    with pytest.raises(SignInEnded) as caught:
        world.renew((status, {"error": "invalid_grant", "error_description": "revoked"}))
    assert "revoked" in caught.value.message and "qwen auth login" in (caught.value.hint or "")
    assert len(world.http.requests) == 1
    assert world.stored() == OLD
    with pytest.raises(SignInEnded):
        world.renew()  # it is remembered: the server is not asked again


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("oauth_creds.json", "qwen auth login"),
        ("accounts/w.json", "qwen auth login --profile w"),
        ("accounts/a%2Eb c.json", "qwen auth login --profile 'a.b c'"),
    ],
)
def test_the_way_out_names_the_login(world: World, name: str, command: str) -> None:
    world.store = FileStore(world.store.path.parent / name, pause=lambda _: None)
    world.store.save(document_of(OLD))
    for answers in ([(400, {"error": "invalid_grant"})], []):  # and again, when it is remembered
        with pytest.raises(SignInEnded) as caught:
            world.renew(*answers)
        assert caught.value.hint == f"Run: {command}"


def test_no_refresh_token_and_no_known_server_are_told_apart(world: World) -> None:
    nodes = msgspec.structs.replace(OLD, issuer=None)
    world.store.save(document_of(nodes))
    with pytest.raises(RefreshFailed, match="does not name the server"):
        world.renew()
    world.store.save(document_of(msgspec.structs.replace(nodes, refresh_token=None)))
    with pytest.raises(SignInEnded, match="without a refresh token"):
        world.renew()
    assert world.http.requests == []


def test_invalid_grant_after_another_process_won_is_no_end(world: World) -> None:
    theirs = msgspec.structs.replace(
        OLD, access_token=Secret("theirs"), refresh_token=Secret("theirs-r"), expires_at_ms=None
    )
    world.http.on_request = lambda: world.store.save(document_of(theirs))
    assert world.renew((400, {"error": "invalid_grant"})).token == theirs
    assert world.store.refusal_of(OLD.version) is None


# -- what others do meanwhile ---------------------------------------------------------------------


def test_signing_out_meanwhile_is_not_undone_and_the_new_tokens_are_revoked(world: World) -> None:
    world.http.on_request = world.store.remove
    with pytest.raises(SignInEnded, match="signed out"):
        world.renew((200, GRANT), (200, {}))
    assert world.store.load() is None
    assert world.http.requests[1].url == "https://id/revoke"
    assert world.http.forms[1]["token"] == "refresh-2"


def test_signing_in_anew_meanwhile_is_not_overwritten(world: World) -> None:
    other = Token(Secret("other-account"), Secret("other-r"), issuer=ISSUER)
    world.http.on_request = lambda: world.store.save(document_of(other))
    assert world.renew((200, GRANT)).token == other
    assert world.stored() == other and len(world.http.requests) == 1


def test_a_newer_generation_is_used_without_a_request(world: World) -> None:
    assert world.renew(rejected="another-token").token == OLD
    assert world.http.requests == []


def test_nothing_to_renew(world: World) -> None:
    world.store.remove()
    with pytest.raises(CredentialMissing):
        world.renew()


# -- where the tokens go --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "kept", "is_told"),
    [
        ("https://eu.gw.example.com/v1", "https://eu.gw.example.com/v1", False),
        ("https://evil.example.org/v1", OLD.resource_url, True),
        ("http://gw.example.com/v1", OLD.resource_url, True),
        ("https://me:pw@gw.example.com", OLD.resource_url, True),
        (OLD.resource_url, OLD.resource_url, False),
    ],
)
def test_the_endpoint_moves_only_within_its_organisation(
    world: World, said: str, kept: str, is_told: bool
) -> None:
    renewed = world.renew((200, {**GRANT, "resource_url": said}))
    assert renewed.token.resource_url == kept
    assert bool(renewed.notices) is is_told


def test_an_endpoint_that_the_user_chose_never_moves(world: World) -> None:
    pinned = msgspec.structs.replace(OLD, is_pinned=True)
    world.store.save(document_of(pinned))
    renewed = world.renew((200, {**GRANT, "resource_url": "https://eu.gw.example.com/v1"}))
    assert renewed.token.resource_url == OLD.resource_url and renewed.token.is_pinned
    assert open_store(world.store.ref).load() == document_of(renewed.token)
