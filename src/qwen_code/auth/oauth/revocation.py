"""Ask the server to forget a sign-in (RFC 7009)."""

from __future__ import annotations

from qwen_code.auth.oauth.server import metadata_url
from qwen_code.auth.oauth.token import Issuer, Token
from qwen_code.auth.oauth.wire import ANSWER_LIMIT_BYTES, ANSWER_LIMIT_S, revocation_request
from qwen_code.base.errors import QwenError, TransportError
from qwen_code.base.http import Request, Sender
from qwen_code.base.json_text import decode_json
from qwen_code.base.url import Origin


def revoke(token: Token, issuer: Issuer | None, http: Sender) -> str:
    """Revoke the refresh token, or where there is none the access token; says what came of it.

    A server that revokes a refresh token also ends its access tokens (RFC 7009 §2.1). It never
    fails: whoever signs out is signed out here, whatever the server does.
    """
    endpoint = _endpoint(issuer, http) if issuer else None
    if issuer is None or endpoint is None:
        return "the server offers no revocation; its tokens end by themselves"
    secret, kind = token.access_token, "access_token"
    if token.refresh_token is not None:
        secret, kind = token.refresh_token, "refresh_token"
    try:
        response = http.send(revocation_request(endpoint, issuer.client_id, secret, kind))
        response.read(ANSWER_LIMIT_BYTES, within_s=ANSWER_LIMIT_S)
    except TransportError as error:
        return f"not revoked at the server: {error.message}"
    if response.status == 200:
        return f"revoked at {issuer.name}"
    return f"not revoked at the server: it answered {response.status}"


def _endpoint(issuer: Issuer, http: Sender) -> str | None:
    """Where to revoke. What the sign-in did not learn, the server's metadata may say; an address
    on another origin than the token endpoint's is not believed here."""
    if issuer.revocation_endpoint:
        return issuer.revocation_endpoint
    request = Request("GET", metadata_url(issuer.name), {"accept": "application/json"})
    try:
        response = http.send(request)
        raw = decode_json(response.read(ANSWER_LIMIT_BYTES, within_s=ANSWER_LIMIT_S))
        found = raw.get("revocation_endpoint")
        is_ours = isinstance(found, str) and Origin.of(found) == Origin.of(issuer.token_endpoint)
    except (QwenError, ValueError, AttributeError):
        return None
    return found if is_ours and response.status == 200 else None
