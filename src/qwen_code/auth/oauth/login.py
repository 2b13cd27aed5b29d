"""Sign in by device flow: begin, show the code, poll until it is approved."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from qwen_code.auth.oauth.device_flow import DeviceFlow, Waiting
from qwen_code.auth.oauth.errors import SIGN_IN, CodeExpired, SignInFailed
from qwen_code.auth.oauth.pending import PendingFlow, PendingStore
from qwen_code.auth.oauth.pkce import Pkce
from qwen_code.auth.oauth.poll import Poll, PollAnswer, Poller
from qwen_code.auth.oauth.resource import QWEN_ISSUER
from qwen_code.auth.oauth.server import Server
from qwen_code.auth.oauth.token import Token, load_token
from qwen_code.auth.oauth.wire import (
    MAX_ANSWER_BYTES,
    MAX_ANSWER_S,
    DeviceAuthorization,
    ErrorAnswer,
    Trouble,
    device_authorization_request,
    parse_device_authorization,
)
from qwen_code.auth.stores.base import CredentialStore
from qwen_code.base.clock import Clock
from qwen_code.base.errors import QwenError
from qwen_code.base.http import Sender

_MAX_POLL_S = 60.0
"""An upper bound for one poll, from connecting to the last byte of the answer."""

_MARGIN_S = 1.0
"""After an unfinished poll of a process that died: the server may have read it later than that."""

_MOMENT_S = 1.0


class Display(Protocol):
    """Shows a sign-in to a person while it is waited for."""

    def show(self, flow: PendingFlow) -> None:
        """The address and the code, once."""

    def attention(self) -> AbstractContextManager[None]:
        """Held while the sign-in is waited for: the time in which keys are listened to."""

    def wait(self, seconds: float, left_s: float, trouble: str | None) -> None:
        """Let ``seconds`` pass; the code is valid for ``left_s`` more.

        Raises:
            SignInFailed: the person cancelled.
        """


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
    granted: Callable[[PollAnswer], object] = lambda _: None,
) -> Token:
    """Poll until the sign-in is approved; returns the tokens, which are stored.

    The flow is not pending any more when it ends, in whichever way; only an interrupt leaves it to
    be resumed. ``before`` is the version that was stored before it was shown: another process that
    waits for the same code may finish it. ``granted`` is called with the answer that ended it.

    Raises:
        SignInFailed: denied, expired, cancelled, or refused by the server.
    """
    try:
        with display.attention():
            granted(_wait(flow, pending, poller, clock, display))
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


def _wait(
    flow: PendingFlow, pending: PendingStore, poller: Poller, clock: Clock, display: Display
) -> PollAnswer:
    """The answer to the last poll, once the tokens are stored."""
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
        flow = _keep(flow, pending, machine.interval_s, clock.now() + _MAX_POLL_S)
        answer = _outcome(poller.start(flow), clock, display, deadline, trouble)
        if answer.is_granted:
            return answer
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


def _keep(
    flow: PendingFlow, pending: PendingStore, interval_s: float, polled_at: float
) -> PendingFlow:
    """Save the earliest time of the next poll, for a process that resumes the flow.

    Returns the flow with what another command has changed: the user's last word counts.

    Raises:
        SignInFailed: the flow is not pending any more.
    """
    not_before = polled_at + interval_s
    kept = pending.change(flow, interval_s=interval_s, not_before=not_before)
    if kept is None:
        raise SignInFailed("the sign-in ended in another process", hint=SIGN_IN)
    return kept


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
