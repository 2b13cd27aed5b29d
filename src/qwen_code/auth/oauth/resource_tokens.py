"""Sign-ins for resources other than the model: stored by name, valid for one address each."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from qwen_code.auth.oauth import poll
from qwen_code.auth.oauth.errors import SignInFailed
from qwen_code.auth.oauth.login import Display, begin, finish, stored_version
from qwen_code.auth.oauth.pending import PendingFlow, PendingStore
from qwen_code.auth.oauth.poll import TIMEOUTS, PollJob, ProcessPoller
from qwen_code.auth.oauth.protected_resource import find_server
from qwen_code.auth.oauth.renewer import ProcessRenewer
from qwen_code.auth.oauth.resource import covers
from qwen_code.auth.oauth.revocation import revoke
from qwen_code.auth.oauth.sign_in import SignIn
from qwen_code.auth.oauth.token import Token, load_token
from qwen_code.auth.stores import is_stored, open_store, resource_ref
from qwen_code.base.clock import BlockingClock, Clock
from qwen_code.base.errors import ConfigError, QwenError
from qwen_code.base.http import HttpClient, Timeouts
from qwen_code.base.log import debug
from qwen_code.base.secret import Secret
from qwen_code.base.stop import Stop
from qwen_code.config.load import Config


def sign_in_for(
    name: str,
    url: str,
    *,
    config: Config,
    user_agent: str,
    clock: Clock,
    display: Display,
    headers: Mapping[str, str],
    client_id: str | None,
    scopes: tuple[str, ...],
) -> Token:
    """Sign in for the resource at ``url``, and store the tokens as ``name``.

    Raises:
        SignInFailed: denied, expired, cancelled, or refused by the server.
        ConfigError, TransportError: this program cannot sign in there.
    """
    import uuid

    paths, network = config.paths, config.network
    http = HttpClient(network, user_agent=user_agent, timeouts=TIMEOUTS, keep_alive=False)
    try:
        server = find_server(url, http, headers=headers, client_id=client_id, scopes=scopes)
    except ConfigError as error:
        raise ConfigError(error.message, hint=_way_out(name, url, error.hint)) from error
    ref, pending_dir = resource_ref(paths, name), paths.mcp_dir / "pending"
    pending = PendingStore(pending_dir)

    def job(flow: PendingFlow) -> bytes:
        return msgspec.json.encode(PollJob(ref, flow, str(pending_dir), None, network, user_agent))

    environ = config.environment.child_environment()
    poller = ProcessPoller(poll.__name__, job, poll.work, environ, paths.qwen_home)
    store = open_store(ref)
    before = stored_version(store)
    with store.reserve():  # before a person is sent to a browser
        pass
    try:
        flow = begin(server, http, clock, profile=name, request_id=str(uuid.uuid4()))
        pending.save(flow)
        display.show(flow)
        return finish(flow, pending, store, poller, clock, display, before=before)
    except SignInFailed as error:
        error.hint = f"Run: qwen mcp login {name}"
        raise


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


def _way_out(name: str, url: str, hint: str | None) -> str:
    header = f"qwen mcp add {name} -H 'Authorization: Bearer $TOKEN' {url}"
    return f"{hint}\n" * bool(hint) + f"If you have a token: {header}"


class ResourceTokens:
    """Access tokens for resources, renewed like those of the sign-in for the model."""

    def __init__(self, config: Config, user_agent: str) -> None:
        environ = config.environment.child_environment()
        self._paths = config.paths
        self._renewer = ProcessRenewer(
            None, config.network, user_agent, environ, config.paths.qwen_home
        )
        self._sign_ins: dict[str, SignIn] = {}

    def token(self, name: str, url: str, refused: str | None = None) -> str | None:
        """A valid token for ``url`` of the sign-in called ``name``, if there is one.

        ``refused`` is a token that the resource has just answered 401 to. It blocks while the
        token is renewed. A sign-in for another address is ignored: a project can define a
        server with the same name.
        """
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
        try:
            issuer = known.token().issuer
            if issuer is None or not covers(issuer.resource, url):
                return None
            if refused is not None and not known.replace(Secret(refused), Stop()):
                return None
            return known.current(Stop()).reveal()
        except QwenError as error:
            debug("no token for a resource", name=name, error=error.message)
            return None
