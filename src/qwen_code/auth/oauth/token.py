"""What a sign-in yields, how long it is good, and its form in ``oauth_creds.json``.

Node Qwen Code reads and writes the same file: ``access_token``, ``token_type``,
``refresh_token``, ``resource_url`` and ``expiry_date`` (epoch milliseconds). What is ours alone
stands under ``qwen_code``; whatever else is there survives a rewrite.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

import msgspec

from qwen_code.base.json_text import decode_json
from qwen_code.base.secret import Secret

_WINDOW_S = 30.0
_WINDOW_SHARE = 0.1
_OURS = "qwen_code"
_NODES = ("access_token", "token_type", "refresh_token", "resource_url", "expiry_date")


class Freshness(Enum):
    """FRESH: usable. STALE: usable, renew soon. INVALID: past its end by this machine's clock."""

    FRESH = "fresh"
    STALE = "stale"
    INVALID = "invalid"


class Issuer(msgspec.Struct, frozen=True):
    """The authorization server that a token belongs to; endpoints are absolute URLs.

    ``name`` is its issuer identifier (RFC 8414 §2), or the base address where it has none.
    ``resource`` is what the tokens are asked for, where that is said (RFC 8707 §2).
    """

    name: str
    client_id: str
    token_endpoint: str
    revocation_endpoint: str | None = None
    resource: str | None = None


class Token(msgspec.Struct, frozen=True):
    """One generation of a sign-in.

    ``expires_at_ms`` is milliseconds since the epoch, ``None`` where nobody knows: then it is
    used until a server rejects it. ``lifetime_s`` is how long it was good when it was issued.
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
    extra: Mapping[str, Any] = msgspec.field(default_factory=dict)

    def freshness(self, now: float) -> Freshness:
        """How good it is at ``now`` (seconds since the epoch)."""
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
    def fingerprint(self) -> str:
        """Names this generation without telling anything of it; Node's rewrites keep it."""
        from hashlib import sha256  # only refreshing needs it

        text = (self.refresh_token or self.access_token).reveal()
        return sha256(text.encode()).hexdigest()[:32]

    def __repr__(self) -> str:
        return f"Token({self.access_token.masked}, generation {self.generation})"


def decode_token(data: bytes) -> Token:
    """The token in a credential file.

    Raises:
        ValueError: it holds no access token; the text says why.
    """
    try:
        raw: Any = decode_json(data)
    except msgspec.DecodeError as error:
        raise ValueError(str(error) if data.strip() else "it is empty") from error
    if not isinstance(raw, dict):
        raise ValueError("it is not an object")
    access = raw.get("access_token")
    if not isinstance(access, str) or not access:
        raise ValueError("it has no access_token")
    ours = raw.get(_OURS)
    ours = ours if isinstance(ours, dict) else {}
    known = {*_NODES, "scope", "id_token", _OURS}
    generation = ours.get("generation")
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
        generation if isinstance(generation, int) else 0,
        {key: value for key, value in raw.items() if key not in known},
    )


def encode_token(token: Token) -> bytes:
    """The file's bytes for ``token``: JSON, two spaces, keys in Node's order."""
    issuer = token.issuer
    ours = {
        "generation": token.generation,
        "lifetime_s": token.lifetime_s,
        "account": token.account,
        "issuer": issuer and issuer.name,
        "client_id": issuer and issuer.client_id,
        "token_endpoint": issuer and issuer.token_endpoint,
        "revocation_endpoint": issuer and issuer.revocation_endpoint,
        "resource": issuer and issuer.resource,
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
        _OURS: {key: value for key, value in ours.items() if value is not None},
    }
    present = {key: value for key, value in raw.items() if value is not None}
    return msgspec.json.format(msgspec.json.encode(present), indent=2)


def _issuer(ours: Mapping[str, Any]) -> Issuer | None:
    name, client, endpoint = (
        _text(ours.get(key)) for key in ("issuer", "client_id", "token_endpoint")
    )
    if not (name and client and endpoint):
        return None
    more = (_text(ours.get(key)) for key in ("revocation_endpoint", "resource"))
    return Issuer(name, client, endpoint, *more)


def _secret(value: Any) -> Secret | None:
    return Secret(value) if isinstance(value, str) and value else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _milliseconds(value: Any) -> int | None:
    """``null`` and text count as unknown; Node writes ``null`` where a server gave no lifetime."""
    number = _number(value)
    return round(number) if number is not None else None
