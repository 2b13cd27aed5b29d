"""Sign-ins for resources other than the model: stored by name, valid for one address each."""

from __future__ import annotations

import shlex

from qwen_code.auth.oauth.challenge import parse_challenge, scopes_of
from qwen_code.auth.oauth.renewer import ProcessRenewer
from qwen_code.auth.oauth.resource import covers
from qwen_code.auth.oauth.revocation import revoke
from qwen_code.auth.oauth.sign_in import SignIn
from qwen_code.auth.oauth.token import Token, load_token
from qwen_code.auth.stores import is_stored, open_store, resource_ref
from qwen_code.base.clock import BlockingClock
from qwen_code.base.errors import AuthError, QwenError
from qwen_code.base.http import HttpClient, Timeouts
from qwen_code.base.log import debug
from qwen_code.base.secret import Secret
from qwen_code.base.stop import Stop
from qwen_code.config.load import Config


def sign_out_of(name: str, config: Config, *, user_agent: str) -> str | None:
    """Revoke and delete the sign-in called ``name``; returns the outcome, or ``None`` without one.

    Raises:
        ConfigError: it cannot be removed.
    """
    ref = resource_ref(config.paths, name)
    if not is_stored(ref):
        return None
    store = open_store(ref)
    said = "nothing to revoke: the file is damaged"
    try:
        token = load_token(store)
    except QwenError:
        token = None
    if token is not None:
        http = HttpClient(config.network, user_agent=user_agent, timeouts=Timeouts(5, 10, 5))
        said = revoke(token, token.issuer, http)
    store.remove()
    return said


class ResourceTokens:
    """Access tokens for resources, renewed like those of the sign-in for the model."""

    def __init__(self, config: Config, user_agent: str) -> None:
        environ = config.environment.child_environment()
        self._paths = config.paths
        self._renewer = ProcessRenewer(
            None, config.network, user_agent, environ, config.paths.qwen_home
        )
        self._sign_ins: dict[str, SignIn] = {}
        self._problems: dict[str, QwenError] = {}
        """Why there is no token, although there is a sign-in; by name."""

    def token(self, name: str, url: str) -> str | None:
        """A valid token for ``url`` of the sign-in called ``name``, if there is one.

        It blocks while the token is renewed. A sign-in for another address is ignored: a project
        can define a server with the same name.
        """
        self._problems.pop(name, None)
        try:
            sign_in = self._sign_in(name, url)
            return sign_in.current(Stop()).reveal() if sign_in else None
        except QwenError as error:
            debug("no token for a resource", name=name, error=error.message)
            self._problems[name] = error
            return None

    def after_refusal(
        self, name: str, url: str, refused: str | None, status: int, header: str
    ) -> str | None:
        """Another token after the resource answered ``status`` to ``refused``, if there is one.

        ``header`` is its ``WWW-Authenticate``. A person is not asked for anything here.

        Raises:
            QwenError: the sign-in cannot be used, or does not permit the request.
        """
        if name in self._problems:
            raise self._problems.pop(name)
        sign_in = self._sign_in(name, url)
        if sign_in is None or refused is None:
            return None
        token = sign_in.token()
        if token.access_token.reveal() != refused:  # renewed or signed in elsewhere
            return sign_in.current(Stop()).reveal()
        challenge = parse_challenge(header)
        if status == 403 and challenge.wants_more_scope:
            raise _scope_missing(name, challenge.scopes, token)
        if status == 401 and sign_in.replace(Secret(refused), Stop()):
            return sign_in.current(Stop()).reveal()
        return None

    def _sign_in(self, name: str, url: str) -> SignIn | None:
        ref = resource_ref(self._paths, name)
        if not is_stored(ref):
            return None
        known = self._sign_ins.get(name) or SignIn(
            open_store(ref),
            self._renewer,
            BlockingClock(),
            lambda line: debug("renewal", said=line),
        )
        self._sign_ins[name] = known
        issuer = known.token().issuer
        return known if issuer is not None and covers(issuer.resource, url) else None


def _scope_missing(name: str, scopes: tuple[str, ...], token: Token) -> AuthError:
    """Why a request is not permitted, and what the user can do. Scopes are requested once: a server
    that wants what it was asked for already would have the user sign in without end."""
    scope = " ".join(scopes)
    if not scope:
        return AuthError("the sign-in does not permit this, and the server does not say what would")
    asked = {*scopes_of(token.requested_scope), *scopes_of(token.scope)}
    if asked.issuperset(scopes):
        return AuthError(
            f"the sign-in does not permit this, although it asked for the scope {scope}",
            hint="Ask the operator of the server for that permission.",
        )
    return AuthError(
        f"this needs a sign-in with the scope {scope}",
        hint=f"Run: qwen mcp login {shlex.quote(name)} --scope {shlex.quote(scope)}",
    )
