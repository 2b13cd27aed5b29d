"""A stored sign-in as a source of credentials. They are renewed if they expire or are refused."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from qwen_code.auth.oauth.errors import RefreshFailed, SignInEnded, sign_in_command
from qwen_code.auth.oauth.exchange import LOCK_TIMEOUT_S, needs_renewal
from qwen_code.auth.oauth.renewer import ProcessRenewer, Renewer
from qwen_code.auth.oauth.resource import endpoint_of
from qwen_code.auth.oauth.server import ServerChoice, choose_server
from qwen_code.auth.oauth.token import Freshness, Token, load_token
from qwen_code.auth.stores import DEFAULT_NAME, login_ref, open_store
from qwen_code.auth.stores.base import CredentialStore
from qwen_code.auth.types import Connection, Method
from qwen_code.base.clock import BlockingClock, Clock
from qwen_code.base.errors import ConfigError, CredentialMissing, QwenError
from qwen_code.base.files import LockHeld
from qwen_code.base.secret import Secret
from qwen_code.base.stop import Stop
from qwen_code.base.url import Origin, normalise_base_url
from qwen_code.config.load import Config
from qwen_code.config.providers import provider_at
from qwen_code.config.values import Source, SourceKind

_DEFAULT_MODEL = "coder-model"
_POLL_S = 0.05


class SignIn:
    """The current access token, even if another process has renewed it."""

    def __init__(
        self,
        store: CredentialStore,
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
        """The access token to use now; renewed first if it has expired.

        Raises:
            AuthError: not signed in, or it could not be renewed.
        """
        token = self.token()
        freshness = token.freshness(self._clock.now())
        if freshness is Freshness.FRESH or token.refresh_token is None:
            return token.access_token
        if freshness is Freshness.STALE:
            # It is valid for this request. It is renewed in the background.
            if self._renewing != token.access_token and not self._refusal_of(token):
                self._renewing = token.access_token
                self._renewer.start(self._store, None)
            return token.access_token
        return self._renewed(None, stop).access_token

    def fresh(self, stop: Stop) -> Secret:
        """An access token that is valid for a while: if it is about to expire, it is renewed first.

        Raises:
            AuthError: not signed in, or it has expired and could not be renewed.
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
        """React to a 401 for ``rejected``; returns whether there is another token now.

        Raises:
            AuthError: there is none: the sign-in has ended, or cannot be renewed now.
        """
        token = self.token()
        if token.access_token != rejected:
            return True
        if token.refresh_token is None:
            reason = "the access token was refused, and there is no refresh token"
            raise SignInEnded(reason, ref=self._store.ref)
        return self._renewed(rejected, stop).access_token != rejected

    def token(self) -> Token:
        """The stored token.

        Raises:
            CredentialMissing: there is none.
            CredentialCorrupt: it cannot be understood.
        """
        token = self._unsaved or load_token(self._store)
        if token is None:
            raise CredentialMissing(
                "not signed in", hint=f"Run: {sign_in_command(self._store.ref)}"
            )
        return token

    def _refusal_of(self, token: Token) -> str | None:
        return self._store.refusal_of(token.version)

    def _renewed(self, rejected: Secret | None, stop: Stop) -> Token:
        with self._alone(stop):
            try:
                with self._store.turn(self._turn_timeout_s, stop):
                    return self._renew(rejected, stop)
            except LockHeld as error:
                raise self._waited_too_long(error) from error
            except ConfigError as error:
                raise RefreshFailed(
                    f"the sign-in has expired and cannot be renewed: {error.message}",
                    hint=error.hint or "",
                ) from error

    @contextmanager
    def _alone(self, stop: Stop) -> Iterator[None]:
        """Only one thread of this process at a time."""
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
        if refusal := self._refusal_of(token):
            raise SignInEnded(refusal, ref=self._store.ref)
        report = self._renewer.start(self._store, rejected).wait(stop)
        token = report.result(self._store)
        self._unsaved = token if report.unsaved else None
        for line in report.notices:
            self._notice(line)
        return token

    def _waited_too_long(self, error: LockHeld) -> RefreshFailed:
        holder = self._store.holder()
        by = f"; process {holder} was the last to begin" if holder else ""
        return RefreshFailed(
            f"the sign-in is being renewed by another process, which does not finish{by}",
            hint=f"{error.message}. If it is suspended, resume or end it. Then try again.",
        )


class StoredSignIn(msgspec.Struct, frozen=True):
    """What is stored for one account. ``problem`` is set if it cannot be used."""

    name: str
    store: CredentialStore
    choice: ServerChoice
    source: SignIn
    token: Token | None = None
    problem: QwenError | None = None
    notice: str | None = None

    def connection(self, model: str | None, model_source: Source, version: str) -> Connection:
        """The connection that uses it.

        Raises:
            AuthError: the credential is damaged, or the endpoint for its tokens is unknown.
        """
        if self.token is None:
            assert self.problem is not None
            raise self.problem
        base_url, source = self._endpoint(self.token)
        headers = provider_at(Origin.of(base_url)).headers_for(version, Method.QWEN_OAUTH)
        return Connection(
            Method.QWEN_OAUTH,
            self.token.issuer.name if self.token.issuer else self.choice.base_url.text,
            base_url,
            source,
            model or _DEFAULT_MODEL,
            model_source,
            self.source,
            Source(SourceKind.LOGIN, "the sign-in", Path(self.store.place)),
            self.token.account or self.token.access_token.masked,
            headers=headers,
            profile=None if self.name == DEFAULT_NAME else self.name,
            account=self.token.account,
        )

    def _endpoint(self, token: Token) -> tuple[str, Source]:
        override = self.choice.resource_url
        if override is not None and not self._is_for_another_issuer(token):
            return normalise_base_url(override.text)[0], override.source
        base_url = endpoint_of(token, self.choice.known())
        if token.resource_url is None:
            return base_url, Source(SourceKind.DEFAULT, "qwen.ai")
        return base_url, Source(SourceKind.LOGIN, "resource_url", Path(self.store.place))

    def _is_for_another_issuer(self, token: Token) -> bool:
        """Whether the configured resource URL belongs to the issuer that is configured beside it,
        and the token is from another one."""
        issuer = self.choice.issuer
        return (
            issuer is not None
            and token.issuer is not None
            and token.issuer.name.rstrip("/") != issuer.text.rstrip("/")
        )


def find_sign_in(
    name: str, config: Config, *, version: str, notice: Callable[[str], None]
) -> StoredSignIn | None:
    """What is stored under ``name``; ``None`` if nothing is.

    Raises:
        ConfigError: the settings of the sign-in server cannot be used.
    """
    store = open_store(login_ref(config.paths, name))
    choice = choose_server(config.environment, config.settings)
    renewer = ProcessRenewer(
        choice.known(),
        config.network,
        f"qwen-code/{version}",
        config.environment.child_environment(),
        config.paths.qwen_home,
    )
    source = SignIn(store, renewer, BlockingClock(), notice)
    found = StoredSignIn(name, store, choice, source)
    try:
        token = load_token(store)
    except QwenError as error:
        return msgspec.structs.replace(found, problem=error)
    if token is None:
        return None
    return msgspec.structs.replace(found, token=token, notice=store.repair_mode())
