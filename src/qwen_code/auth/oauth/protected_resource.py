"""Finds out who signs in for a resource that says so itself (RFC 9728), as MCP servers do.

The answer to a request without a token is 401. It can name a metadata document; if not, that is at
a well-known address. The document names the authorization servers. Servers of the first MCP
revision with authorization (2025-03-26) have no document: they are their own authorization server.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from qwen_code.auth.oauth.challenge import Challenge, parse_challenge
from qwen_code.auth.oauth.metadata import (
    MetadataMissing,
    ServerMetadata,
    find_metadata,
    require_named_endpoint,
    texts_of,
)
from qwen_code.auth.oauth.resource import covers, require_https
from qwen_code.auth.oauth.wire import MAX_ANSWER_BYTES, MAX_ANSWER_S, safe_line
from qwen_code.base.errors import ConfigError, QwenError, TransportError
from qwen_code.base.http import Request, Sender
from qwen_code.base.json_text import object_or_none
from qwen_code.base.url import Origin

_WELL_KNOWN = "/.well-known/oauth-protected-resource"
_MAX_SERVERS = 3
_INITIALIZE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "qwen", "version": "0"},
}
_PROBES: tuple[tuple[str, dict[str, Any]], ...] = (("tools/list", {}), ("initialize", _INITIALIZE))
"""Requests that are answered 401 without a token. Some servers let everyone initialize."""


class Resource(msgspec.Struct, frozen=True):
    """A protected resource. ``identifier`` is what its tokens are for (RFC 8707 §2).

    ``issuers`` are its authorization servers; it has none if it has no metadata. ``scopes`` are
    what its metadata lists.
    """

    identifier: str
    challenge: Challenge
    issuers: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()


def find_resource(url: str, http: Sender, headers: Mapping[str, str]) -> Resource:
    """What the resource at ``url`` says about signing in. It is sent ``headers`` too.

    Raises:
        ConfigError: it needs no sign-in, or does not say where.
        TransportError: it cannot be reached.
    """
    require_https(url)
    challenge, status = _challenge(url, http, headers)
    metadata = _metadata(url, challenge or Challenge(), http)
    if metadata is None and challenge is None:
        raise ConfigError(
            f"{url} answered {status} without a sign-in, so there is nothing to sign in to"
        )
    challenge = challenge or Challenge()
    if metadata is None:
        return Resource(_canonical(url), challenge)
    issuers = texts_of(metadata.get("authorization_servers"))
    if not issuers:
        raise ConfigError(f"{url} does not say which authorization server it trusts")
    scopes = texts_of(metadata.get("scopes_supported")) or ()
    return Resource(metadata["resource"], challenge, issuers, scopes)


def find_server(
    resource: Resource, url: str, http: Sender, wanted: str | None = None
) -> ServerMetadata:
    """The first authorization server of the resource at ``url`` that this program can use.

    If the issuer that the user ``wanted`` is set, it is that one or none.

    Raises:
        ConfigError, TransportError: why the first one cannot be used.
    """
    if not resource.issuers and wanted is None:
        return _server_of_2025_03_26(url, http)
    issuers = [each for each in resource.issuers if wanted in (None, each)]
    if not issuers:
        named = ", ".join(resource.issuers) or "none"
        raise ConfigError(
            f"{url} does not name the authorization server {wanted} of oauth.issuer, but "
            f"{safe_line(named)}",
            hint="If you trust it, change oauth.issuer to exactly that name.",
        )
    problem: QwenError | None = None
    for issuer in issuers[:_MAX_SERVERS]:
        try:
            require_named_endpoint(issuer, url)
            return _server(issuer, http)
        except (ConfigError, TransportError) as error:
            problem = problem or error
    assert problem is not None
    raise problem


def require_grant(metadata: ServerMetadata) -> None:
    """Refuse a server with neither the authorization code grant and PKCE nor the device grant.

    Raises:
        ConfigError: it offers no usable grant; ``message`` says why.
    """
    if metadata.token_endpoint is None:
        raise ConfigError(f"the metadata of {metadata.issuer} has no token_endpoint")
    if offers_code_grant(metadata) or metadata.device_authorization_endpoint is not None:
        return
    if metadata.authorization_endpoint is not None and "S256" not in (
        metadata.code_challenge_methods or ()
    ):
        raise ConfigError(
            f"{metadata.issuer} does not say that it supports PKCE with S256 "
            "(code_challenge_methods_supported), without which a sign-in is not safe"
        )
    raise ConfigError(
        f"{metadata.issuer} offers neither the authorization code grant nor the device grant"
    )


def offers_code_grant(metadata: ServerMetadata) -> bool:
    """Whether codes can be used there: with PKCE, which the MCP specification requires."""
    grants = metadata.grant_types
    return (
        metadata.authorization_endpoint is not None
        and "S256" in (metadata.code_challenge_methods or ())
        and (grants is None or "authorization_code" in grants)
    )


def _server(issuer: str, http: Sender) -> ServerMetadata:
    """The metadata. Some write the final slash of their name in one of the two places only."""
    other = issuer.rstrip("/") if issuer.endswith("/") else f"{issuer}/"
    try:
        return find_metadata(issuer, http, require_grant)
    except ConfigError as first:
        try:
            return find_metadata(other, http, require_grant)
        except ConfigError:
            raise first from None


def _server_of_2025_03_26(url: str, http: Sender) -> ServerMetadata:
    """The resource's own origin, with default endpoints if it has no metadata at all.

    That revision (§2.3) did not compare the issuer's name, and servers in use have it with a path.
    """
    origin = str(Origin.of(url))
    try:
        return find_metadata(origin, http, require_grant, any_of_origin=True)
    except MetadataMissing as error:
        if not error.is_absent:
            raise
    return ServerMetadata(
        origin,
        authorization_endpoint=f"{origin}/authorize",
        token_endpoint=f"{origin}/token",
        registration_endpoint=f"{origin}/register",
        code_challenge_methods=("S256",),
    )


def _challenge(url: str, http: Sender, headers: Mapping[str, str]) -> tuple[Challenge | None, int]:
    """The challenge to a request without a token, or ``None``; and the last status."""
    status = 0
    for method, params in _PROBES:
        body = {"jsonrpc": "2.0", "id": 0, "method": method, "params": params}
        own = {name.lower(): value for name, value in headers.items()}
        kinds = {
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
        }
        response = http.send(Request("POST", url, {**own, **kinds}, msgspec.json.encode(body)))
        status, header = response.status, response.headers.get("www-authenticate", "")
        response.close()
        if status == 401:
            return parse_challenge(header), status
    return None, status


def _metadata(url: str, challenge: Challenge, http: Sender) -> dict[str, Any] | None:
    for place in _places(url, challenge):
        require_named_endpoint(place, url)
        response = http.send(Request("GET", place, {"accept": "application/json"}))
        raw = object_or_none(response.read(MAX_ANSWER_BYTES, within_s=MAX_ANSWER_S))
        if response.status == 429 or response.status >= 500:
            raise ConfigError(f"{place} answered {response.status}", hint="Try again later.")
        if response.status != 200 or raw is None:
            continue
        resource = raw.get("resource")
        if not isinstance(resource, str) or not covers(resource, url):
            raise ConfigError(  # RFC 9728 §3.3: it must not be used then
                f"{place} is about another resource: {str(resource)[:200]!r}"
            )
        return raw
    if challenge.resource_metadata:
        raise ConfigError(f"{challenge.resource_metadata[:200]} has no metadata (RFC 9728)")
    return None


def _places(url: str, challenge: Challenge) -> Iterator[str]:
    """Where the document is: as the resource says, or at the well-known addresses (§3.1)."""
    if challenge.resource_metadata:
        yield challenge.resource_metadata
        return
    origin, path = Origin.of(url), urlsplit(url).path.rstrip("/")
    if path:
        yield f"{origin}{_WELL_KNOWN}{path}"
    yield f"{origin}{_WELL_KNOWN}"


def _canonical(url: str) -> str:
    """The resource identifier of a server that does not state one (RFC 8707 §2)."""
    path = urlsplit(url).path
    path = "" if path == "/" else path
    return f"{Origin.of(url)}{path}"
