from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fake_clock import FakeClock

from qwen_code.auth.oauth.errors import CodeExpired, SignInFailed
from qwen_code.auth.oauth.login import begin, finish
from qwen_code.auth.oauth.pending import PendingFlow, PendingStore
from qwen_code.auth.oauth.poll import Poll, PollAnswer, poll_once
from qwen_code.auth.oauth.server import Server
from qwen_code.auth.oauth.token import Issuer, Token, document_of, load_token
from qwen_code.auth.stores.file import FileStore
from qwen_code.base.errors import ConfigError, TransportError
from qwen_code.base.files import LockHeld
from qwen_code.base.secret import Secret

SERVER = Server(
    Issuer("https://id", "c", "https://id/token", "https://id/revoke"),
    "https://id/device",
    "openid",
    is_discovered=True,
)
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
        self.revoked: list[str] = []
        self.before_answer: Callable[[], object] = lambda: None

    def send(self, request: Any) -> Any:
        if request.url.endswith("/revoke"):
            self.revoked.append(request.body.decode())
            return FakeResponse(200, {})
        self.at.append(self._clock.time)
        self.before_answer()
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return FakeResponse(*answer)


class FakeResponse:
    def __init__(self, status: int, body: Any) -> None:
        self.status = status
        self._body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.headers: dict[str, str] = {}

    def read(self, limit_bytes: int = 0, *, within_s: float = 0) -> bytes:
        return self._body


class HerePoller:
    """Polls at once, in this process."""

    def __init__(self, world: World) -> None:
        self._world = world

    def start(self, flow: PendingFlow) -> Poll:
        return Polled(self._world.poll(flow))


class Polled:
    def __init__(self, answer: PollAnswer) -> None:
        self._answer = answer

    def wait(self, timeout_s: float) -> PollAnswer | None:
        return self._answer


class World:
    def __init__(self, directory: Path) -> None:
        self.clock = FakeClock(1000.0)
        self.display = FakeDisplay(self.clock)
        self.pending = PendingStore(directory / "pending", directory / "oauth_pending.json")
        self.store = FileStore(directory / "oauth_creds.json", pause=lambda _: None)
        self.http = FakeHttp(self.clock)
        self.before: str | None = None

    def begin(
        self,
        profile: str | None = None,
        resource_url: str | None = None,
        server: Server = SERVER,
        **changes: Any,
    ) -> PendingFlow:
        http: Any = FakeHttp(self.clock, (200, {**DEVICE, **changes}))
        flow = begin(
            server, http, self.clock, profile=profile, request_id="1", resource_url=resource_url
        )
        self.pending.save(flow)
        return flow

    def poll(self, flow: PendingFlow) -> PollAnswer:
        http: Any = self.http
        return poll_once(flow, self.pending, self.store, http, self.clock)

    def answers(self, *answers: Any) -> FakeHttp:
        self.http = FakeHttp(self.clock, *answers)
        return self.http

    def finish(self, flow: PendingFlow, *answers: Any) -> FakeHttp:
        self.answers(*answers)
        finish(
            flow,
            self.pending,
            self.store,
            HerePoller(self),
            self.clock,
            self.display,
            before=self.before,
        )
        return self.http

    def stored(self) -> Token | None:
        return load_token(self.store)

    def kept(self) -> PendingFlow | None:
        return next(iter(self.pending.all(self.clock.now())), None)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_polls_come_at_the_interval_and_the_tokens_are_stored(world: World) -> None:
    http = world.finish(world.begin(), PENDING, PENDING, GRANT)
    assert http.at == [1005, 1010, 1015]
    token = world.stored()
    assert token is not None and token.access_token.reveal() == "a"
    assert token.expires_at_ms == 1024_000
    assert token.issuer == SERVER.issuer
    assert world.kept() is None


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
    assert world.kept() is None


def test_a_flow_that_is_resumed_does_not_poll_early(world: World) -> None:
    flow = world.begin()
    world.display.waits_left = 1
    with pytest.raises(KeyboardInterrupt):  # the process dies while it waits for its second poll
        world.finish(flow, PENDING)
    kept = world.kept()
    assert kept is not None and kept.not_before == 1010
    world.clock.advance(1)
    world.display.waits_left = None
    assert world.finish(kept, GRANT).at == [1010]


