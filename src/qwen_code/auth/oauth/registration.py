"""Who this program is to an authorization server.

In the order of the MCP specification: a client that the user registered there, the URL of a Client
ID Metadata Document if the user publishes one, else a client that the server registers now
(RFC 7591). Each sign-in registers anew: the redirect URI has another port then, and a client that
the server has forgotten cannot get in the way.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import msgspec

from qwen_code.auth.oauth.metadata import ServerMetadata
from qwen_code.auth.oauth.token import Issuer
from qwen_code.auth.oauth.wire import (
    CLIENT_SECRET_BASIC,
    CLIENT_SECRET_POST,
    DEVICE_GRANT,
    MAX_ANSWER_BYTES,
    MAX_ANSWER_S,
    safe_line,
)
from qwen_code.base.errors import ConfigError
from qwen_code.base.http import Request, Sender
from qwen_code.base.json_text import object_or_none
from qwen_code.base.secret import Secret

_NONE = "none"
_METHODS = (_NONE, CLIENT_SECRET_BASIC, CLIENT_SECRET_POST)
"""How this program can authenticate. A program on the user's machine keeps no secret from them, so
it prefers to have none (RFC 8252 §8.4)."""

_DEFAULT_METHODS = (CLIENT_SECRET_BASIC,)
"""What a server supports that does not say (RFC 8414 §2)."""


class ClientSettings(msgspec.Struct, frozen=True):
    """What the user says about the client. ``issuer`` is the authorization server that knows it.
    ``redirect_uri`` is what they registered, on this machine; without a port, any free one is used.
    ``scopes`` replace those that a server names."""

    client_id: str | None = None
    client_secret: Secret | None = None
    issuer: str | None = None
    metadata_url: str | None = None
    redirect_uri: str | None = None
    scopes: tuple[str, ...] = ()


def identify(
    metadata: ServerMetadata,
    settings: ClientSettings,
    http: Sender,
    *,
    resource: str,
    redirect_uri: str | None,
    scope: str,
) -> Issuer:
    """The server with this program as a client of it, for tokens that are for ``resource``.

    ``redirect_uri`` is where codes will be sent to; ``None`` means the device grant.

    Raises:
        ConfigError: the server does not know this program, and does not register it.
        TransportError: it cannot be reached.
    """
    assert metadata.token_endpoint is not None
    secret = None
    method = _NONE
    if settings.client_id:
        client_id, secret = settings.client_id, settings.client_secret
        if secret is not None:
            method = _method_with_secret(metadata)
    elif settings.metadata_url and metadata.takes_metadata_urls:
        client_id = _metadata_client_id(settings.metadata_url)
    else:
        client_id, secret, method = _register(metadata, http, redirect_uri, scope)
    return Issuer(
        metadata.issuer,
        client_id,
        metadata.token_endpoint,
        metadata.revocation_endpoint,
        resource,
        secret.reveal() if secret else None,
        method,
    )


def _metadata_client_id(url: str) -> str:
    """Client ID Metadata Document, §3: an https URL with a path, and nothing that can be written
    in two ways."""
    parts = urlsplit(url)
    if parts.scheme != "https" or parts.path in ("", "/") or parts.fragment or "@" in parts.netloc:
        raise ConfigError(
            f"oauth.clientMetadataUrl is not an https URL with a path: {url!r}",
            hint="For example: https://example.com/oauth/qwen.json",
        )
    return url


def _method_with_secret(metadata: ServerMetadata) -> str:
    offered = metadata.token_auth_methods or _DEFAULT_METHODS
    for method in (CLIENT_SECRET_BASIC, CLIENT_SECRET_POST):
        if method in offered:
            return method
    raise ConfigError(
        f"{metadata.issuer} takes no client secret: it supports {safe_line(', '.join(offered))}",
        hint="If its operator gave you no secret, remove oauth.clientSecret.",
    )


def _register(
    metadata: ServerMetadata, http: Sender, redirect_uri: str | None, scope: str
) -> tuple[str, Secret | None, str]:
    """Register this program (RFC 7591 §3.1): its id, its secret, and how it authenticates."""
    if metadata.registration_endpoint is None:
        raise ConfigError(
            f"{metadata.issuer} does not let programs register themselves",
            hint="Ask its operator for a client id, and add it to the server's entry: "
            '"oauth": {"clientId": "…"}',
        )
    wanted = _preferred_method(metadata)
    wish = _wish(redirect_uri, scope, wanted)
    headers = {"content-type": "application/json", "accept": "application/json"}
    request = Request("POST", metadata.registration_endpoint, headers, msgspec.json.encode(wish))
    response = http.send(request)
    raw = object_or_none(response.read(MAX_ANSWER_BYTES, within_s=MAX_ANSWER_S))
    client_id = raw.get("client_id") if raw else None
    if raw is None or response.status not in (200, 201) or not _is_word(client_id):
        reason = raw.get("error_description") or raw.get("error") if raw else None
        raise ConfigError(
            f"{metadata.issuer} did not register this program: it answered {response.status}"
            + (f" ({safe_line(str(reason))})" if reason else ""),
            hint='Add a client id to the server\'s entry: "oauth": {"clientId": "…"}',
        )
    method, secret = raw.get("token_endpoint_auth_method") or wanted, raw.get("client_secret")
    if method not in _METHODS or (method != _NONE and not _is_word(secret)):
        raise ConfigError(  # the server may change what was asked for (RFC 7591 §3.2.1)
            f"{metadata.issuer} registered this program with an authentication method that it "
            f"cannot use: {safe_line(str(method))}"
        )
    return str(client_id), None if method == _NONE else Secret(str(secret)), str(method)


def _preferred_method(metadata: ServerMetadata) -> str:
    """A server that lists no methods is asked for none: most that register programs mean those."""
    offered = metadata.token_auth_methods
    if offered is None:
        return _NONE
    for method in _METHODS:
        if method in offered:
            return method
    raise ConfigError(
        f"{metadata.issuer} supports only {safe_line(', '.join(offered))} to authenticate clients, "
        "which this program does not"
    )


def _wish(redirect_uri: str | None, scope: str, method: str) -> dict[str, Any]:
    """RFC 7591 §2; ``application_type`` is from OpenID Connect Dynamic Client Registration §2."""
    if redirect_uri is None:
        grant: dict[str, Any] = {
            "grant_types": [DEVICE_GRANT, "refresh_token"],
            "response_types": [],
            "redirect_uris": [],
        }
    else:
        grant = {
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "redirect_uris": [redirect_uri],
        }
    wish = {"client_name": "qwen", "application_type": "native", **grant}
    return {
        **wish,
        "token_endpoint_auth_method": method,
        **({"scope": scope} if scope else {}),
    }


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 4096 and value.isprintable()
