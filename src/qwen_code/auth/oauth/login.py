"""Sign in by device flow: begin, poll until it is approved, store the tokens.

Each poll is made by a detached process, since the one that is answered with tokens must not be lost
with a terminal or to Ctrl-C: the process that gets the tokens stores them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import msgspec

from qwen_code.auth.oauth.device_flow import DeviceFlow, Waiting
from qwen_code.auth.oauth.errors import SIGN_IN, CodeExpired, SignInFailed
from qwen_code.auth.oauth.pending import PendingFlow, PendingStore
from qwen_code.auth.oauth.pkce import Pkce
from qwen_code.auth.oauth.resource import QWEN_ISSUER
from qwen_code.auth.oauth.revocation import revoke
from qwen_code.auth.oauth.server import Server
from qwen_code.auth.oauth.token import Token, account_name, document_of, load_token
from qwen_code.auth.oauth.wire import (
    MAX_ANSWER_BYTES,
    MAX_ANSWER_S,
    DeviceAuthorization,
    ErrorAnswer,
    Grant,
    Trouble,
    device_authorization_request,
    device_token_request,
    parse_device_authorization,
    parse_grant,
)
from qwen_code.auth.stores.base import CredentialStore, Reservation
from qwen_code.auth.stores.refs import open_store
from qwen_code.base.clock import BlockingClock, Clock
from qwen_code.base.detached import DetachedProcess, serve
from qwen_code.base.errors import ConfigError, QwenError, TransportError
from qwen_code.base.http import HttpClient, Network, Sender, Timeouts
from qwen_code.base.json_text import decode_json
from qwen_code.base.stop import Stop

TIMEOUTS = Timeouts(connect_s=10, first_byte_s=30, idle_s=15)

_MAX_POLL_S = 60.0
"""An upper bound for one poll, from connecting to the last byte of the answer."""

_MARGIN_S = 1.0
"""After an unfinished poll of a process that died: the server may have read it later than that."""

_MOMENT_S = 1.0


class Display(Protocol):
    """Shows a sign-in to a person, and lets time pass meanwhile."""

    def show(self, flow: PendingFlow) -> None:
        """The address and the code, once."""

    def attention(self) -> AbstractContextManager[None]:
        """Held while the sign-in is waited for: the time in which keys are listened to."""

    def wait(self, seconds: float, left_s: float, trouble: str | None) -> None:
        """Let ``seconds`` pass; the code is valid for ``left_s`` more.

        Raises:
            SignInFailed: the person cancelled.
        """


class PollAnswer(msgspec.Struct, frozen=True):
    """The outcome of one poll. ``is_granted``: the tokens are stored. ``failure`` is why tokens
    that were granted could not be stored."""

    is_granted: bool = False
    error: ErrorAnswer | None = None
    trouble: Trouble | None = None
    failure: str | None = None


class Poll(Protocol):
    """A poll under way."""

    def wait(self, timeout_s: float) -> PollAnswer | None:
        """Its outcome; ``None`` if it is not there in time."""


class Poller(Protocol):
    """Starts polls."""

    def start(self, flow: PendingFlow) -> Poll: ...


def begin(
    server: Server,
    http: Sender,
    clock: Clock,
    *,
    profile: str | None,
    request_id: str,
    model: str | None = None,
    resource_url: str | None = None,
    pkce: Pkce | None = None,
) -> PendingFlow:
    """Ask the server for a code.

    Raises:
        SignInFailed: the server gives none.
        TransportError: it cannot be reached.
    """
    pkce = pkce or Pkce.new()
    request = device_authorization_request(
        server.device_authorization_endpoint,
        server.issuer,
        server.scope,
        pkce,
        request_id,
    )
    response = http.send(request)
    body = response.read(MAX_ANSWER_BYTES, within_s=MAX_ANSWER_S)
    now = clock.now()
    answer = parse_device_authorization(response.status, response.headers, body, now=now)
    if not isinstance(answer, DeviceAuthorization):
        raise _no_code(server, answer)
    return PendingFlow(
        server,
        answer.device_code.reveal(),
        pkce.verifier.reveal(),
        answer.user_code,
        answer.verification_uri,
        answer.verification_uri_complete,
        answer.interval_s,
        now + answer.expires_in_s,
        now + answer.interval_s,
        profile,
        model,
        resource_url,
    )


def finish(
    flow: PendingFlow,
    pending: PendingStore,
    store: CredentialStore,
    poller: Poller,
    clock: Clock,
    display: Display,
    *,
    before: str | None,
) -> Token:
    """Poll until the sign-in is approved; returns the tokens, which are stored.

    The flow is not pending any more when it ends, in whichever way; only an interrupt leaves it to
    be resumed. ``before`` is the version that was stored before it was shown: another process that
    waits for the same code may finish it.

    Raises:
        SignInFailed: denied, expired, cancelled, or refused by the server.
    """
    try:
        with display.attention():
            _wait(flow, pending, poller, clock, display)
    except SignInFailed:
        was_pending = pending.current(flow) is not None
        pending.clear(flow)
        if was_pending or stored_version(store) == before:
            raise
        # Another process has finished it: its tokens are there.
    token = load_token(store)
    if token is None:
        raise SignInFailed("the sign-in was removed by another process", hint=SIGN_IN)
    return token


def poll_once(
    flow: PendingFlow, pending: PendingStore, store: CredentialStore, http: Sender, clock: Clock
) -> PollAnswer:
    """Ask once whether the sign-in is approved; store the tokens if it is.

    The room for them is taken before the server is asked. Tokens that cannot be used or stored are
    revoked, and a code that was used is not pending any more.
    """
    try:
        with store.reserve() as room:
            return _ask(flow, pending, room, http, clock)
    except ConfigError as error:  # no room: the server was not asked
        return PollAnswer(trouble=Trouble(error.message))


def _ask(
    flow: PendingFlow, pending: PendingStore, room: Reservation, http: Sender, clock: Clock
) -> PollAnswer:
    try:
        response = http.send(device_token_request(flow.server.issuer, *flow.secrets()))
        body = response.read(MAX_ANSWER_BYTES, within_s=MAX_ANSWER_S)
    except TransportError as error:
        return PollAnswer(trouble=Trouble(error.message))
    answer = parse_grant(response.status, response.headers, body, now=clock.now())
    if isinstance(answer, Trouble):
        return PollAnswer(trouble=answer)
    if isinstance(answer, ErrorAnswer):
        if answer.unusable is not None:
            revoke(_token(answer.unusable, flow, clock.now()), flow.server.issuer, http)
        return PollAnswer(error=msgspec.structs.replace(answer, unusable=None))
    token = _token(answer, flow, clock.now())
    failure = None
    if pending.current(flow) is None:
        failure = "the sign-in was cancelled"
    else:
        try:
            room.commit(document_of(token))
        except QwenError as error:
            failure = f"the sign-in could not be stored: {error.message}"
    if failure:
        failure = f"{failure} ({revoke(token, flow.server.issuer, http)})"
    pending.clear(flow)
    return PollAnswer(is_granted=failure is None, failure=failure)


def _token(grant: Grant, flow: PendingFlow, now: float) -> Token:
    lifetime = grant.expires_in_s
    return Token(
        grant.access_token,
        grant.refresh_token,
        flow.resource_url or grant.resource_url,
        None if lifetime is None else round((now + lifetime) * 1000),
        lifetime,
        grant.scope,
        grant.id_token,
        flow.server.issuer,
        account_name(grant.id_token),
        is_pinned=flow.resource_url is not None,
    )


def _wait(
    flow: PendingFlow, pending: PendingStore, poller: Poller, clock: Clock, display: Display
) -> None:
    """Until the tokens are stored."""
    # The wall clock only tells how much is left of a flow that another process began.
    wall, start = clock.now(), clock.monotonic()
    deadline = start + max(0.0, flow.expires_at - wall)
    not_before = start + min(max(0.0, flow.not_before - wall), flow.interval_s + _MARGIN_S)
    machine = DeviceFlow(
        interval_s=flow.interval_s,
        deadline=deadline,
        not_before=not_before,
        ends_with_401=not flow.server.is_discovered,
    )
    trouble = None
    while True:
        try:
            poll_at = machine.next_poll
        except CodeExpired:
            display.wait(max(0.0, deadline - clock.monotonic()), 0.0, trouble)
            raise
        if (wait := poll_at - clock.monotonic()) > 0:
            display.wait(wait, deadline - clock.monotonic(), trouble)
        # If this process is killed during the poll, it is not known when the server read it. A
        # process that resumes the flow then waits a whole interval.
        _keep(flow, pending, machine.interval_s, clock.now() + _MAX_POLL_S)
        answer = _outcome(poller.start(flow), clock, display, deadline, trouble)
        if answer.is_granted:
            return
        if answer.failure:
            raise SignInFailed(answer.failure, hint=SIGN_IN)
        outcome = answer.error or answer.trouble or Trouble("the poll had no outcome")
        decision = machine.answered(outcome, clock.monotonic())
        assert isinstance(decision, Waiting)
        trouble = decision.trouble
        _keep(flow, pending, machine.interval_s, clock.now())


def _outcome(
    poll: Poll, clock: Clock, display: Display, deadline: float, trouble: str | None
) -> PollAnswer:
    """The answer to a poll. A slow one is waited for with the person's attention."""
    give_up = clock.monotonic() + _MAX_POLL_S
    answer = poll.wait(_MOMENT_S)
    while answer is None and clock.monotonic() < give_up:
        display.wait(_MOMENT_S, max(0.0, deadline - clock.monotonic()), trouble)
        answer = poll.wait(0)
    return answer or PollAnswer(trouble=Trouble("the server does not answer"))