@pytest.mark.parametrize(("later_s", "next_poll"), [(0.01, 6), (1, 6), (30, 6), (64, 1), (70, 0)])
def test_a_flow_whose_process_died_in_a_poll_waits_for_a_whole_interval(
    world: World, later_s: float, next_poll: float
) -> None:
    """The server may have received that poll at any time until the process died, or just after."""
    flow = world.begin(expires_in=600)
    with pytest.raises(IndexError):
        world.finish(flow)
    world.clock.advance(later_s)
    kept = world.kept()
    assert kept is not None
    assert world.finish(kept, GRANT).at == [pytest.approx(1005 + later_s + next_poll)]


def test_slow_down_is_remembered_over_a_crash(world: World) -> None:
    flow = world.begin()
    with pytest.raises(IndexError):
        world.finish(flow, (429, {"error": "slow_down"}))
    kept = world.kept()
    assert kept is not None and kept.interval_s == 10


def test_a_clock_set_forward_by_hours_does_not_end_a_flow_that_runs(world: World) -> None:
    flow = world.begin()
    start = world.display.wait

    def jump(seconds: float, left_s: float, trouble: str | None) -> None:
        world.clock.wall_jump = 3 * 3600
        start(seconds, left_s, trouble)

    world.display.wait = jump  # type: ignore[method-assign]
    world.finish(flow, PENDING, GRANT)
    assert world.stored() is not None


def test_no_secret_is_shown(world: World) -> None:
    flow = world.begin()
    assert "secret-device-code" not in repr(flow)
    assert flow.verifier not in repr(flow)


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


# -- tokens that come in whatever shape -----------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        (201, GRANT[1]),
        (200, b"\xef\xbb\xbf" + json.dumps(GRANT[1]).encode()),
        (200, {**GRANT[1], "token_type": "BEARER"}),
        (200, {"access_token": "a", "refresh_token": "r"}),
        (200, {**GRANT[1], "token_type": None}),
        (200, {**GRANT[1], "resource_url": "http://elsewhere.example/v1"}),
        (200, {**GRANT[1], "resource_url": "https://u:p@x.example"}),
        (200, {**GRANT[1], "resource_url": 5}),
    ],
    ids=["201", "bom", "case", "bare", "null type", "plain http", "user info", "number"],
)
def test_an_approved_sign_in_is_kept(world: World, answer: Any) -> None:
    """An endpoint that cannot be used is the problem of the requests, and the user can name one."""
    world.finish(world.begin(), PENDING, answer)
    token = world.stored()
    assert token is not None and token.access_token.reveal() == "a"
    assert world.kept() is None


def test_the_users_endpoint_goes_before_the_servers(world: World) -> None:
    flow = world.begin(resource_url="https://mine.example/v1")
    world.finish(flow, (200, {**GRANT[1], "resource_url": "theirs.example"}))
    token = world.stored()
    assert token is not None and token.is_pinned
    assert token.resource_url == "https://mine.example/v1"


def test_tokens_of_another_type_are_refused_and_revoked(world: World) -> None:
    flow = world.begin()
    with pytest.raises(SignInFailed, match="unsupported_token_type"):
        world.finish(flow, (200, {**GRANT[1], "token_type": "mac"}))
    assert world.stored() is None and world.kept() is None
    assert "token=r" in world.http.revoked[0]


# -- nothing is lost ------------------------------------------------------------------------------


def test_a_full_disk_is_waited_for_before_the_server_is_asked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = world.begin()
    reserve = world.store.reserve
    tries = []

    def full_at_first() -> Any:
        tries.append(world.clock.time)
        if len(tries) < 3:
            raise ConfigError("cannot write it: No space left on device")
        return reserve()

    monkeypatch.setattr(world.store, "reserve", full_at_first)
    http = world.finish(flow, GRANT)
    assert len(tries) == 3 and len(http.at) == 1
    assert "No space left" in str(world.display.waits[-1][1])
    assert world.stored() is not None


def test_tokens_that_cannot_be_stored_in_spite_of_the_room_are_revoked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = world.begin()

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "replace", fail)
    http = world.answers(GRANT)
    answer = world.poll(flow)
    assert not answer.is_granted and "could not be stored" in (answer.failure or "")
    assert "token=r" in http.revoked[0]
    monkeypatch.undo()
    assert world.kept() is None


