from __future__ import annotations

import json
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from fake_clock import FakeClock

from qwen_code.auth.oauth.errors import CodeExpired, SignInFailed
from qwen_code.auth.oauth.login_flow import begin, finish
from qwen_code.auth.oauth.pending import PendingFlow, PendingStore
from qwen_code.auth.oauth.server import Server
from qwen_code.auth.oauth.store import FileStore
from qwen_code.auth.oauth.token import Issuer
from qwen_code.base.errors import TransportError

SERVER = Server(Issuer("https://id", "c", "https://id/token"), "https://id/device", "openid")
DEVICE = {
    "device_code": "secret-device-code",
    "user_code": "AB-CD",
    "verification_uri": "https://id/go",
    "expires_in": 60,
    "interval": 5,
}
PENDING = (400, {"error": "authorization_pending"})
GRANT = (200, {"access_token": "a", "refresh_token": "r", "token_type": "bearer", "expires_in": 9})


class FakeDisplay:
    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.waits: list[tuple[float, str | None]] = []
        self.waits_left: int | None = None
        """How many waits are not interrupted, if any is."""

    def show(self, flow: PendingFlow) -> None: ...

    def attention(self) -> AbstractContextManager[None]:
        return nullcontext()

    def wait(self, seconds: float, left_s: float, trouble: str | None) -> None:
        if self.waits_left is not None:
            self.waits_left -= 1
            if self.waits_left < 0:
                raise KeyboardInterrupt
        self.waits.append((seconds, trouble))
        self._clock.advance(seconds)


class FakeHttp:
    def __init__(self, clock: FakeClock, *answers: Any) -> None:
        self._clock = clock
        self._answers = list(answers)
        self.at: list[float] = []

    def send(self, request: Any) -> Any:
        self.at.append(self._clock.time)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return FakeResponse(*answer)


class FakeResponse:
    def __init__(self, status: int, body: Any) -> None:
        self.status, self._body = status, json.dumps(body).encode()
        self.headers: dict[str, str] = {}

    def read(self, limit_bytes: int = 0, *, within_s: float = 0) -> bytes:
        return self._body


class World:
    def __init__(self, directory: Path) -> None:
        self.clock = FakeClock(1000.0)
        self.display = FakeDisplay(self.clock)
        self.pending = PendingStore(directory / "oauth_pending.json")
        self.store = FileStore(directory / "oauth_creds.json")

    def begin(self, **changes: Any) -> PendingFlow:
        http = FakeHttp(self.clock, (200, {**DEVICE, **changes}))
        flow = begin(SERVER, http, self.clock, profile=None, request_id="1")
        self.pending.save(flow)
        return flow

    def finish(self, flow: PendingFlow, *answers: Any) -> FakeHttp:
        self.http = FakeHttp(self.clock, *answers)
        http: Any = self.http
        finish(flow, self.pending, self.store, http, self.clock, self.display)
        return self.http


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_polls_come_at_the_interval_and_the_tokens_are_stored(world: World) -> None:
    http = world.finish(world.begin(), PENDING, PENDING, GRANT)
    assert http.at == [1005, 1010, 1015]
    token = world.store.load()
    assert token is not None and token.access_token.reveal() == "a"
    assert token.expires_at_ms == 1024_000
    assert token.issuer == SERVER.issuer
    assert world.pending.load(world.clock.now()) is None


def test_without_the_complete_address_the_plain_one_is_shown(world: World) -> None:
    assert world.begin().url == "https://id/go"
    assert world.begin(verification_uri_complete="https://id/go?c").url == "https://id/go?c"


def test_trouble_is_shown_until_it_is_over(world: World) -> None:
    gone = TransportError("no route")
    http = world.finish(world.begin(), gone, (502, {}), PENDING, GRANT)
    assert http.at == [1005, 1015, 1035, 1040]
    assert [trouble for _, trouble in world.display.waits] == [
        *(None, "no route", "the server answered 502", None)
    ]


