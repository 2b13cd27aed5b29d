"""Drives a sign-in by device flow: begin, wait for approval, store the tokens."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack, suppress
from typing import Protocol

import msgspec

from qwen_code.auth.oauth.account import account_name
from qwen_code.auth.oauth.device_flow import DeviceFlow, Waiting
from qwen_code.auth.oauth.errors import SIGN_IN, CodeExpired, SignInFailed
from qwen_code.auth.oauth.pending import PendingFlow, PendingStore
from qwen_code.auth.oauth.pkce import Pkce
from qwen_code.auth.oauth.refresh import LOCK_TIMEOUT_S
from qwen_code.auth.oauth.resource import base_url_of
from qwen_code.auth.oauth.server import Server
from qwen_code.auth.oauth.store import FileStore
from qwen_code.auth.oauth.token import Token
from qwen_code.auth.oauth.wire import (
    ANSWER_LIMIT_BYTES,
    ANSWER_LIMIT_S,
    DeviceAuthorization,
    ErrorAnswer,
    Grant,
    Trouble,
    device_authorization_request,
    device_token_request,
    parse_device_authorization,
    parse_grant,
)
from qwen_code.base.clock import Clock
from qwen_code.base.errors import ConfigError, TransportError
from qwen_code.base.files import LockHeld
from qwen_code.base.http import Sender

_LONGEST_POLL_S = 60.0
"""An upper bound for one poll, from connecting to the last byte of the answer."""


class Display(Protocol):
    """Who shows a sign-in to a person, and lets time pass meanwhile."""

    def show(self, flow: PendingFlow) -> None:
        """The address and the code, once."""

    def attention(self) -> AbstractContextManager[None]:
        """Held while the sign-in is waited for: the time in which keys are listened to."""

    def wait(self, seconds: float, left_s: float, trouble: str | None) -> None:
        """Let ``seconds`` pass; the code is good for ``left_s`` more.

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
    body = response.read(ANSWER_LIMIT_BYTES, within_s=ANSWER_LIMIT_S)
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
    )


def finish(
    flow: PendingFlow,
    pending: PendingStore,
    store: FileStore,
    http: Sender,
    clock: Clock,
    display: Display,
) -> Token:
    """Poll until the sign-in is approved, and store it.

    However it ends, the flow is no longer pending; only an interrupt leaves it to be resumed.

    Raises:
        SignInFailed: denied, expired, cancelled, or refused by the server.
    """
    try:
        with display.attention():
            grant = _poll(flow, pending, http, clock, display)
    except SignInFailed:
        pending.clear()
        raise
    _check_resource(grant)
    lifetime = grant.expires_in_s
    token = Token(
        grant.access_token,
        grant.refresh_token,
        grant.resource_url,
        None if lifetime is None else round((clock.now() + lifetime) * 1000),
        lifetime,
        grant.scope,
        grant.id_token,
        flow.server.issuer,
        account_name(grant.id_token),
    )
    _store(store, token)
    pending.clear()
    return token


def _store(store: FileStore, token: Token) -> None:
    """Not in the middle of a renewal of what was stored before: that would overwrite this one."""
    with ExitStack() as stack:
        with suppress(
            LockHeld
        ):  # somebody is stuck; what a person has approved is kept all the same
            stack.enter_context(store.exclusive(LOCK_TIMEOUT_S))
        store.save(token)


def _poll(
    flow: PendingFlow, pending: PendingStore, http: Sender, clock: Clock, display: Display
) -> Grant:
    # The wall clock only tells how much is left of a flow that another process began.
    wall, start = clock.now(), clock.monotonic()
    deadline = start + max(0.0, flow.expires_at - wall)
    not_before = start + min(max(0.0, flow.not_before - wall), flow.interval_s)
    machine = DeviceFlow(interval_s=flow.interval_s, deadline=deadline, not_before=not_before)
    request = device_token_request(flow.server.issuer, *flow.secrets())
    trouble = None
    while True:
        try:
            poll_at = machine.next_poll
        except CodeExpired:
            display.wait(max(0.0, deadline - clock.monotonic()), 0.0, trouble)
            raise
        if (wait := poll_at - clock.monotonic()) > 0:
            display.wait(wait, deadline - clock.monotonic(), trouble)
        # If this process is killed during the poll, the time when the server got it is unknown.
        # A process that resumes the flow then waits a whole interval.
        _keep(flow, pending, machine.interval_s, clock.now() + _LONGEST_POLL_S)
        try:
            response = http.send(request)
            body = response.read(ANSWER_LIMIT_BYTES, within_s=ANSWER_LIMIT_S)
        except TransportError as error:
            decision: Grant | Waiting = machine.failed(error.message, clock.monotonic())
        else:
            answer = parse_grant(response.status, response.headers, body, now=clock.now())
            decision = machine.answered(answer, clock.monotonic())
        if isinstance(decision, Grant):
            return decision
        _keep(flow, pending, machine.interval_s, clock.now())
        trouble = decision.trouble


def _keep(flow: PendingFlow, pending: PendingStore, interval_s: float, polled_at: float) -> None:
    """Save the earliest time of the next poll, for a process that resumes the flow."""
    not_before = polled_at + interval_s
    pending.save(msgspec.structs.replace(flow, interval_s=interval_s, not_before=not_before))


def _check_resource(grant: Grant) -> None:
    try:
        base_url_of(grant.resource_url)
    except ConfigError as error:
        raise SignInFailed(
            f"the sign-in server names an endpoint that cannot be used: {error.message}",
            hint="Set QWEN_OAUTH_RESOURCE_URL to the right one, or ask the server's operator.",
        ) from error


def _no_code(server: Server, answer: ErrorAnswer | Trouble) -> SignInFailed:
    what = answer.reason if isinstance(answer, Trouble) else str(answer)
    hint = "Try again in a while." if isinstance(answer, Trouble) else SIGN_IN
    if server.issuer.name == "https://chat.qwen.ai":
        hint = (
            "qwen.ai ended its free sign-in on 15 April 2026. Use an API key (qwen auth login "
            "--method openai), the embedded model (qwen local pull), or an OAuth server of your "
            "own (--issuer)."
        )
    failed = SignInFailed(f"{server.issuer.name} gave no code to sign in with: {what}", hint=hint)
    failed.code = answer.error if isinstance(answer, ErrorAnswer) else None
    return failed
