"""What a sign-in yields, how long it is valid, and its form as a stored document.

Node Qwen Code reads and writes the same ``oauth_creds.json``: ``access_token``, ``token_type``,
``refresh_token``, ``resource_url`` and ``expiry_date`` (epoch milliseconds). What only this program
needs is under ``qwen_code``; unknown keys are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

import msgspec

from qwen_code.auth.stores.base import CredentialCorrupt, CredentialStore, Document, version_of
from qwen_code.base.errors import ConfigError
from qwen_code.base.json_text import decode_json
from qwen_code.base.secret import Secret, fits_header
from qwen_code.base.url import Origin

_WINDOW_S = 30.0
_WINDOW_SHARE = 0.1
_OURS = "qwen_code"
_NAMING_CLAIMS = ("email", "preferred_username", "name", "sub")
_MAX_NAME_LENGTH = 100
_MAX_GENERATION = 2**53
_MAX_MAGNITUDE = 60_000_000_000_000
"""The year 3871 in milliseconds. Larger values are not dates, and `datetime` may not hold them."""
_KNOWN = (
    *("access_token", "token_type", "refresh_token", "resource_url", "expiry_date"),
    *("scope", "id_token", _OURS),
)
_OUR_KEYS = (
    *("generation", "lifetime_s", "account", "resource_url_pinned", "issuer", "client_id"),
    *("token_endpoint", "revocation_endpoint", "resource"),
    *("client_secret", "client_auth", "requested_scope"),
)


class Freshness(Enum):
    """FRESH: usable. STALE: usable, renew soon. INVALID: expired by this machine's clock."""

    FRESH = "fresh"
    STALE = "stale"
    INVALID = "invalid"


class Issuer(msgspec.Struct, frozen=True):
    """The authorization server that a token belongs to; endpoints are absolute URLs.

    ``name`` is its issuer identifier (RFC 8414 §2), or the base address where it has none.
    ``resource`` is what the tokens are requested for, if it is known (RFC 8707 §2).
    ``client_auth`` is how the client authenticates (RFC 7591 §2, ``token_endpoint_auth_method``).
    """

    name: str
    client_id: str
    token_endpoint: str
    revocation_endpoint: str | None = None
    resource: str | None = None
    client_secret: str | None = None
    client_auth: str = "none"

    @property
    def secret(self) -> Secret | None:
        """The client's secret, if it has one."""
        return Secret(self.client_secret) if self.client_secret else None

    def __repr__(self) -> str:
        return f"Issuer({self.name}, {self.client_id})"


class Token(msgspec.Struct, frozen=True):
    """One generation of a sign-in.

    ``expires_at_ms`` is milliseconds since the epoch; ``None`` means unknown: the token is used
    until a server rejects it. ``lifetime_s`` is the lifetime that it was issued with.
    ``is_pinned``: the user chose ``resource_url``, so answers of the server do not change it.
    ``requested_scope`` is what the sign-in asked for; ``scope`` is what the server granted.
    """

    access_token: Secret
    refresh_token: Secret | None = None
    resource_url: str | None = None
    expires_at_ms: int | None = None
    lifetime_s: float | None = None
    scope: str | None = None
    id_token: Secret | None = None
    issuer: Issuer | None = None
    account: str | None = None
    generation: int = 0
    is_pinned: bool = False
    requested_scope: str | None = None
    extra: Mapping[str, Any] = msgspec.field(default_factory=dict)

    def freshness(self, now: float) -> Freshness:
        """Whether it can be used at ``now`` (seconds since the epoch)."""
        if self.expires_at_ms is None:
            return Freshness.FRESH
        left = self.expires_at_ms / 1000 - now
        if left <= 0:
            return Freshness.INVALID
        window = _WINDOW_S
        if self.lifetime_s is not None:
            window = min(window, self.lifetime_s * _WINDOW_SHARE)
        return Freshness.STALE if left <= window else Freshness.FRESH

    @property
    def granted_scope(self) -> str | None:
        """A server that does not state the scope granted what was asked for (RFC 6749 §5.1)."""
        return self.scope or self.requested_scope

    @property
    def version(self) -> str:
        """An identifier of this generation, which reveals nothing of the tokens."""
        return version_of(document_of(self))

    @property
    def holder(self) -> str:
        """Whose it is, to show: the account, or the server if that does not name one."""
        return self.account or (self.issuer.name if self.issuer else "qwen.ai")

    def __repr__(self) -> str:
        return f"Token({self.access_token.masked}, generation {self.generation})"