def test_it_ends_by_the_monotonic_clock(world: World) -> None:
    flow = world.begin()
    world.clock.wall_jump = 0
    with pytest.raises(CodeExpired):
        world.finish(flow, *[PENDING] * 20)
    assert world.http.at[-1] < 1060
    assert world.pending.load(world.clock.now()) is None


def test_a_flow_that_is_resumed_does_not_poll_early(world: World) -> None:
    flow = world.begin()
    world.display.waits_left = 1
    with pytest.raises(KeyboardInterrupt):  # the process dies while it waits for its second poll
        world.finish(flow, PENDING)
    kept = world.pending.load(world.clock.now())
    assert kept is not None and kept.not_before == 1010
    world.clock.advance(1)
    world.display.waits_left = None
    assert world.finish(kept, GRANT).at == [1010]


@pytest.mark.parametrize(("later_s", "next_poll"), [(0.01, 5), (1, 5), (30, 5), (64, 1), (70, 0)])
def test_a_flow_whose_process_died_in_a_poll_waits_for_a_whole_interval(
    world: World, later_s: float, next_poll: float
) -> None:
    """The server may have received that poll at any time until the process died."""
    flow = world.begin(expires_in=600)
    with pytest.raises(IndexError):
        world.finish(flow)
    world.clock.advance(later_s)
    kept = world.pending.load(world.clock.now())
    assert kept is not None
    assert world.finish(kept, GRANT).at == [pytest.approx(1005 + later_s + next_poll)]


def test_slow_down_is_remembered_over_a_crash(world: World) -> None:
    flow = world.begin()
    with pytest.raises(IndexError):
        world.finish(flow, (429, {"error": "slow_down"}))
    kept = world.pending.load(world.clock.now())
    assert kept is not None and kept.interval_s == 10


def test_a_clock_set_forward_by_hours_does_not_end_a_flow_that_runs(world: World) -> None:
    flow = world.begin()
    start = world.display.wait

    def jump(seconds: float, left_s: float, trouble: str | None) -> None:
        world.clock.wall_jump = 3 * 3600
        start(seconds, left_s, trouble)

    world.display.wait = jump  # type: ignore[method-assign]
    world.finish(flow, PENDING, GRANT)
    assert world.store.load() is not None


@pytest.mark.parametrize("url", ["http://elsewhere.example/v1", "https://u:p@x.example"])
def test_an_endpoint_that_may_not_have_the_token_is_refused(world: World, url: str) -> None:
    grant = (200, {**GRANT[1], "resource_url": url})
    with pytest.raises(SignInFailed, match="endpoint"):
        world.finish(world.begin(), grant)
    assert world.store.load() is None


def test_no_secret_is_shown(world: World) -> None:
    flow = world.begin()
    assert "secret-device-code" not in repr(flow)
    assert flow.verifier not in repr(flow)


def test_a_pending_file_that_is_damaged_or_over_is_none(world: World, tmp_path: Path) -> None:
    flow = world.begin()
    assert world.pending.load(flow.expires_at) is None
    (tmp_path / "oauth_pending.json").write_bytes(b"\xff")
    assert world.pending.load(0) is None


@pytest.mark.parametrize("status", [404, 500])
def test_a_server_that_gives_no_code_is_named(world: World, status: int) -> None:
    http: Any = FakeHttp(world.clock, (status, {}))
    with pytest.raises(SignInFailed, match="https://id gave no code"):
        begin(SERVER, http, world.clock, profile=None, request_id="1")


def test_the_end_of_the_free_service_is_said_for_qwen_ai(world: World) -> None:
    http: Any = FakeHttp(world.clock, (404, {}))
    issuer = Issuer("https://chat.qwen.ai", "c", "https://chat.qwen.ai/token")
    server = Server(issuer, "https://chat.qwen.ai/device", "openid")
    with pytest.raises(SignInFailed) as caught:
        begin(server, http, world.clock, profile=None, request_id="1")
    assert "15 April 2026" in (caught.value.hint or "")
