"""Whose sign-in it is, for display only: an ID token is read here and trusted by nobody."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode

from qwen_code.base.json_text import decode_json
from qwen_code.base.secret import Secret

_CLAIMS = ("email", "preferred_username", "name", "sub")
_MAX_LENGTH = 100


def account_name(id_token: Secret | None) -> str | None:
    """The account that an ID token names (OpenID Connect Core §5.1), or ``None``."""
    if id_token is None:
        return None
    parts = id_token.reveal().split(".")
    if len(parts) != 3:
        return None
    try:
        payload = urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        claims = decode_json(payload)
    except (ValueError, binascii.Error):
        return None
    if not isinstance(claims, dict):
        return None
    for claim in _CLAIMS:
        name = claims.get(claim)
        if isinstance(name, str) and name.strip() and name.isprintable():
            return name.strip()[:_MAX_LENGTH]
    return None
