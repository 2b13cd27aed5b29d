"""Seven days with a clock that is moved by hand: two processes, short tokens, a sleeping laptop."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from fake_clock import FakeClock

from qwen_code.auth.oauth.errors import RefreshFailed
from qwen_code.auth.oauth.exchange import renew
from qwen_code.auth.oauth.renewer import Report
from qwen_code.auth.oauth.sign_in import SignIn
from qwen_code.auth.oauth.token import Issuer, Token, document_of
from qwen_code.auth.stores.base import CredentialStore
from qwen_code.auth.stores.file import FileStore
from qwen_code.base.errors import QwenError, TransportError
from qwen_code.base.secret import Secret
from qwen_code.base.stop import Stop

ISSUER = Issuer("https://id.example", "c", "https://id.example/token")
LIFETIME_S = 900


class FakeResponse:
    def __init__(self, status: int, body: bytes) -> None:
        self.status, self._body = status, body
        self.headers: dict[str, str] = {}

    def read(self, limit_bytes: int = 0, *, within_s: float = 0) -> bytes:
        return self._body


class FakeServer:
    """Rotates, and ends the sign-in if a refresh token comes twice. Sometimes it is away."""

    def __init__(self, clock: FakeClock, chance: random.Random) -> None:
        self._clock = clock
        self._chance = chance
        self.current = "r-0"
        self.ends: dict[str, float] = {}
        self.count = 0
        self.reuses = 0

    def send(self, request: Any) -> Any:
        if self._chance.random() < 0.1:
            raise TransportError("no route", code="connect", retryable=True)
        if self._chance.random() < 0.1:
            return FakeResponse(503, b"")
        if f"refresh_token={self.current}&".encode() not in request.body:
            self.reuses += 1
            return FakeResponse(400, b'{"error":"invalid_grant"}')
        self.count += 1
        self.current, access = f"r-{self.count}", f"access-{self.count}"
        self.ends[access] = self._clock.time + LIFETIME_S
        text = '{"access_token":"%s","refresh_token":"%s","token_type":"Bearer","expires_in":900}'
        return FakeResponse(200, (text % (access, self.current)).encode())

    def accepts(self, token: Secret) -> bool:
        return self.ends.get(token.reveal(), 0) > self._clock.time


class HereRenewer:
    """Renews at once, in this process."""

    def __init__(self, server: FakeServer, clock: FakeClock) -> None:
        self._server, self._clock = server, clock

    def start(self, store: CredentialStore, rejected: Secret | None) -> Any:
        try:
            renewed = renew(
                store,
                self._server,
                self._clock,
                rejected=rejected,
                default_issuer=ISSUER,
                jitter=lambda: 0.5,
            )
            report = Report(renewed.notices)
        except QwenError as error:
            report = Report((), None, type(error).__name__, error.message, error.hint, error.code)
        return type("Done", (), {"wait": lambda _, stop: report})()


@pytest.mark.parametrize("seed", range(5))
def test_nobody_is_signed_out_in_a_week(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    clock = FakeClock(1_000_000.0)
    server = FakeServer(clock, chance)
    path = tmp_path / "oauth_creds.json"
    FileStore(path).save(
        document_of(Token(Secret("access-none"), Secret("r-0"), expires_at_ms=0, issuer=ISSUER))
    )
    processes = [
        SignIn(FileStore(path), HereRenewer(server, clock), clock, lambda _: None) for _ in range(2)
    ]
    served = failed = 0
    while clock.time < 1_000_000 + 7 * 86400:
        clock.advance(chance.choice([1, 20, 300, 600, 890, 3600, 8 * 3600]))
        sign_in = chance.choice(processes)
        try:
            token = sign_in.current(Stop())
            if not server.accepts(token):
                assert sign_in.replace(token, Stop())
                token = sign_in.current(Stop())
        except QwenError as error:
            assert isinstance(error, RefreshFailed), (
                error.message
            )  # away for a moment, never signed out
            failed += 1
            continue
        assert server.accepts(token)
        served += 1
    assert server.reuses == 0
    assert served > 50 and failed < served / 20
