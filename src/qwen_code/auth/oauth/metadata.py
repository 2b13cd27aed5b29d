"""What an authorization server says about itself: RFC 8414, or OpenID Connect Discovery 1.0."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from qwen_code.auth.oauth.wire import MAX_ANSWER_BYTES, MAX_ANSWER_S
from qwen_code.base.errors import ConfigError
from qwen_code.base.http import Request, Sender
from qwen_code.base.json_text import decode_json
from qwen_code.base.url import Origin, is_link_local_host
from qwen_code.config import env_names

_OAUTH = "/.well-known/oauth-authorization-server"
_OPENID = "/.well-known/openid-configuration"


class MetadataMissing(ConfigError):
    """None of the well-known addresses has a document. ``is_absent``: the server has said so, and
    not failed in another way."""

    def __init__(self, issuer: str, statuses: Mapping[str, int]) -> None:
        answers = ", ".join(f"{status} at {url}" for url, status in statuses.items())
        super().__init__(
            f"{issuer} has no OAuth metadata: it answered {answers}",
            hint="Check the issuer's address. It must be the one that its metadata names.",
        )
        self.is_absent = all(status in (404, 405, 410) for status in statuses.values())


class ServerMetadata(msgspec.Struct, frozen=True):
    """An authorization server's metadata (RFC 8414 §2); endpoints are absolute URLs.

    A list is ``None`` if the document does not have it. ``sends_iss``: its authorization responses
    name it (RFC 9207 §3). ``takes_metadata_urls``: a client id can be the URL of a Client ID
    Metadata Document.
    """

    issuer: str
    authorization_endpoint: str | None = None
    token_endpoint: str | None = None
    device_authorization_endpoint: str | None = None
    registration_endpoint: str | None = None
    revocation_endpoint: str | None = None
    grant_types: tuple[str, ...] | None = None
    scopes: tuple[str, ...] | None = None
    token_auth_methods: tuple[str, ...] | None = None
    code_challenge_methods: tuple[str, ...] | None = None
    sends_iss: bool = False
    takes_metadata_urls: bool = False


def find_metadata(
    issuer: str,
    http: Sender,
    suits: Callable[[ServerMetadata], object] = lambda _: None,
    *,
    any_of_origin: bool = False,
) -> ServerMetadata:
    """The first document of ``issuer`` that is valid, and that ``suits`` does not refuse.

    ``suits`` raises a `ConfigError` for one that cannot be used. ``any_of_origin``: see
    :func:`parse_metadata`.

    Raises:
        MetadataMissing: there is no document.
        ConfigError: what is wrong with the first one, if none can be used.
        TransportError: the server cannot be reached.
    """
    problem: ConfigError | None = None
    statuses: dict[str, int] = {}
    for url in metadata_urls(issuer):
        response = http.send(Request("GET", url, {"accept": "application/json"}))
        body = response.read(MAX_ANSWER_BYTES, within_s=MAX_ANSWER_S)
        statuses[url] = response.status
        if response.status == 200:
            try:
                metadata = parse_metadata(body, issuer, any_of_origin=any_of_origin)
                suits(metadata)
            except ConfigError as error:
                problem = problem or error
            else:
                return metadata
    raise problem or MetadataMissing(issuer, statuses)


def metadata_urls(issuer: str) -> list[str]:
    """Where an issuer's metadata can be, the usual place first.

    RFC 8414 §3.1 and §5 insert the well-known path before that of the issuer; OpenID Connect
    Discovery §4.1 appends it.
    """
    origin = str(Origin.of(issuer))
    path = issuer.split("://", 1)[1].rstrip("/").partition("/")[2]
    suffix = f"/{path}" if path else ""
    inserted = [f"{origin}{_OAUTH}{suffix}", f"{origin}{_OPENID}{suffix}"]
    return [*inserted, f"{origin}{suffix}{_OPENID}"] if suffix else inserted


def parse_metadata(body: bytes, issuer: str, *, any_of_origin: bool = False) -> ServerMetadata:
    """The server that a metadata document describes.

    ``any_of_origin``: ``issuer`` is only an origin, and the document can name any issuer there.

    Raises:
        ConfigError: it is not such a document, it names another issuer (RFC 8414 §3.3), or an
            endpoint must not be used.
    """
    try:
        raw: Any = decode_json(body)
    except msgspec.DecodeError:
        raw = None
    if not isinstance(raw, dict):
        raise ConfigError(f"the metadata of {issuer} is not JSON", hint="Check the address.")
    name = raw.get("issuer")
    if name != issuer and not (any_of_origin and _is_of_origin(name, issuer)):
        raise ConfigError(
            f"the metadata at {issuer} names another issuer: {str(name)[:200]!r}",
            hint=f"If you trust it, set {env_names.QWEN_OAUTH_ISSUER} to exactly that name.",
        )

    def endpoint(key: str) -> str | None:
        return _endpoint(raw, key, issuer)

    return ServerMetadata(
        str(name),
        endpoint("authorization_endpoint"),
        endpoint("token_endpoint"),
        endpoint("device_authorization_endpoint"),
        endpoint("registration_endpoint"),
        endpoint("revocation_endpoint"),
        texts_of(raw.get("grant_types_supported")),
        texts_of(raw.get("scopes_supported")),
        texts_of(raw.get("token_endpoint_auth_methods_supported")),
        texts_of(raw.get("code_challenge_methods_supported")),
        raw.get("authorization_response_iss_parameter_supported") is True,
        raw.get("client_id_metadata_document_supported") is True,
    )


def texts_of(value: Any) -> tuple[str, ...] | None:
    """The texts in a list of a document; ``None`` if there is no list."""
    if not isinstance(value, list):
        return None
    return tuple(text for text in value if isinstance(text, str) and text)


def _is_of_origin(name: Any, origin: str) -> bool:
    try:
        return isinstance(name, str) and Origin.of(name) == Origin.of(origin)
    except ConfigError:
        return False


def _endpoint(raw: Mapping[str, Any], name: str, issuer: str) -> str | None:
    url = raw.get(name)
    if not isinstance(url, str) or not url:
        return None
    try:
        require_named_endpoint(url, issuer)
    except ConfigError as error:
        raise ConfigError(f"the {name} of {issuer}: {error.message}", hint=error.hint) from error
    return url


def require_named_endpoint(url: str, by: str) -> None:
    """Refuse an address that ``by``, another address, names and must not.

    Secrets are sent over https only, except on this machine. And a server elsewhere must not make
    this program send requests to services of this machine.

    Raises:
        ConfigError: it is not an address, is plain http, or is on this machine and ``by`` is not.
    """
    origin = Origin.of(url)
    if Origin.of(by).is_loopback:
        is_allowed = origin.scheme == "https" or origin.is_loopback
    else:
        is_allowed = origin.scheme == "https"
        if origin.is_loopback or is_link_local_host(origin.host):
            raise ConfigError(
                f"{url[:200]} is on this machine or its network link, and {Origin.of(by)} is not",
                hint="A server elsewhere must not name an address here.",
            )
    if not is_allowed:
        raise ConfigError(
            f"{url[:200]} is plain http",
            hint="Tokens are sent over https only, except to this machine.",
        )
