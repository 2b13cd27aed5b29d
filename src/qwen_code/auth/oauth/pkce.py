"""Proof Key for Code Exchange (RFC 7636)."""

from __future__ import annotations

import os
from collections.abc import Callable

import msgspec

from qwen_code.base.secret import Secret


class Pkce(msgspec.Struct, frozen=True):
    """A secret verifier, and the challenge that the server is told (method S256)."""

    verifier: Secret

    @classmethod
    def new(cls, random_bytes: Callable[[int], bytes] = os.urandom) -> Pkce:
        """A verifier of 32 random bytes: 43 characters (RFC 7636 §4.1)."""
        return cls(Secret(base64url(random_bytes(32))))

    @property
    def challenge(self) -> str:
        """BASE64URL(SHA256(verifier)) (RFC 7636 §4.2)."""
        from hashlib import sha256

        return base64url(sha256(self.verifier.reveal().encode()).digest())


def base64url(data: bytes) -> str:
    """Base64url without padding (RFC 7636 §3)."""
    from base64 import urlsafe_b64encode

    return urlsafe_b64encode(data).decode().rstrip("=")
