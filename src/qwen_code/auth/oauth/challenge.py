"""What a resource says when it refuses a request: ``WWW-Authenticate: Bearer …`` (RFC 6750 §3)."""

from __future__ import annotations

import re

import msgspec

_SCHEME = re.compile(r"(?:^|,)\s*bearer(?:\s+|$)", re.IGNORECASE)
_PARAMETER = re.compile(r'([A-Za-z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_MAX_SCOPES = 100
_MAX_SCOPE_LENGTH = 200


class Challenge(msgspec.Struct, frozen=True):
    """The parameters that matter here. ``scopes`` are needed for the request; they are empty if
    the resource does not name any. ``resource_metadata`` is a URL (RFC 9728 §5.1)."""

    resource_metadata: str | None = None
    scopes: tuple[str, ...] = ()
    error: str | None = None

    @property
    def wants_more_scope(self) -> bool:
        """Whether the token is valid and does not permit the request (RFC 6750 §3.1)."""
        return self.error == "insufficient_scope"


def parse_challenge(header: str) -> Challenge:
    """The first Bearer challenge of a ``WWW-Authenticate`` header (RFC 9110 §11.6.1); an empty one
    if there is none."""
    scheme = _SCHEME.search(header)
    parameters: dict[str, str] = {}
    for match in _PARAMETER.finditer(header, scheme.end()) if scheme else ():
        name, quoted, bare = match.groups()
        text = bare if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        parameters.setdefault(name.lower(), text)
    return Challenge(
        parameters.get("resource_metadata"),
        scopes_of(parameters.get("scope")),
        parameters.get("error"),
    )


def scopes_of(text: str | None) -> tuple[str, ...]:
    """The scopes in a space-separated list (RFC 6749 §3.3), each once; what is not one is left
    out."""
    words = [word for word in (text or "").split(" ") if _is_scope(word)]
    return tuple(dict.fromkeys(words))[:_MAX_SCOPES]


def _is_scope(word: str) -> bool:
    is_short = 0 < len(word) <= _MAX_SCOPE_LENGTH
    return is_short and all("!" <= c <= "~" and c not in '"\\' for c in word)