def _keep(flow: PendingFlow, pending: PendingStore, interval_s: float, polled_at: float) -> None:
    """Save the earliest time of the next poll, for a process that resumes the flow.

    Raises:
        SignInFailed: the flow is not pending any more.
    """
    if pending.current(flow) is None:
        raise SignInFailed("the sign-in ended in another process", hint=SIGN_IN)
    not_before = polled_at + interval_s
    pending.save(msgspec.structs.replace(flow, interval_s=interval_s, not_before=not_before))


def stored_version(store: CredentialStore) -> str | None:
    """The version of the stored token; ``None`` if there is none, or none that can be read."""
    try:
        token = load_token(store)
    except QwenError:
        return None
    return token.version if token else None


def _no_code(server: Server, answer: ErrorAnswer | Trouble) -> SignInFailed:
    what = answer.reason if isinstance(answer, Trouble) else str(answer)
    hint = "Try again in a while." if isinstance(answer, Trouble) else SIGN_IN
    if server.issuer.name == QWEN_ISSUER:
        hint = (
            "qwen.ai ended its free sign-in on 15 April 2026. Use an API key (qwen auth login "
            "--method openai), the embedded model (qwen local pull), or your own OAuth server "
            "(--issuer)."
        )
    failed = SignInFailed(f"{server.issuer.name} gave no code to sign in with: {what}", hint=hint)
    failed.code = answer.error if isinstance(answer, ErrorAnswer) else None
    return failed