def token_of(raw: Document) -> Token:
    """The token in a stored document.

    Raises:
        ValueError: it holds no access token, one that cannot be sent, or half an issuer.
    """
    access = raw.get("access_token")
    if not isinstance(access, str) or not access:
        raise ValueError("it has no access_token")
    if not fits_header(access):
        raise ValueError("its access_token holds a character that cannot be sent in a header")
    ours = raw.get(_OURS)
    ours = ours if isinstance(ours, dict) else {}
    extra = {key: value for key, value in raw.items() if key not in _KNOWN}
    if more := {key: value for key, value in ours.items() if key not in _OUR_KEYS}:
        extra[_OURS] = more
    return Token(
        Secret(access),
        _secret(raw.get("refresh_token")),
        _text(raw.get("resource_url")),
        _milliseconds(raw.get("expiry_date")),
        _number(ours.get("lifetime_s")),
        _text(raw.get("scope")),
        _secret(raw.get("id_token")),
        _issuer(ours),
        _text(ours.get("account")),
        _generation(ours.get("generation")),
        ours.get("resource_url_pinned") is True,
        _text(ours.get("requested_scope")),
        extra,
    )


def document_of(token: Token) -> Document:
    """The document that stores ``token``, its keys in Node's order."""
    issuer = token.issuer
    ours = {
        "generation": token.generation,
        "lifetime_s": token.lifetime_s,
        "account": token.account,
        "resource_url_pinned": token.is_pinned or None,
        "issuer": issuer and issuer.name,
        "client_id": issuer and issuer.client_id,
        "token_endpoint": issuer and issuer.token_endpoint,
        "revocation_endpoint": issuer and issuer.revocation_endpoint,
        "resource": issuer and issuer.resource,
        "client_secret": issuer and issuer.client_secret,
        "client_auth": issuer.client_auth if issuer and issuer.client_secret else None,
        "requested_scope": token.requested_scope,
    }
    raw = {
        "access_token": token.access_token.reveal(),
        "token_type": "Bearer",
        "refresh_token": token.refresh_token and token.refresh_token.reveal(),
        "resource_url": token.resource_url,
        "expiry_date": token.expires_at_ms,
        "scope": token.scope,
        "id_token": token.id_token and token.id_token.reveal(),
        **token.extra,
        _OURS: token.extra.get(_OURS, {}) | {k: v for k, v in ours.items() if v is not None},
    }
    return {key: value for key, value in raw.items() if value is not None}


def load_token(store: CredentialStore) -> Token | None:
    """The stored token; ``None`` if there is none.

    Raises:
        CredentialCorrupt: it cannot be read or understood.
    """
    document = store.load()
    try:
        return None if document is None else token_of(document)
    except ValueError as error:
        raise CredentialCorrupt(store.place, str(error)) from error


def account_name(id_token: Secret | None) -> str | None:
    """The account that an ID token names (OpenID Connect Core §5.1), or ``None``.

    It is only displayed. The token's signature is not checked, and nothing depends on it.
    """
    from base64 import urlsafe_b64decode  # only a sign-in needs it

    parts = id_token.reveal().split(".") if id_token else []
    if len(parts) != 3:
        return None
    try:
        claims = decode_json(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return None
    names = (claims.get(claim) for claim in _NAMING_CLAIMS) if isinstance(claims, dict) else ()
    for name in names:
        if isinstance(name, str) and name.strip() and name.isprintable():
            return name.strip()[:_MAX_NAME_LENGTH]
    return None


def _issuer(ours: Mapping[str, Any]) -> Issuer | None:
    """The issuer that the document names; ``None`` means the default one.

    Raises:
        ValueError: it names another one incompletely. Without this error, the token would pass for
            one of the default issuer, and be sent to its endpoint.
    """
    name, client, endpoint = (
        _text(ours.get(key)) for key in ("issuer", "client_id", "token_endpoint")
    )
    known = name or endpoint
    if known is None:
        return None
    if not (name and client and endpoint):
        from qwen_code.auth.oauth.resource import is_qwen  # it imports this module

        if is_qwen(known):
            return None
        raise ValueError(f"it names {known!r} without issuer, client_id or token_endpoint")
    for address in (name, endpoint):
        try:
            Origin.of(address)
        except ConfigError as error:
            raise ValueError(f"it names an unusable issuer: {error.message}") from error
    return Issuer(
        name,
        client,
        endpoint,
        _text(ours.get("revocation_endpoint")),
        _text(ours.get("resource")),
        _text(ours.get("client_secret")),
        _text(ours.get("client_auth")) or "none",
    )


def _secret(value: Any) -> Secret | None:
    return Secret(value) if isinstance(value, str) and value else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: Any) -> float | None:
    """A finite number of a sensible size; anything else counts as absent. A file may hold an
    integer that is too large for a float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if -_MAX_MAGNITUDE <= value <= _MAX_MAGNITUDE else None


def _generation(value: Any) -> int:
    number = value if isinstance(value, int) and not isinstance(value, bool) else 0
    return number if 0 <= number < _MAX_GENERATION else 0


def _milliseconds(value: Any) -> int | None:
    """``null`` and text count as unknown: Node writes ``null`` if a server gave no lifetime."""
    number = _number(value)
    return round(number) if number is not None else None
