"""Sign-ins for resources that are not the model: kept by name, good for one address each."""

from __future__ import annotations

from collections.abc import Mapping

from qwen_code.auth.oauth.errors import SignInFailed
from qwen_code.auth.oauth.login_flow import Display, begin, finish
from qwen_code.auth.oauth.pending import PendingStore
from qwen_code.auth.oauth.protected import covers, find_server
from qwen_code.auth.oauth.renewal import ProcessRenewer
from qwen_code.auth.oauth.sign_in import SignIn
from qwen_code.auth.oauth.store import FileStore
from qwen_code.auth.oauth.token import Token
from qwen_code.base.clock import BlockingClock, Clock
from qwen_code.base.errors import ConfigError, QwenError
from qwen_code.base.http import HttpClient, Network, Timeouts
from qwen_code.base.log import debug
from qwen_code.base.secret import Secret
from qwen_code.base.stop import Stop
from qwen_code.config.paths import Paths

_TIMEOUTS = Timeouts(connect_s=10, first_byte_s=30, idle_s=15)


def store_of(paths: Paths, name: str) -> FileStore:
    """Where the sign-in called ``name`` is kept."""
    return FileStore(paths.mcp_dir / f"{name}.json")


def sign_in_for(
    name: str,
    url: str,
    *,
    paths: Paths,
    network: Network,
    user_agent: str,
    clock: Clock,
    display: Display,
    headers: Mapping[str, str],
    client_id: str | None,
    scopes: tuple[str, ...],
) -> Token:
    """Sign in for the resource at ``url``, and keep the tokens as ``name``.

    Raises:
        SignInFailed: denied, expired, cancelled, or refused by the server.
        ConfigError, TransportError: there is no sign-in that can be done from here.
    """
    import uuid

    http = HttpClient(network, user_agent=user_agent, timeouts=_TIMEOUTS, keep_alive=False)
    again = f"Run: qwen mcp login {name}"
    try:
        server = find_server(url, http, headers=headers, client_id=client_id, scopes=scopes)
    except ConfigError as error:
        raise ConfigError(error.message, hint=_way_out(name, url, error.hint)) from error
    pending = PendingStore(paths.mcp_dir / f"{name}.pending.json")
    try:
        flow = begin(server, http, clock, profile=None, request_id=str(uuid.uuid4()))
        display.show(flow)
        return finish(flow, pending, store_of(paths, name), http, clock, display)
    except SignInFailed as error:
        error.hint = again
        raise
    finally:
        pending.clear()


def _way_out(name: str, url: str, hint: str | None) -> str:
    header = f"qwen mcp add {name} -H 'Authorization: Bearer $TOKEN' {url}"
    return f"{hint}\n" * bool(hint) + f"Or give it a token that you have: {header}"


class ResourceTokens:
    """Access tokens for resources, renewed as the sign-in's own are."""

    def __init__(
        self,
        paths: Paths,
        network: Network,
        user_agent: str,
        environ: Mapping[str, str],
    ) -> None:
        self._paths = paths
        self._renewer = ProcessRenewer(None, network, user_agent, environ)
        self._sign_ins: dict[str, SignIn] = {}

    def token(self, name: str, url: str, refused: str | None = None) -> str | None:
        """The token for ``url`` of the sign-in called ``name``, if there is one that is good.

        ``refused`` is a token that the resource has just answered 401 to. It blocks while the
        token is renewed. A sign-in for another address is none: a project may have taken the name.
        """
        store = store_of(self._paths, name)
        if not store.path.exists():
            return None
        known = self._sign_ins.get(name) or SignIn(
            store, self._renewer, BlockingClock(), lambda line: debug("renewal", said=line)
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