# -- polls in a detached process ------------------------------------------------------------------


class PollJob(msgspec.Struct, frozen=True):
    """All that the process needs; ``ref`` names the store."""

    ref: str
    flow: PendingFlow
    pending_dir: str
    former_file: str | None
    network: Network
    user_agent: str

    def run(self) -> PollAnswer:
        """Poll once, in this process."""
        http = HttpClient(
            self.network, user_agent=self.user_agent, timeouts=TIMEOUTS, keep_alive=False
        )
        former = Path(self.former_file) if self.former_file else None
        pending = PendingStore(Path(self.pending_dir), former)
        return poll_once(self.flow, pending, open_store(self.ref), http, BlockingClock())


class ProcessPoller:
    """Starts each poll in a detached process, or polls here if none can be started.

    ``module`` is run as a program with what ``job`` makes of the flow; ``work`` is what it does.
    """

    def __init__(
        self,
        module: str,
        job: Callable[[PendingFlow], bytes],
        work: Callable[[bytes], bytes],
        environ: Mapping[str, str],
        cwd: Path,
    ) -> None:
        self._module = module
        self._job = job
        self._work = work
        self._environ = environ
        self._cwd = cwd

    def start(self, flow: PendingFlow) -> Poll:
        job = self._job(flow)
        try:
            process = DetachedProcess(self._module, job, environ=self._environ, cwd=self._cwd)
        except OSError:
            return _Polled(self._work(job))
        return _Polling(process)


class _Polled:
    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def wait(self, timeout_s: float) -> PollAnswer | None:
        return _decoded(self._answer)


class _Polling:
    def __init__(self, process: DetachedProcess) -> None:
        self._process = process

    def wait(self, timeout_s: float) -> PollAnswer | None:
        answer = self._process.wait(Stop(), timeout_s=timeout_s)
        return None if answer is None else _decoded(answer)


def _decoded(answer: bytes) -> PollAnswer:
    try:
        return decode_json(answer, PollAnswer)
    except msgspec.DecodeError:
        return PollAnswer(trouble=Trouble("the process that polls ended without an answer"))


def work(data: bytes) -> bytes:
    """A `PollJob` in, a `PollAnswer` out, both as JSON."""
    return msgspec.json.encode(msgspec.json.decode(data, type=PollJob).run())


if __name__ == "__main__":
    serve(work)
