"""Renew a sign-in: one request per generation, and the new pair stored before it is used.

RFC 6749 §6, with rotation and reuse detection as RFC 9700 §4.14.2 asks servers to do it: a refresh
token that is used twice costs the user the sign-in. So one process at a time asks. It looks at what
is stored once more before it does, and has the room for the answer before it asks for it.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from qwen_code.auth.oauth.errors import RefreshFailed, SignInEnded, sign_in_command
from qwen_code.auth.oauth.resource import may_move
from qwen_code.auth.oauth.revocation import revoke
from qwen_code.auth.oauth.token import Freshness, Issuer, Token, document_of, load_token
from qwen_code.auth.oauth.wire import (
    MAX_ANSWER_BYTES,
    MAX_ANSWER_S,
    ErrorAnswer,
    Grant,
    Trouble,
    parse_grant,
    refresh_request,
)
from qwen_code.auth.stores.base import CredentialStore, Reservation
from qwen_code.base.clock import Clock
from qwen_code.base.errors import ConfigError, CredentialMissing, QwenError, TransportError
from qwen_code.base.http import Request, Sender
from qwen_code.base.log import debug
from qwen_code.base.retry import RetryPolicy
from qwen_code.base.secret import Secret
from qwen_code.config import env_names

LOCK_TIMEOUT_S = 40.0
"""Longer than a renewal with all its retries takes."""

_BUDGET_S = 20.0
"""No attempt begins later than this after the first."""

_POLICY = RetryPolicy(attempts=3, first_wait_s=0.5, max_backoff_s=2.0, max_wait_s=5.0)


class Renewed(msgspec.Struct, frozen=True):
    """The current token. ``notices`` are for the user; ``is_saved`` is nearly always true."""

    token: Token
    notices: tuple[str, ...] = ()
    is_saved: bool = True


def needs_renewal(token: Token, rejected: Secret | None, now: float) -> bool:
    """Whether this is the generation that a server rejected, or is about to expire."""
    if rejected is not None:
        return token.access_token == rejected
    return token.freshness(now) is not Freshness.FRESH


def renew(
    store: CredentialStore,
    http: Sender,
    clock: Clock,
    *,
    rejected: Secret | None,
    default_issuer: Issuer | None,
    jitter: Callable[[], float] | None = None,
) -> Renewed:
    """The newest generation: the stored one if another process was faster, else a new one.

    ``rejected`` is the access token that a server answered 401 to, if that is the reason.
    ``default_issuer`` is asked if the credential, being Node's, does not say who issued it.

    Raises:
        SignInEnded: the server does not accept the refresh token any more.
        RefreshFailed: it did not work now; the stored sign-in is as it was.
        CredentialCorrupt, CredentialMissing: there is none to renew.
    """
    try:
        with store.exclusive(LOCK_TIMEOUT_S):
            token = load_token(store)
            if token is None:
                raise CredentialMissing(
                    "the sign-in has been removed", hint=f"Run: {sign_in_command(store.ref)}"
                )
            if not needs_renewal(token, rejected, clock.now()):
                return Renewed(token)
            return _LockedRenewal(store, http, clock, token, default_issuer, jitter).run()
    except ConfigError as error:  # a lock that is held, or a file that cannot be written
        raise RefreshFailed(
            f"the sign-in could not be renewed: {error.message}", hint=error.hint
        ) from error


class _LockedRenewal:
    """One renewal under all locks."""

    def __init__(
        self,
        store: CredentialStore,
        http: Sender,
        clock: Clock,
        token: Token,
        default_issuer: Issuer | None,
        jitter: Callable[[], float] | None,
    ) -> None:
        self._store = store
        self._http = http
        self._clock = clock
        self._token = token
        self._issuer = token.issuer or default_issuer
        self._jitter = {"jitter": jitter} if jitter else {}

    def run(self) -> Renewed:
        token, issuer = self._token, self._issuer
        if token.refresh_token is None:
            raise SignInEnded("it came without a refresh token", ref=self._store.ref)
        if issuer is None:
            raise RefreshFailed(
                "the sign-in could not be renewed: its file does not name the server that issued "
                f"it, and the endpoints of the server in {env_names.QWEN_OAUTH_ISSUER} or "
                "security.auth.oauth.issuer are only looked up at a sign-in",
                hint=f"To sign in there, run: {sign_in_command(self._store.ref)}\n"
                "If the sign-in is from qwen.ai, remove that setting instead.",
            )
        if refusal := self._store.refusal_of(token.version):
            raise SignInEnded(refusal, ref=self._store.ref)
        request = refresh_request(issuer, token.refresh_token)
        with self._reserve() as reservation:
            answer = self._ask(request)
            if isinstance(answer, Grant):
                return self._save(answer, issuer, reservation)
        return self._refused(answer)

    def _reserve(self) -> Reservation:
        try:
            return self._store.reserve()
        except QwenError as error:
            raise RefreshFailed(
                f"the sign-in is not renewed, because the result could not be stored: "
                f"{error.message}",
                hint=error.hint or "",
            ) from error

    def _ask(self, request: Request) -> Grant | ErrorAnswer:
        attempt, reason = 1, ""
        give_up = self._clock.monotonic() + _BUDGET_S
        while True:
            wait_s = None
            try:
                answer = self._exchange(request)
                if not isinstance(answer, Trouble):
                    return answer
                reason, wait_s = answer.reason, answer.retry_after_s
            except TransportError as error:
                reason = error.message
            attempt += 1
            wait = _POLICY.wait_before(attempt, retry_after_s=wait_s, **self._jitter)
            debug("refresh", trouble=reason, again_in_s=wait)
            if wait is None or self._clock.monotonic() + wait > give_up:
                raise RefreshFailed(
                    f"the sign-in could not be renewed: {reason}",
                    hint="You are still signed in. Check the network, and try again.",
                )
            self._clock.sleep(wait)

    def _exchange(self, request: Request) -> Grant | ErrorAnswer | Trouble:
        response = self._http.send(request)
        body = response.read(MAX_ANSWER_BYTES, within_s=MAX_ANSWER_S)
        answer = parse_grant(response.status, response.headers, body, now=self._clock.now())
        if isinstance(answer, ErrorAnswer) and _may_pass(answer):
            return Trouble(str(answer), answer.retry_after_s)
        return answer

    def _save(self, grant: Grant, issuer: Issuer, reservation: Reservation) -> Renewed:
        token, notices = self._next(grant, issuer)
        try:
            is_saved = reservation.commit(document_of(token), replacing=self._token.version)
        except QwenError as error:
            notices.append(f"the renewed sign-in could not be stored: {error.message}")
            return Renewed(token, tuple(notices), is_saved=False)
        if is_saved:
            return Renewed(token, tuple(notices))
        stored = load_token(self._store)
        if stored is None:  # signed out while the server was asked
            debug("refresh", signed_out=revoke(token, issuer, self._http))
            raise SignInEnded("you signed out at the same time", ref=self._store.ref)
        return Renewed(stored)

    def _next(self, grant: Grant, issuer: Issuer) -> tuple[Token, list[str]]:
        old = self._token
        resource_url, notices = old.resource_url, []
        if grant.resource_url and grant.resource_url != old.resource_url and not old.is_pinned:
            if may_move(old.resource_url, grant.resource_url, issuer.name):
                resource_url = grant.resource_url
            else:
                notices.append(
                    f"the sign-in server wanted to move your requests to {grant.resource_url!r}, "
                    "an address of another organisation; they still go where they went before"
                )
        lifetime = grant.expires_in_s
        expires = None if lifetime is None else round((self._clock.now() + lifetime) * 1000)
        token = msgspec.structs.replace(
            old,
            access_token=grant.access_token,
            refresh_token=grant.refresh_token or old.refresh_token,
            resource_url=resource_url,
            expires_at_ms=expires,
            lifetime_s=lifetime,
            scope=grant.scope or old.scope,
            id_token=grant.id_token or old.id_token,
            issuer=issuer,
            generation=old.generation + 1,
        )
        return token, notices

    def _refused(self, answer: ErrorAnswer) -> Renewed:
        """The server refused. Another process may have won meanwhile; if not, say what it means.

        Only ``invalid_grant`` is about the sign-in itself (RFC 6749 §5.2).
        """
        if answer.error != "invalid_grant":
            raise RefreshFailed(
                f"the sign-in could not be renewed: {answer}",
                hint="You are still signed in. If this persists, sign in again: "
                + sign_in_command(self._store.ref),
            )
        token = load_token(self._store)
        if token is not None and token.version != self._token.version:
            return Renewed(token)
        self._store.refuse(self._token.version, str(answer))
        raise SignInEnded(str(answer), ref=self._store.ref)


def _may_pass(answer: ErrorAnswer) -> bool:
    """Whether the same request may succeed later. "slow_down" says nothing about a refresh token,
    under whichever status it comes."""
    if answer.error == "invalid_grant":
        return False
    return answer.status == 429 or answer.error in ("slow_down", "temporarily_unavailable")
