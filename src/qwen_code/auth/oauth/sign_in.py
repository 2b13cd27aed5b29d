"""A stored sign-in as a source of credentials: fresh when asked, replaced when refused."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from qwen_code.auth.oauth.errors import RefreshFailed, SignInEnded
from qwen_code.auth.oauth.refresh import LOCK_TIMEOUT_S, needs_renewal
from qwen_code.auth.oauth.renewal import Renewer
from qwen_code.auth.oauth.store import FileStore
from qwen_code.auth.oauth.token import Freshness, Token
from qwen_code.base.clock import Clock
from qwen_code.base.errors import ConfigError, CredentialMissing
from qwen_code.base.files import LockHeld
from qwen_code.base.secret import Secret
from qwen_code.base.stop import Stop

_POLL_S = 0.05


class SignIn:
    """The access token in force, whoever of all processes renewed it last."""

    def __init__(
        self,
        store: FileStore,
        renewer: Renewer,
        clock: Clock,
        notice: Callable[[str], None],
        *,
        turn_timeout_s: float = LOCK_TIMEOUT_S + 5.0,
    ) -> None:
        self._store = store
        self._renewer = renewer
        self._clock = clock
        self._notice = notice
        self._lock = threading.Lock()
        self._turn_timeout_s = turn_timeout_s
        self._unsaved: Token | None = None
        self._renewing: Secret | None = None

    def current(self, stop: Stop) -> Secret:
        """The access token to use now; renewed first if it is past its end.

        Raises:
            AuthError: not signed in, or it could not be renewed.
        """
        token = self.token()
        freshness = token.freshness(self._clock.now())
        if freshness is Freshness.FRESH or token.refresh_token is None:
            return token.access_token
        if freshness is Freshness.STALE:
            # Good for this request. Somebody renews it meanwhile, and nobody waits for that.
            if self._renewing != token.access_token and not self._store.refusal_of(token):
                self._renewing = token.access_token
                self._renewer.start(self._store, None)
            return token.access_token
        return self._renewed(None, stop).access_token

    def fresh(self, stop: Stop) -> Secret:
        """An access token that lasts: one that is about to end is renewed first, if it can be.

        Raises:
            AuthError: not signed in, or it is past its end and could not be renewed.
        """
        token = self.token()
        freshness = token.freshness(self._clock.now())
        if freshness is Freshness.STALE and token.refresh_token is not None:
            try:
                return self._renewed(None, stop).access_token
            except (RefreshFailed, SignInEnded):
                return token.access_token
        return self.current(stop)

    def replace(self, rejected: Secret, stop: Stop) -> bool:
        """Told of a 401 for ``rejected``: whether there is another token now.

        Raises:
            AuthError: there will be none; the sign-in has ended, or cannot be renewed now.
        """
        token = self.token()
        if token.access_token != rejected:
            return True
        if token.refresh_token is None:
            raise SignInEnded("its token was refused, and it came without one to renew it")
        return self._renewed(rejected, stop).access_token != rejected

    def token(self) -> Token:
        """What is stored now.

        Raises:
            CredentialMissing: nothing is.
            CredentialsCorrupt: it cannot be understood.
        """
        token = self._unsaved or self._store.load()
        if token is None:
            raise CredentialMissing("not signed in", hint="Run: qwen auth login")
        return token

    def _renewed(self, rejected: Secret | None, stop: Stop) -> Token:
        with self._alone(stop):
            try:
                with self._store.turn(self._turn_timeout_s, stop):
                    return self._renew(rejected, stop)
            except LockHeld as error:
                raise self._waited_too_long(error) from error
            except ConfigError as error:
                raise RefreshFailed(
                    f"the sign-in is past its end and cannot be renewed: {error.message}",
                    hint=error.hint or "",
                ) from error

    @contextmanager
    def _alone(self, stop: Stop) -> Iterator[None]:
        """One thread of this process at a time."""
        while not self._lock.acquire(timeout=_POLL_S):
            stop.check()
        try:
            yield
        finally:
            self._lock.release()

    def _renew(self, rejected: Secret | None, stop: Stop) -> Token:
        token = self.token()
        if not needs_renewal(token, rejected, self._clock.now()):
            return token
        if refusal := self._store.refusal_of(token):
            raise SignInEnded(refusal)
        report = self._renewer.start(self._store, rejected).wait(stop)
        token = report.result(self._store)
        self._unsaved = token if report.unsaved else None
        for line in report.notices:
            self._notice(line)
        return token

    def _waited_too_long(self, error: LockHeld) -> RefreshFailed:
        holder = self._store.holder()
        by = f"; process {holder.pid} was the last to begin" if holder else ""
        return RefreshFailed(
            f"the sign-in is being renewed by another process that does not come to an end{by}",
            hint=f"{error.message}. If that process is stopped, continue or end it; try again.",
        )
