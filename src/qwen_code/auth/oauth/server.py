"""The authorization server to sign in at: qwen.ai's, or any other with the device grant."""

from __future__ import annotations

import msgspec

from qwen_code.auth.oauth.metadata import MetadataMissing, ServerMetadata, find_metadata
from qwen_code.auth.oauth.resource import QWEN_ISSUER, require_https
from qwen_code.auth.oauth.token import Issuer
from qwen_code.base.errors import ConfigError
from qwen_code.base.http import Sender
from qwen_code.base.url import Origin
from qwen_code.config import env_names
from qwen_code.config.environment import Environment
from qwen_code.config.settings import Settings
from qwen_code.config.values import Source, SourceKind, Value

_DEVICE_PATH = "/api/v1/oauth2/device/code"
_TOKEN_PATH = "/api/v1/oauth2/token"  # noqa: S105 a path
_CLIENT_ID = "f0304373b74a44d2b584a3fb70ca9e56"
_SCOPE = "openid profile email model.completion"


class ServerFlags(msgspec.Struct, frozen=True):
    """What the command line says about the server."""

    issuer: str | None = None
    client_id: str | None = None
    scope: str | None = None
    resource_url: str | None = None


class ServerChoice(msgspec.Struct, frozen=True):
    """What is configured. Every value is the user's own: a project's files cannot set any.

    With an ``issuer`` its endpoints are discovered; otherwise they are those of ``base_url``.
    """

    base_url: Value
    issuer: Value | None
    client_id: Value
    scope: Value
    resource_url: Value | None

    def known(self) -> Issuer | None:
        """The issuer, unless it has to be discovered."""
        if self.issuer is not None:
            return None
        base = self.base_url.text
        return Issuer(base, self.client_id.text, f"{base}{_TOKEN_PATH}")

    @property
    def is_default(self) -> bool:
        """Whether the user has named no server."""
        return self.issuer is None and self.base_url.source.kind is SourceKind.DEFAULT

    def again_at(self, issuer: Issuer, scope: str | None, source: Source) -> ServerChoice:
        """The server that an earlier sign-in came from, with what is configured beside it.

        ``issuer`` and ``scope`` are those of its tokens, which ``source`` stores.

        Raises:
            ConfigError: its address cannot be used.
        """
        name = Value(issuer.name, source)
        _check_address(name)
        # Tokens do not say whether the endpoints were discovered or are qwen.ai's own paths.
        has_own_paths = issuer.token_endpoint == f"{issuer.name}{_TOKEN_PATH}"
        is_discovered = not has_own_paths or issuer.revocation_endpoint is not None

        def kept(configured: Value, text: str | None) -> Value:
            is_default = configured.source.kind is SourceKind.DEFAULT
            return Value(text, source) if is_default and text else configured

        return msgspec.structs.replace(
            self,
            base_url=self.base_url if is_discovered else name,
            issuer=name if is_discovered else None,
            client_id=kept(self.client_id, issuer.client_id),
            scope=kept(self.scope, scope),
        )


class Server(msgspec.Struct, frozen=True):
    """An authorization server with the device grant (RFC 8628).

    ``is_discovered``: its metadata named the endpoints; otherwise they are qwen.ai's own paths.
    """

    issuer: Issuer
    device_authorization_endpoint: str
    scope: str
    is_discovered: bool = False

    @property
    def other_origins(self) -> list[Origin]:
        """Other origins that get secrets of the sign-in; they are shown to the user."""
        urls = (self.device_authorization_endpoint, self.issuer.token_endpoint)
        found = dict.fromkeys(Origin.of(url) for url in urls)
        return [origin for origin in found if origin != Origin.of(self.issuer.name)]


def choose_server(
    environment: Environment, settings: Settings, flags: ServerFlags | None = None
) -> ServerChoice:
    """The server from flags, the environment, settings, or the default (qwen.ai), in that order.

    Raises:
        ConfigError: a setting is not a string, or an address is not valid or is plain http beyond
            this machine.
    """
    flags = flags or ServerFlags()

    def pick(name: str, key: str, flag: tuple[str, str | None] | None = None) -> Value | None:
        if flag and flag[1]:
            return Value(flag[1], Source(SourceKind.FLAG, flag[0]))
        if found := environment.first(name):
            return found
        dotted = f"security.auth.oauth.{key}"
        text, setting = settings.first(dotted, str), settings.usable(dotted)
        return Value(text.strip(), setting.source) if text and text.strip() and setting else None

    def default(text: str) -> Value:
        return Value(text, Source(SourceKind.DEFAULT, "qwen.ai"))

    issuer = pick(env_names.QWEN_OAUTH_ISSUER, "issuer", ("--issuer", flags.issuer))
    base_url = pick(env_names.QWEN_OAUTH_BASE_URL, "baseUrl") or default(QWEN_ISSUER)
    client_id = pick(env_names.QWEN_OAUTH_CLIENT_ID, "clientId", ("--client-id", flags.client_id))
    scope = pick(env_names.QWEN_OAUTH_SCOPE, "scope", ("--scope", flags.scope))
    resource_url = pick(
        env_names.QWEN_OAUTH_RESOURCE_URL, "resourceUrl", ("--resource-url", flags.resource_url)
    )
    for value in (issuer, base_url, resource_url):
        if value is not None:
            _check_address(value)
    return ServerChoice(
        Value(base_url.text.rstrip("/"), base_url.source),
        issuer,
        client_id or default(_CLIENT_ID),
        scope or default(_SCOPE),
        resource_url,
    )


def discover(choice: ServerChoice, http: Sender) -> Server:
    """The server's endpoints: qwen.ai's are known, an issuer's are looked up in its metadata.

    Raises:
        ConfigError: there is no metadata, it is another issuer's, or it has no device grant.
        TransportError: the server cannot be reached.
    """
    scope = choice.scope.text
    if choice.issuer is None:
        known = choice.known()
        assert known is not None
        return Server(known, f"{choice.base_url.text}{_DEVICE_PATH}", scope)
    try:
        metadata = find_metadata(choice.issuer.text, http, require_device_grant)
    except MetadataMissing as error:
        message = f"{choice.issuer.source}: {error.message}"
        raise ConfigError(message, hint=error.hint) from error
    token, device = metadata.token_endpoint, metadata.device_authorization_endpoint
    assert token is not None
    assert device is not None
    revocation = metadata.revocation_endpoint
    issuer = Issuer(metadata.issuer, choice.client_id.text, token, revocation)
    return Server(issuer, device, scope, is_discovered=True)


def require_device_grant(metadata: ServerMetadata) -> None:
    """Refuse a server without the device grant.

    Raises:
        ConfigError: it lacks an endpoint, which ``message`` names.
    """
    names = ("device_authorization_endpoint", "token_endpoint")
    for name in names:
        if getattr(metadata, name) is None:
            raise ConfigError(
                f"{metadata.issuer} does not offer the device grant (RFC 8628): its metadata has "
                f"no {name}",
                hint="Ask its operator to allow the device grant, or use an API key.",
            )


def _check_address(value: Value) -> None:
    try:
        require_https(value.text)
    except ConfigError as error:
        raise ConfigError(f"{value.source}: {error.message}", hint=error.hint) from error
