"""Finds the authorization server of a resource that names it itself (RFC 9728), as MCP servers do.

The answer to a request without a token is 401, and names a metadata document. That document names
the authorization server, which registers this program (RFC 7591). The rest is a normal device flow,
with tokens that are valid only for that resource (RFC 8707).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from qwen_code.auth.oauth.resource import covers, require_https
from qwen_code.auth.oauth.server import Server, ServerChoice, discover
from qwen_code.auth.oauth.wire import MAX_ANSWER_BYTES, MAX_ANSWER_S
from qwen_code.base.errors import ConfigError
from qwen_code.base.http import Request, Sender
from qwen_code.base.json_text import object_or_none
from qwen_code.base.url import Origin
from qwen_code.config.values import Source, SourceKind, Value

_WELL_KNOWN = "/.well-known/oauth-protected-resource"
_PARAMETER = re.compile(r'([A-Za-z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_GRANTS = ["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"]
_PROBE = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "qwen", "version": "0"},
    },
}


def find_server(
    url: str,
    http: Sender,
    *,
    headers: Mapping[str, str],
    client_id: str | None,
    scopes: tuple[str, ...],
) -> Server:
    """The authorization server of the resource at ``url``, ready for a device flow.

    ``headers`` are sent with the request to the resource. Without a ``client_id``, one is
    registered.
    The server's ``issuer.resource`` is what the tokens will be valid for.

    Raises:
        ConfigError: it needs no sign-in, or one that this program does not support.
        TransportError: one of them cannot be reached.
    """
    require_https(url)
    challenge = _challenge(url, http, headers)
    metadata = _metadata(url, challenge, http)
    resource, issuers = metadata["resource"], metadata.get("authorization_servers")
    if not isinstance(issuers, list) or not issuers or not isinstance(issuers[0], str):
        raise ConfigError(f"{url} does not say which authorization server it trusts")
    offered = metadata.get("scopes_supported")
    wanted = " ".join(scopes) or challenge.get("scope") or _joined(offered)
    server = _discover(issuers[0], wanted, http)
    name = client_id or _register(server, http)
    issuer = msgspec.structs.replace(server.issuer, client_id=name, resource=resource)
    return msgspec.structs.replace(server, issuer=issuer)


def parse_challenge(header: str) -> dict[str, str]:
    """The parameters of the first Bearer challenge in ``WWW-Authenticate`` (RFC 9110 §11.6.1)."""
    _, found, rest = (" " + header).partition(" Bearer")
    if not found:
        return {}
    parameters: dict[str, str] = {}
    for match in _PARAMETER.finditer(rest):
        name, quoted, bare = match.groups()
        text = bare if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        parameters.setdefault(name.lower(), text)
    return parameters


def _challenge(url: str, http: Sender, headers: Mapping[str, str]) -> dict[str, str]:
    request = Request(
        "POST",
        url,
        {
            **{name.lower(): value for name, value in headers.items()},
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
        },
        msgspec.json.encode(_PROBE),
    )
    response = http.send(request)
    status, header = response.status, response.headers.get("www-authenticate", "")
    response.close()
    if status != 401:
        raise ConfigError(
            f"{url} answered {status} without a sign-in, so there is nothing to sign in to"
        )
    return parse_challenge(header)


def _metadata(url: str, challenge: Mapping[str, str], http: Sender) -> dict[str, Any]:
    for place in _places(url, challenge):
        require_https(place)
        raw = _get_object(place, http)
        if raw is None:
            continue
        resource = raw.get("resource")
        if not isinstance(resource, str) or not covers(resource, url):
            raise ConfigError(  # RFC 9728 §3.3: it must not be used then
                f"{place} is about another resource: {str(resource)[:200]!r}"
            )
        return raw
    raise ConfigError(f"{url} asks for a sign-in, but does not say where (RFC 9728)")


def _places(url: str, challenge: Mapping[str, str]) -> Iterator[str]:
    """Where the document is: as the resource says, or at the well-known addresses (§3.1)."""
    if named := challenge.get("resource_metadata"):
        yield named
        return
    origin, path = Origin.of(url), urlsplit(url).path.rstrip("/")
    if path:
        yield f"{origin}{_WELL_KNOWN}{path}"
    yield f"{origin}{_WELL_KNOWN}"


def _discover(issuer: str, scope: str, http: Sender) -> Server:
    """The server's endpoints. Some write the final slash of their name in one place only."""
    require_https(issuer)
    source = Source(SourceKind.IMPLIED, "as the resource says")
    other = issuer.rstrip("/") if issuer.endswith("/") else f"{issuer}/"
    first: ConfigError | None = None
    for name in (issuer, other):
        value = Value(name, source)
        choice = ServerChoice(value, value, Value("", source), Value(scope, source), None)
        try:
            return discover(choice, http)
        except ConfigError as error:
            first = first or error
    assert first is not None
    raise first


def _register(server: Server, http: Sender) -> str:
    """A client id from the server itself (RFC 7591 §3.1)."""
    if server.registration_endpoint is None:
        raise ConfigError(
            f"{server.issuer.name} does not let programs register themselves",
            hint="Ask its operator for a client id, and add it to the server's entry: "
            '"oauth": {"clientId": "…"}',
        )
    wish = {
        "client_name": "qwen",
        "grant_types": _GRANTS,
        "response_types": [],
        "redirect_uris": [],
        "token_endpoint_auth_method": "none",
        **({"scope": server.scope} if server.scope else {}),
    }
    headers = {"content-type": "application/json", "accept": "application/json"}
    request = Request("POST", server.registration_endpoint, headers, msgspec.json.encode(wish))
    response = http.send(request)
    body = response.read(MAX_ANSWER_BYTES, within_s=MAX_ANSWER_S)
    raw = object_or_none(body)
    name = raw.get("client_id") if raw else None
    if response.status not in (200, 201) or not isinstance(name, str) or not name:
        reason = raw.get("error_description") or raw.get("error") if raw else None
        raise ConfigError(
            f"{server.issuer.name} did not register this program: it answered {response.status}"
            + (f" ({str(reason)[:200]})" if reason else ""),
            hint='Add a client id to the server\'s entry: "oauth": {"clientId": "…"}',
        )
    return name


def _get_object(url: str, http: Sender) -> dict[str, Any] | None:
    response = http.send(Request("GET", url, {"accept": "application/json"}))
    body = response.read(MAX_ANSWER_BYTES, within_s=MAX_ANSWER_S)
    return object_or_none(body) if response.status == 200 else None


def _joined(scopes: Any) -> str:
    texts = scopes if isinstance(scopes, list) else []
    return " ".join(text for text in texts if isinstance(text, str))
