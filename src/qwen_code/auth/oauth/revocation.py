"""Ask the server to revoke a sign-in (RFC 7009)."""

from __future__ import annotations

from qwen_code.auth.oauth.metadata import metadata_urls
from qwen_code.auth.oauth.token import Issuer, Token
from qwen_code.auth.oauth.wire import MAX_ANSWER_BYTES, MAX_ANSWER_S, revocation_request
from qwen_code.base.errors import ConfigError, QwenError
from qwen_code.base.http import Request, Sender
from qwen_code.base.json_text import decode_json
from qwen_code.base.url import Origin

_END = "its tokens will expire"


class _NotTold(Exception):
    """The server was not reached, or its answer cannot be used."""


def revoke(token: Token, issuer: Issuer | None, http: Sender) -> str:
    """Revoke the refresh token, or the access token if there is none; returns the outcome as text.

    A server that revokes a refresh token also ends its access tokens (RFC 7009 §2.1). It never
    fails, so that signing out always works on this machine.
    """
    if issuer is None:
        return f"the server is not known, so it was not told; {_END}"
    try:
        endpoint = _endpoint(issuer, http)
        if endpoint is None:
            return f"the server offers no revocation; {_END}"
        _send(endpoint, issuer, token, http)
    except _NotTold as reason:
        return f"the server was not told: {reason}; {_END}"
    return f"revoked at {issuer.name}"


def _send(endpoint: str, issuer: Issuer, token: Token, http: Sender) -> None:
    secret, kind = token.access_token, "access_token"
    if token.refresh_token is not None:
        secret, kind = token.refresh_token, "refresh_token"
    status, _ = _answer(revocation_request(endpoint, issuer, secret, kind), http)
    if not 200 <= status < 300:
        raise _NotTold(f"it answered {status}")


def _endpoint(issuer: Issuer, http: Sender) -> str | None:
    """Where to revoke; ``None``: the server does not offer it.

    If it was not stored at the sign-in, it is read from the server's metadata. Then an address is
    ignored if its origin is not that of the token endpoint.
    """
    if issuer.revocation_endpoint:
        return issuer.revocation_endpoint
    for url in metadata_urls(issuer.name):
        status, body = _answer(Request("GET", url, {"accept": "application/json"}), http)
        if status >= 500 or status in (408, 429):
            raise _NotTold(f"it answered {status}")
        try:
            found = decode_json(body).get("revocation_endpoint")
            is_ours = isinstance(found, str) and Origin.of(found) == Origin.of(
                issuer.token_endpoint
            )
        except (ConfigError, ValueError, AttributeError):
            continue
        if status == 200 and is_ours:
            return str(found)
    return None


def _answer(request: Request, http: Sender) -> tuple[int, bytes]:
    try:
        response = http.send(request)
        return response.status, response.read(MAX_ANSWER_BYTES, within_s=MAX_ANSWER_S)
    except QwenError as error:  # the network, or a setting for it that cannot be used
        raise _NotTold(error.message) from error
