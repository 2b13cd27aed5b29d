"""Sign in by authorization code: show the address, wait for the answer, exchange the code.

The answer comes to the loopback listener, or a person pastes it: their browser can be on another
machine.
"""

from __future__ import annotations

from typing import Protocol

from qwen_code.auth.oauth.code_flow import CodeFlow, NotTheAnswer
from qwen_code.auth.oauth.errors import SignInFailed
from qwen_code.auth.oauth.loopback import Loopback
from qwen_code.auth.oauth.revocation import revoke
from qwen_code.auth.oauth.token import Token, document_of
from qwen_code.auth.oauth.wire import (
    MAX_ANSWER_BYTES,
    MAX_ANSWER_S,
    Grant,
    Trouble,
    authorization_code_request,
    parse_grant,
)
from qwen_code.auth.stores.base import CredentialStore, Reservation
from qwen_code.base.clock import Clock
from qwen_code.base.errors import QwenError
from qwen_code.base.http import Sender
from qwen_code.base.secret import Secret

WAIT_S = 600.0
"""How long a person has."""

_MOMENT_S = 0.2


class CodeDisplay(Protocol):
    """Shows an authorization request to a person while the answer is waited for."""

    def can_open_browser(self) -> bool:
        """Whether a browser on this machine would be opened."""

    def show_address(self, url: str) -> None:
        """The address to open, once; the browser is opened if that is possible."""

    def pasted(self, seconds: float) -> str | None:
        """What the person pasted within ``seconds``, if anything."""

    def say(self, line: str) -> None:
        """One line to the person."""


def sign_in_by_code(
    flow: CodeFlow,
    loopback: Loopback,
    store: CredentialStore,
    http: Sender,
    clock: Clock,
    display: CodeDisplay,
) -> Token:
    """Wait for the answer, and store the tokens.

    Raises:
        SignInFailed: denied, too late, or refused by the server.
        ConfigError: the tokens could not be stored.
        TransportError: the server cannot be reached.
    """
    with store.reserve():  # before a person is sent to a browser
        pass
    loopback.expect(flow.code_of)
    display.show_address(flow.url)
    code = _wait(flow, loopback, clock, display)
    with store.reserve() as room:
        return _exchange(flow, code, room, http, clock)


def _wait(flow: CodeFlow, loopback: Loopback, clock: Clock, display: CodeDisplay) -> Secret:
    deadline = clock.monotonic() + WAIT_S
    while clock.monotonic() < deadline:
        pasted = display.pasted(_MOMENT_S)
        if pasted and pasted.strip():
            try:
                return flow.code_in(pasted)
            except NotTheAnswer:
                display.say("That is not the answer. Paste the whole address of the last page.")
        code = loopback.answer()
        if code is not None:
            return code
    raise SignInFailed(f"no answer came from the browser within {WAIT_S / 60:.0f} minutes")


def _exchange(flow: CodeFlow, code: Secret, room: Reservation, http: Sender, clock: Clock) -> Token:
    """A code is good once (RFC 6749 §4.1.2), so the request is not repeated."""
    issuer = flow.issuer
    request = authorization_code_request(issuer, code, flow.pkce.verifier, flow.redirect_uri)
    response = http.send(request)
    body = response.read(MAX_ANSWER_BYTES, within_s=MAX_ANSWER_S)
    answer = parse_grant(response.status, response.headers, body, now=clock.now())
    if not isinstance(answer, Grant):
        if not isinstance(answer, Trouble) and answer.unusable is not None:
            revoke(answer.unusable.first_token(issuer, clock.now(), ""), issuer, http)
        what = answer.reason if isinstance(answer, Trouble) else str(answer)
        raise SignInFailed(f"{issuer.name} gave no tokens: {what}")
    token = answer.first_token(issuer, clock.now(), flow.scope)
    try:
        room.commit(document_of(token))
    except QwenError:
        revoke(token, issuer, http)
        raise
    return token