def test_tokens_of_a_sign_in_that_was_cancelled_meanwhile_are_revoked(world: World) -> None:
    flow = world.begin()
    http = world.answers(GRANT)
    http.before_answer = lambda: world.pending.clear(flow)
    answer = world.poll(flow)
    assert "cancelled" in (answer.failure or "") and "token=r" in http.revoked[0]
    assert world.stored() is None


def test_a_process_that_waits_for_a_code_that_another_one_used_is_signed_in(world: World) -> None:
    flow = world.begin()
    waited = world.display.wait

    def wait(seconds: float, left_s: float, trouble: str | None) -> None:
        if not world.display.waits:  # the orphan of a killed process is answered meanwhile
            world.answers(GRANT)
            assert world.poll(flow).is_granted
            world.answers((400, {"error": "invalid_grant"}))
        waited(seconds, left_s, trouble)

    world.display.wait = wait  # type: ignore[method-assign]
    token = finish(
        flow, world.pending, world.store, HerePoller(world), world.clock, world.display, before=None
    )
    assert token.access_token.reveal() == "a"


def test_a_code_that_ended_does_not_count_as_signed_in_because_of_an_older_sign_in(
    world: World,
) -> None:
    old = Token(Secret("old"))
    world.store.save(document_of(old))
    world.before = old.version
    with pytest.raises(SignInFailed):
        world.finish(world.begin(), (400, {"error": "invalid_grant"}))
    assert world.kept() is None


class SlowPoll:
    """A poll whose answer comes once time has passed."""

    def __init__(self, clock: FakeClock, answer: PollAnswer, after_s: float) -> None:
        self._clock, self._answer, self._at = clock, answer, clock.time + after_s

    def wait(self, timeout_s: float) -> PollAnswer | None:
        return self._answer if self._clock.time >= self._at else None


def test_a_slow_poll_is_waited_for_with_the_persons_attention(world: World) -> None:
    flow = world.begin(expires_in=600)

    class SlowPoller:
        def start(self, flow: PendingFlow) -> Poll:
            world.answers(GRANT)
            return SlowPoll(world.clock, world.poll(flow), 20)

    finish(flow, world.pending, world.store, SlowPoller(), world.clock, world.display, before=None)
    assert len(world.display.waits) > 15


def test_cancelling_in_the_middle_of_a_poll_takes_the_code_back(world: World) -> None:
    flow = world.begin(expires_in=600)

    class SlowPoller:
        def start(self, flow: PendingFlow) -> Poll:
            return SlowPoll(world.clock, PollAnswer(), 20)

    waited = world.display.wait

    def wait(seconds: float, left_s: float, trouble: str | None) -> None:
        waited(seconds, left_s, trouble)
        if len(world.display.waits) > 3:
            raise SignInFailed("the sign-in was cancelled")

    world.display.wait = wait  # type: ignore[method-assign]
    with pytest.raises(SignInFailed, match="cancelled"):
        finish(
            flow, world.pending, world.store, SlowPoller(), world.clock, world.display, before=None
        )
    assert world.kept() is None  # so that the poll under way revokes what it may get


# -- several at once ------------------------------------------------------------------------------

OTHER = Server(
    Issuer("https://other", "c", "https://other/token"),
    "https://other/device",
    "",
    is_discovered=True,
)


def test_sign_ins_of_two_profiles_do_not_see_each_other(world: World) -> None:
    first = world.begin("a", device_code="code-a")
    second = world.begin("b", device_code="code-b")
    assert world.pending.find("a", SERVER, 1000) == first
    assert world.pending.find("b", SERVER, 1000) == second
    world.finish(first, GRANT)
    assert world.pending.all(1000) == [second]
    world.finish(second, GRANT)
    assert world.pending.all(1000) == []


def test_sign_ins_at_two_servers_do_not_see_each_other(world: World) -> None:
    first = world.begin("a", device_code="code-1")
    second = world.begin("a", server=OTHER, device_code="code-2")
    assert world.pending.find("a", SERVER, 1000) == first
    assert world.pending.find("a", OTHER, 1000) == second


def test_a_flow_that_gave_way_to_another_does_not_end_that(world: World) -> None:
    first = world.begin("a", device_code="code-1")
    second = world.begin("a", device_code="code-2")
    world.pending.clear(first)
    assert world.pending.current(first) is None
    assert world.pending.current(second) == second


