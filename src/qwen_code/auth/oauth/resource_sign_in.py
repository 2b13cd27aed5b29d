"""Signs in for one resource, such as an MCP server: discovery, client, scopes, and a grant.

With a browser on this machine, the authorization code grant is used: it needs no typing. Without
one (``--no-browser``, SSH, CI, no display), the device grant is better, because any browser will
do; a server without it gets an authorization request whose answer can be pasted.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Protocol

import msgspec

from qwen_code.auth.oauth import poll
from qwen_code.auth.oauth.challenge import scopes_of
from qwen_code.auth.oauth.code_flow import CodeFlow
from qwen_code.auth.oauth.code_login import CodeDisplay, sign_in_by_code
from qwen_code.auth.oauth.errors import SignInFailed
from qwen_code.auth.oauth.login import Display, begin, finish, stored_version
from qwen_code.auth.oauth.loopback import Loopback
from qwen_code.auth.oauth.metadata import ServerMetadata
from qwen_code.auth.oauth.pending import PendingFlow, PendingStore
from qwen_code.auth.oauth.poll import TIMEOUTS, PollJob, ProcessPoller
from qwen_code.auth.oauth.protected_resource import (
    Resource,
    find_resource,
    find_server,
    offers_code_grant,
)
from qwen_code.auth.oauth.registration import ClientSettings, identify
from qwen_code.auth.oauth.resource import covers
from qwen_code.auth.oauth.server import Server
from qwen_code.auth.oauth.token import Token, load_token
from qwen_code.auth.stores import open_store, resource_ref
from qwen_code.base.clock import Clock
from qwen_code.base.errors import ConfigError, QwenError
from qwen_code.base.http import HttpClient
from qwen_code.config.load import Config

_OFFLINE_ACCESS = "offline_access"


class SignInDisplay(Display, CodeDisplay, Protocol):
    """Shows either grant to a person."""


class ResourceSignIn:
    """One sign-in for the resource at ``url``, whose tokens are stored as ``name``.

    ``headers`` are sent to the resource, and ``extra_scopes`` are requested beside the others.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        config: Config,
        user_agent: str,
        clock: Clock,
        display: SignInDisplay,
        headers: Mapping[str, str],
        settings: ClientSettings,
        extra_scopes: tuple[str, ...] = (),
    ) -> None:
        self._name = name
        self._url = url
        self._config = config
        self._user_agent = user_agent
        self._clock = clock
        self._display = display
        self._headers = headers
        self._settings = settings
        self._extra_scopes = extra_scopes
        self._ref = resource_ref(config.paths, name)
        self._http = HttpClient(
            config.network, user_agent=user_agent, timeouts=TIMEOUTS, keep_alive=False
        )

    def run(self) -> Token:
        """Sign in.

        Raises:
            SignInFailed: denied, expired, cancelled, or refused by the server.
            ConfigError, TransportError: this program cannot sign in there.
        """
        try:
            resource = find_resource(self._url, self._http, self._headers)
            wanted = self._settings.issuer
            metadata = find_server(resource, self._url, self._http, wanted)
            self._check_binding(metadata)
            scope = self._scope(resource, metadata)
            if self._uses_code_grant(metadata):
                return self._by_code(resource, metadata, scope)
            return self._by_device(resource, metadata, scope)
        except ConfigError as error:
            raise ConfigError(error.message, hint=self._way_out(error.hint)) from error
        except SignInFailed as error:
            error.hint = f"Run: qwen mcp login {shlex.quote(self._name)}"
            raise

    def _uses_code_grant(self, metadata: ServerMetadata) -> bool:
        if not offers_code_grant(metadata):
            return False
        has_device_grant = metadata.device_authorization_endpoint is not None
        return self._display.can_open_browser() or not has_device_grant

    def _by_code(self, resource: Resource, metadata: ServerMetadata, scope: str) -> Token:
        assert metadata.authorization_endpoint is not None
        with Loopback(self._settings.redirect_uri) as loopback:
            issuer = identify(
                metadata,
                self._settings,
                self._http,
                resource=resource.identifier,
                redirect_uri=loopback.redirect_uri,
                scope=scope,
            )
            flow = CodeFlow.new(
                issuer,
                metadata.authorization_endpoint,
                loopback.redirect_uri,
                scope,
                sends_iss=metadata.sends_iss,
            )
            store = open_store(self._ref)
            return sign_in_by_code(flow, loopback, store, self._http, self._clock, self._display)

    def _by_device(self, resource: Resource, metadata: ServerMetadata, scope: str) -> Token:
        import uuid

        assert metadata.device_authorization_endpoint is not None
        issuer = identify(
            metadata,
            self._settings,
            self._http,
            resource=resource.identifier,
            redirect_uri=None,
            scope=scope,
        )
        server = Server(issuer, metadata.device_authorization_endpoint, scope, is_discovered=True)
        config, pending_dir = self._config, self._config.paths.mcp_dir / "pending"
        pending = PendingStore(pending_dir)

        def job(flow: PendingFlow) -> bytes:
            return msgspec.json.encode(
                PollJob(self._ref, flow, str(pending_dir), None, config.network, self._user_agent)
            )

        environ = config.environment.child_environment()
        poller = ProcessPoller(poll.__name__, job, poll.work, environ, config.paths.qwen_home)
        store = open_store(self._ref)
        before = stored_version(store)
        with store.reserve():  # before a person is sent to a browser
            pass
        flow = begin(
            server, self._http, self._clock, profile=self._name, request_id=str(uuid.uuid4())
        )
        pending.save(flow)
        self._display.show(flow)
        return finish(flow, pending, store, poller, self._clock, self._display, before=before)

    def _scope(self, resource: Resource, metadata: ServerMetadata) -> str:
        """What to ask for: what the user configured, else what the resource names for the request
        or in general, with what is granted already, so that nothing is lost."""
        if self._settings.scopes:
            wanted = [*self._settings.scopes, *self._extra_scopes]
        else:
            named = resource.challenge.scopes or resource.scopes
            stored = self._stored()
            is_same = stored and stored.issuer and stored.issuer.name == metadata.issuer
            granted = stored.granted_scope if stored and is_same else None
            wanted = [*scopes_of(granted), *named, *self._extra_scopes]
            if wanted and _OFFLINE_ACCESS in (metadata.scopes or ()):
                wanted.append(_OFFLINE_ACCESS)  # a refresh token
        return " ".join(dict.fromkeys(wanted))

    def _stored(self) -> Token | None:
        """The present sign-in for this resource, if there is one."""
        try:
            token = load_token(open_store(self._ref))
        except QwenError:  # it will be replaced
            return None
        if token is None or token.issuer is None:
            return None
        return token if covers(token.issuer.resource, self._url) else None

    def _check_binding(self, metadata: ServerMetadata) -> None:
        """A client that the user registered belongs to one authorization server: a resource that
        names another one later must not get its secret sent there. ``oauth.issuer`` says it from
        the start."""
        stored = self._stored()
        issuer = stored.issuer if stored else None
        if issuer is None or self._settings.issuer is not None:
            return
        if issuer.client_id == self._settings.client_id and issuer.name != metadata.issuer:
            raise ConfigError(
                f"{self._url} now names another authorization server: {metadata.issuer} and not "
                f"{issuer.name}, where oauth.clientId was used until now",
                hint=f"If that is right, set oauth.issuer, or run: qwen mcp logout {self._name}",
            )

    def _way_out(self, hint: str | None) -> str:
        header = f"qwen mcp add {self._name} -H 'Authorization: Bearer $TOKEN' {self._url}"
        return f"{hint}\n" * bool(hint) + f"If you have a token: {header}"
