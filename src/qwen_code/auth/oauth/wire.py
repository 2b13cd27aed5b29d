"""Builds the sign-in's requests, and parses its answers. No IO.

RFC 8628 (device authorization grant), RFC 6749 (codes, tokens, errors, refresh), RFC 7009
(revocation).
Errors are read from the JSON ``error`` field and the status, never by searching text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from qwen_code.auth.oauth.pkce import Pkce
from qwen_code.auth.oauth.token import Issuer, Token, account_name
from qwen_code.base.http import Request
from qwen_code.base.json_text import object_or_none
from qwen_code.base.retry import parse_retry_after
from qwen_code.base.secret import Secret, fits_header, redact

MAX_ANSWER_BYTES = 1 << 20
"""The maximum size of an answer from these endpoints; the rest is not read."""

MAX_ANSWER_S = 15.0
"""The maximum time to read one."""

CLIENT_SECRET_BASIC = "client_secret_basic"  # noqa: S105 a name
CLIENT_SECRET_POST = "client_secret_post"  # noqa: S105 a name

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_DEFAULT_INTERVAL_S = 5.0
_DEFAULT_CODE_LIFETIME_S = 900.0
_MAX_CODE_LIFETIME_S = 3600.0
_MAX_TOKEN_LIFETIME_S = 400 * 86400.0
_MAX_DESCRIPTION_LENGTH = 500
_MAX_CODE_LENGTH = 64
_MAX_ADDRESS_LENGTH = 2000
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]+")


class DeviceAuthorization(msgspec.Struct, frozen=True):
    """RFC 8628 §3.2. Times in seconds; ``interval_s`` is the default if none was given."""

    device_code: Secret
    user_code: str
    verification_uri: str
    verification_uri_complete: str | None
    expires_in_s: float
    interval_s: float


class Grant(msgspec.Struct, frozen=True):
    """RFC 6749 §5.1. ``expires_in_s`` is ``None`` if it is absent or not plausible."""

    access_token: Secret
    refresh_token: Secret | None = None
    expires_in_s: float | None = None
    scope: str | None = None
    resource_url: str | None = None
    id_token: Secret | None = None

    def first_token(
        self, issuer: Issuer, now: float, requested_scope: str, *, resource_url: str | None = None
    ) -> Token:
        """The first generation of a sign-in, granted at ``now`` (seconds since the epoch).

        ``resource_url`` is the endpoint that the user chose, if any.
        """
        lifetime = self.expires_in_s
        return Token(
            self.access_token,
            self.refresh_token,
            resource_url or self.resource_url,
            None if lifetime is None else round((now + lifetime) * 1000),
            lifetime,
            self.scope,
            self.id_token,
            issuer,
            account_name(self.id_token),
            is_pinned=resource_url is not None,
            requested_scope=requested_scope or None,
        )


class ErrorAnswer(msgspec.Struct, frozen=True):
    """The server decided (RFC 6749 §5.2); ``description`` is safe to display. ``unusable`` are
    tokens that came with it, and that should be revoked."""

    error: str
    description: str
    status: int
    retry_after_s: float | None = None
    unusable: Grant | None = None

    def __str__(self) -> str:
        return f"{self.error}: {self.description}" if self.description else self.error


class Trouble(msgspec.Struct, frozen=True):
    """No decision: an overloaded or broken server, or something between the server and us."""

    reason: str
    retry_after_s: float | None = None


def device_authorization_request(
    endpoint: str, issuer: Issuer, scope: str, pkce: Pkce, request_id: str
) -> Request:
    """Ask for a device code (RFC 8628 §3.1), with a code challenge (RFC 7636 §4.3)."""
    form = {
        **({"scope": scope} if scope else {}),
        **_resource(issuer),
        "code_challenge": pkce.challenge,
        "code_challenge_method": "S256",
    }
    return _client_form(endpoint, issuer, form).with_headers({"x-request-id": request_id})


def device_token_request(issuer: Issuer, device_code: Secret, verifier: Secret) -> Request:
    """Ask whether the code was approved (RFC 8628 §3.4)."""
    form = {
        "grant_type": DEVICE_GRANT,
        "device_code": device_code.reveal(),
        "code_verifier": verifier.reveal(),
        **_resource(issuer),
    }
    return _client_form(issuer.token_endpoint, issuer, form)


def authorization_code_request(
    issuer: Issuer, code: Secret, verifier: Secret, redirect_uri: str
) -> Request:
    """Exchange an authorization code (RFC 6749 §4.1.3, RFC 7636 §4.5)."""
    form = {
        "grant_type": "authorization_code",
        "code": code.reveal(),
        "redirect_uri": redirect_uri,
        "code_verifier": verifier.reveal(),
        **_resource(issuer),
    }
    return _client_form(issuer.token_endpoint, issuer, form)


def refresh_request(issuer: Issuer, refresh_token: Secret) -> Request:
    """Ask for the next generation (RFC 6749 §6)."""
    form = {
        "grant_type": "refresh_token",
        "refresh_token": refresh_token.reveal(),
        **_resource(issuer),
    }
    return _client_form(issuer.token_endpoint, issuer, form)


def revocation_request(endpoint: str, issuer: Issuer, token: Secret, hint: str) -> Request:
    """Ask the server to forget a token (RFC 7009 §2.1); ``hint`` is its kind."""
    return _client_form(endpoint, issuer, {"token": token.reveal(), "token_type_hint": hint})


def parse_device_authorization(
    status: int, headers: Mapping[str, str], body: bytes, *, now: float
) -> DeviceAuthorization | ErrorAnswer | Trouble:
    """What the device authorization endpoint said."""
    raw = object_or_none(body)
    if not _is_success(status, raw):
        return _unsuccessful(status, headers, raw, now)
    assert raw is not None
    texts = {key: raw.get(key) for key in ("device_code", "user_code", "verification_uri")}
    # The name in drafts of the RFC, which Google's server still uses.
    texts["verification_uri"] = texts["verification_uri"] or raw.get("verification_url")
    missing = [key for key, text in texts.items() if not (isinstance(text, str) and text)]
    if missing:
        return ErrorAnswer("invalid_answer", f"it has no {' and no '.join(missing)}", status)
    uri, user_code = str(texts["verification_uri"]), str(texts["user_code"])
    if not _is_web_address(uri):
        return ErrorAnswer("invalid_answer", "its verification_uri is not a URL", status)
    if not user_code.isprintable() or len(user_code) > _MAX_CODE_LENGTH:
        return ErrorAnswer("invalid_answer", "its user_code cannot be typed", status)
    complete = raw.get("verification_uri_complete")
    lifetime = _seconds(raw.get("expires_in"), _MAX_CODE_LIFETIME_S)
    interval = _seconds(raw.get("interval"), _MAX_CODE_LIFETIME_S)
    return DeviceAuthorization(
        Secret(str(texts["device_code"])),
        user_code,
        uri,
        complete if isinstance(complete, str) and _is_web_address(complete) else None,
        lifetime or _DEFAULT_CODE_LIFETIME_S,
        interval or _DEFAULT_INTERVAL_S,
    )


def parse_grant(
    status: int, headers: Mapping[str, str], body: bytes, *, now: float
) -> Grant | ErrorAnswer | Trouble:
    """What the token endpoint answered to a device code or a refresh token."""
    raw = object_or_none(body)
    if not _is_success(status, raw):
        return _unsuccessful(status, headers, raw, now)
    assert raw is not None
    access = raw.get("access_token")
    if not isinstance(access, str) or not access or not fits_header(access):
        return Trouble("the server's answer has no usable access_token")
    kind = raw.get("token_type")
    kind = "Bearer" if kind is None else kind
    grant = Grant(
        Secret(access),
        _secret(raw.get("refresh_token")),
        _seconds(raw.get("expires_in"), _MAX_TOKEN_LIFETIME_S),
        _text(raw.get("scope")),
        _text(raw.get("resource_url")),
        _secret(raw.get("id_token")),
    )
    if not isinstance(kind, str) or kind.lower() != "bearer":
        said = f"it issued a token of type {safe_line(str(kind))}"
        return ErrorAnswer("unsupported_token_type", said, status, unusable=grant)
    return grant


def _resource(issuer: Issuer) -> dict[str, str]:
    return {"resource": issuer.resource} if issuer.resource else {}


def _is_success(status: int, raw: dict[str, Any] | None) -> bool:
    return 200 <= status < 300 and raw is not None and not isinstance(raw.get("error"), str)


def _unsuccessful(
    status: int, headers: Mapping[str, str], raw: dict[str, Any] | None, now: float
) -> ErrorAnswer | Trouble:
    retry_after_s = parse_retry_after(headers.get("retry-after"), now=now)
    if 300 <= status < 400:
        where = safe_line(headers.get("location", "")) or "elsewhere"
        return ErrorAnswer("redirect", f"it redirects to {where}, which is not followed", status)
    error = raw.get("error") if raw else None
    if isinstance(error, str) and error and _is_decision(status, error):
        description = raw.get("error_description") if raw else None
        return ErrorAnswer(safe_line(error), safe_line(description or ""), status, retry_after_s)
    if status == 401:
        return ErrorAnswer("unauthorized", "it answered 401 without saying why", status)
    if 400 <= status < 500 and status not in (408, 425, 429) and raw is not None:
        return ErrorAnswer(f"http_{status}", safe_line(raw.get("message") or ""), status)
    if 200 <= status < 300:
        return Trouble("the server's answer is not a JSON object", retry_after_s)
    return Trouble(f"the server answered {status}", retry_after_s)


def _is_decision(status: int, error: str) -> bool:
    """Whether an OAuth error under this status is the server's decision about the grant.

    ``invalid_grant`` is one under any status. qwen.ai sends ``slow_down`` as 429; other errors with
    429 are rate limits. Errors with 5xx are trouble.
    """
    if error == "invalid_grant":
        return True
    if status == 429:
        return error in ("slow_down", "access_denied", "expired_token")
    return status < 500


def _client_form(url: str, issuer: Issuer, fields: Mapping[str, str]) -> Request:
    """A form from this client, which authenticates as it was registered (RFC 6749 §2.3.1)."""
    from base64 import b64encode
    from urllib.parse import quote, urlencode

    headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
    secret = issuer.secret.reveal() if issuer.secret else ""
    if issuer.client_auth == CLIENT_SECRET_BASIC:
        pair = f"{quote(issuer.client_id, safe='')}:{quote(secret, safe='')}"
        headers["authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
    else:
        fields = {**fields, "client_id": issuer.client_id}
        if issuer.client_auth == CLIENT_SECRET_POST:
            fields = {**fields, "client_secret": secret}
    return Request("POST", url, headers, urlencode(fields, quote_via=quote).encode())


def _seconds(value: Any, maximum: float) -> float | None:
    """A plausible duration: a number, or a number as text, in ``(0, maximum]``."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) and 0 < seconds <= maximum else None


def _is_web_address(text: str) -> bool:
    """Whether it can be displayed on one line and opened in a browser."""
    return (
        text.startswith(("https://", "http://"))
        and len(text) <= _MAX_ADDRESS_LENGTH
        and fits_header(text)
    )


def _secret(value: Any) -> Secret | None:
    return Secret(value) if isinstance(value, str) and value and fits_header(value) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def safe_line(text: Any) -> str:
    """Text from a server, safe to display: one short line, no control characters, no secrets."""
    if not isinstance(text, str):
        return ""
    text = redact(_CONTROL.sub(" ", text)).strip()
    return text if len(text) <= _MAX_DESCRIPTION_LENGTH else f"{text[:_MAX_DESCRIPTION_LENGTH]}…"