def test_signing_out_forgets_the_flows_of_that_profile(world: World) -> None:
    world.begin("a", device_code="code-1")
    world.begin("a", server=OTHER, device_code="code-2")
    kept = world.begin("b", device_code="code-3")
    ended = world.pending.clear_profile("a", 1000)
    assert {flow.device_code for flow in ended} == {"code-1", "code-2"}
    assert world.pending.all(1000) == [kept]


@pytest.mark.parametrize("name", ["a/b", "..", "x.y", "ü", "work", ""])
def test_any_profiles_flow_is_kept_in_its_own_private_file(
    world: World, name: str, tmp_path: Path
) -> None:
    flow = world.begin(name)
    (file,) = (tmp_path / "pending").iterdir()
    assert file.stat().st_mode & 0o077 == 0
    assert world.pending.find(name, SERVER, 1000) == flow


def test_a_flow_that_is_damaged_or_over_is_none(world: World, tmp_path: Path) -> None:
    flow = world.begin()
    assert world.pending.all(flow.expires_at) == []
    (file,) = (tmp_path / "pending").iterdir()
    file.write_bytes(b"\xff")
    assert world.pending.all(0) == []


def test_a_flow_of_the_version_before_can_be_finished(world: World, tmp_path: Path) -> None:
    flow = world.begin("qwen-oauth")
    raw = json.loads(next((tmp_path / "pending").iterdir()).read_text())
    next((tmp_path / "pending").iterdir()).unlink()
    for key in ("model", "resource_url"):
        raw.pop(key)
    raw["server"].pop("is_discovered")
    (tmp_path / "oauth_pending.json").write_text(json.dumps(raw))
    former = world.pending.find("qwen-oauth", SERVER, 1000)
    assert former is not None and former.device_code == flow.device_code
    world.finish(former, PENDING, GRANT)
    assert world.stored() is not None
    assert world.pending.all(1000) == [] and not (tmp_path / "oauth_pending.json").exists()


def test_a_change_leaves_what_another_process_has_changed(world: World) -> None:
    flow = world.begin("a", resource_url="https://wrong.example/v1")
    world.pending.change(flow, resource_url="https://right.example/v1")
    kept = world.pending.change(flow, interval_s=9.0)
    assert kept == world.kept()
    assert kept is not None
    assert (kept.resource_url, kept.interval_s) == ("https://right.example/v1", 9.0)


def test_a_flow_that_has_ended_is_not_pending_again_after_a_change(world: World) -> None:
    flow = world.begin("a")
    world.pending.clear(flow)
    assert world.pending.change(flow, interval_s=9.0) is None
    assert world.kept() is None


def test_a_flow_is_continued_only_for_the_same_request(world: World) -> None:
    flow = world.begin("a")
    client = msgspec.structs.replace(SERVER.issuer, client_id="other")
    for server in (
        msgspec.structs.replace(SERVER, scope="other"),
        msgspec.structs.replace(SERVER, issuer=client),
    ):
        assert world.pending.find("a", server, 1000) is None
        assert world.pending.of("a", server, 1000) == [flow]
    assert world.pending.find("a", SERVER, 1000) == flow
    assert world.pending.of("a", OTHER, 1000) == world.pending.of("b", SERVER, 1000) == []


def test_the_endpoint_counts_that_is_named_while_a_poll_is_under_way(world: World) -> None:
    flow = world.begin(resource_url="https://wrong.example/v1")
    http = world.answers(GRANT)
    http.before_answer = lambda: world.pending.change(
        flow, resource_url="https://right.example/v1", model="m2"
    )
    assert world.poll(flow).model == "m2"
    token = world.stored()
    assert token is not None and token.resource_url == "https://right.example/v1"


def test_only_one_process_at_a_time_begins_a_flow(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qwen_code.auth.oauth.pending._BEGIN_TIMEOUT_S", 0.0)
    with world.pending.beginning("a", SERVER):
        scope = msgspec.structs.replace(SERVER, scope="other")
        with pytest.raises(LockHeld), world.pending.beginning("a", scope):
            pass
        with world.pending.beginning("b", SERVER), world.pending.beginning("a", OTHER):
            pass


def test_long_names_have_pending_flows_of_their_own(world: World) -> None:
    """A name of 64 characters can take 576 bytes in a file name, which has 255."""
    one = world.begin(profile="\u65e5" * 63 + "1")
    other = world.begin(profile="\u65e5" * 63 + "2")
    for flow in (one, other):
        world.pending.save(flow)
    assert [world.pending.current(flow) for flow in (one, other)] == [one, other]
