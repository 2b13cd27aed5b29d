"""Which authorization server to sign in at: qwen.ai's, or any other with the device grant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from qwen_code.auth.oauth.token import Issuer
from qwen_code.auth.oauth.wire import ANSWER_LIMIT_BYTES, ANSWER_LIMIT_S
from qwen_code.base.errors import ConfigError
from qwen_code.base.http import Request, Sender
from qwen_code.base.json_text import decode_json
from qwen_code.base.url import Origin
from qwen_code.config import env_names
from qwen_code.config.environment import Environment
from qwen_code.config.settings import Settings
from qwen_code.config.values import Source, SourceKind, Value

_BASE_URL = "https://chat.qwen.ai"
_DEVICE_PATH = "/api/v1/oauth2/device/code"
_TOKEN_PATH = "/api/v1/oauth2/token"  # noqa: S105 a path
_CLIENT_ID = "f0304373b74a44d2b584a3fb70ca9e56"
_SCOPE = "openid profile email model.completion"
_WELL_KNOWN = ("oauth-authorization-server", "openid-configuration")


class ServerFlags(msgspec.Struct, frozen=True):
    """What the command line says about the server."""

    issuer: str | None = None
    client_id: str | None = None
    scope: str | None = None


class ServerChoice(msgspec.Struct, frozen=True):
    """What is configured. Every value is the user's own: a project's files have no say here.

    With an ``issuer`` its endpoints are discovered; else they are those of ``base_url``.
    """

    base_url: Value
    issuer: Value | None
    client_id: Value
    scope: Value
    resource_url: Value | None

    def known(self) -> Issuer | None:
        """The issuer, where nothing needs to be asked to know it."""
        if self.issuer is not None:
            return None
        base = self.base_url.text
        return Issuer(base, self.client_id.text, f"{base}{_TOKEN_PATH}")


class Server(msgspec.Struct, frozen=True):
    """An authorization server with the device grant (RFC 8628)."""

    issuer: Issuer
    device_authorization_endpoint: str
    scope: str
    registration_endpoint: str | None = None


def choose_server(
    environment: Environment, settings: Settings, flags: ServerFlags | None = None
) -> ServerChoice:
    """Flags, then the environment, then settings, then qwen.ai.

    Raises:
        ConfigError: a setting is no text, an address is not one, or it is plain http beyond this
            machine.
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
    base_url = pick(env_names.QWEN_OAUTH_BASE_URL, "baseUrl") or default(_BASE_URL)
    client_id = pick(env_names.QWEN_OAUTH_CLIENT_ID, "clientId", ("--client-id", flags.client_id))
    scope = pick(env_names.QWEN_OAUTH_SCOPE, "scope", ("--scope", flags.scope))
    resource_url = pick(env_names.QWEN_OAUTH_RESOURCE_URL, "resourceUrl")
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
    """The server's endpoints: qwen.ai's are known, an issuer's are asked for.

    RFC 8414 §3 first, then OpenID Connect Discovery §4.

    Raises:
        ConfigError: there is no metadata, it is another issuer's, or it has no device grant.
        TransportError: the server cannot be reached.
    """
    scope = choice.scope.text
    if choice.issuer is None:
        known = choice.known()
        assert known is not None
        return Server(known, f"{choice.base_url.text}{_DEVICE_PATH}", scope)
    issuer = choice.issuer.text
    for kind in _WELL_KNOWN:
        request = Request("GET", metadata_url(issuer, kind), {"accept": "application/json"})
        response = http.send(request)
        body = response.read(ANSWER_LIMIT_BYTES, within_s=ANSWER_LIMIT_S)
        if response.status == 200:
            return parse_metadata(body, choice)
    raise ConfigError(
        f"{issuer} ({choice.issuer.source}) has no OAuth metadata: it answered "
        f"{response.status} at /.well-known/{_WELL_KNOWN[0]} and /{_WELL_KNOWN[1]}",
        hint="Check the issuer's address; it is the one that its own metadata names.",
    )


def parse_metadata(body: bytes, choice: ServerChoice) -> Server:
    """The server that a metadata document describes (RFC 8414 §2).

    Raises:
        ConfigError: it is no such document, names another issuer (§3.3), or lacks the grant.
    """
    assert choice.issuer is not None
    wanted = choice.issuer.text
    try:
        raw: Any = decode_json(body)
    except msgspec.DecodeError:
        raw = None
    if not isinstance(raw, dict):
        raise ConfigError(f"the metadata of {wanted} is not JSON", hint="Check the address.")
    if raw.get("issuer") != wanted:
        raise ConfigError(
            f"the metadata at {wanted} is of another issuer: {str(raw.get('issuer'))[:200]!r}",
            hint=f"Set {env_names.QWEN_OAUTH_ISSUER} to exactly what the server calls itself, "
            "if you trust it.",
        )
    device = _endpoint(raw, "device_authorization_endpoint", wanted)
    token = _endpoint(raw, "token_endpoint", wanted)
    if device is None or token is None:
        raise ConfigError(
            f"{wanted} does not offer the device grant (RFC 8628): its metadata has no "
            + ("device_authorization_endpoint" if device is None else "token_endpoint"),
            hint="Ask its operator to allow the device grant, or use an API key.",
        )
    revocation = _endpoint(raw, "revocation_endpoint", wanted)
    issuer = Issuer(wanted, choice.client_id.text, token, revocation)
    registration = _endpoint(raw, "registration_endpoint", wanted)
    return Server(issuer, device, choice.scope.text, registration)


def _endpoint(raw: Mapping[str, Any], name: str, issuer: str) -> str | None:
    url = raw.get(name)
    if not isinstance(url, str) or not url:
        return None
    origin = Origin.of(url)
    if origin.scheme != "https" and not (origin.is_loopback and Origin.of(issuer).is_loopback):
        raise ConfigError(
            f"the {name} of {issuer} is plain http: {url}",
            hint="Tokens go over https only, except to this machine.",
        )
    return url


def metadata_url(issuer: str, kind: str = _WELL_KNOWN[0]) -> str:
    """Where an issuer's metadata is: between host and path (RFC 8414 §3.1), or for OpenID Connect
    behind the path (Discovery §4.1)."""
    origin = str(Origin.of(issuer))
    path = issuer.rstrip("/")[len(issuer.split("://", 1)[0]) + 3 :].partition("/")[2]
    suffix = f"/{path}" if path else ""
    if kind == "openid-configuration":
        return f"{origin}{suffix}/.well-known/{kind}"
    return f"{origin}/.well-known/{kind}{suffix}"


def _check_address(value: Value) -> None:
    try:
        origin = Origin.of(value.text)
    except ConfigError as error:
        raise ConfigError(f"{value.source}: {error.message}", hint=error.hint) from error
    if origin.scheme != "https" and not origin.is_loopback:
        raise ConfigError(
            f"{value.source} is plain http: {value.text}",
            hint="The sign-in goes over https only, except to this machine.",
        )
