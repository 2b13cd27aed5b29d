"""The authorization code grant with PKCE, as a native program uses it. Pure.

RFC 6749 §4.1, RFC 7636 (PKCE), RFC 8252 (native apps), RFC 8707 (resource), RFC 9207 (``iss``).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from hmac import compare_digest
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import msgspec

from qwen_code.auth.oauth.challenge import scopes_of
from qwen_code.auth.oauth.errors import SignInDenied, SignInFailed
from qwen_code.auth.oauth.pkce import Pkce, base64url
from qwen_code.auth.oauth.token import Issuer
from qwen_code.auth.oauth.wire import safe_line
from qwen_code.base.secret import Secret, fits_header

_MAX_QUERY_LENGTH = 16 << 10
_ANSWER_PARAMETERS = ("state", "iss", "code", "error", "error_description")


class NotTheAnswer(Exception):
    """A request to the redirect URI that does not belong to this sign-in. It changes nothing."""


class CodeFlow(msgspec.Struct, frozen=True):
    """One authorization request. ``sends_iss``: the server names itself in its answers."""

    issuer: Issuer
    authorization_endpoint: str
    redirect_uri: str
    scope: str
    state: Secret
    pkce: Pkce
    sends_iss: bool = False

    @classmethod
    def new(
        cls,
        issuer: Issuer,
        authorization_endpoint: str,
        redirect_uri: str,
        scope: str,
        *,
        sends_iss: bool,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> CodeFlow:
        """A request with a new ``state`` and verifier."""
        state, pkce = Secret(base64url(random_bytes(32))), Pkce.new(random_bytes)
        return cls(issuer, authorization_endpoint, redirect_uri, scope, state, pkce, sends_iss)

    @property
    def url(self) -> str:
        """The address that the person opens (RFC 6749 §4.1.1)."""
        query = {
            "response_type": "code",
            "client_id": self.issuer.client_id,
            "redirect_uri": self.redirect_uri,
            **({"scope": self.scope} if self.scope else {}),
            "state": self.state.reveal(),
            "code_challenge": self.pkce.challenge,
            "code_challenge_method": "S256",
            **({"resource": self.issuer.resource} if self.issuer.resource else {}),
        }
        if "offline_access" in scopes_of(self.scope):
            query["prompt"] = "consent"  # OpenID Connect Core §11 requires it
        base, _, own = self.authorization_endpoint.partition("#")[0].partition("?")
        return f"{base}?{own}{'&' if own else ''}{urlencode(query, quote_via=quote)}"

    def code_of(self, query: str) -> Secret:
        """The code in the query of a request to the redirect URI (RFC 6749 §4.1.2).

        Raises:
            NotTheAnswer: it does not have the ``state`` of this request, or cannot be read.
            SignInFailed: the server refused, or the answer is of another server.
        """
        answer = _single_values(query)
        state = answer.get("state", "")
        if not compare_digest(state.encode(), self.state.reveal().encode()):
            raise NotTheAnswer
        self._check_issuer(answer.get("iss"))
        error = answer.get("error")
        if error == "access_denied":
            raise SignInDenied
        if error is not None:
            description = safe_line(answer.get("error_description", ""))
            text = safe_line(error) + (f": {description}" if description else "")
            failed = SignInFailed(f"{self.issuer.name} refused the sign-in: {text}")
            failed.code = safe_line(error)
            raise failed
        code = answer.get("code")
        if not code:
            raise SignInFailed(f"{self.issuer.name} answered without a code")
        return Secret(code)

    def code_in(self, pasted: str) -> Secret:
        """The code in what a person pasted: the address that the browser was sent to, or its code.

        Raises:
            NotTheAnswer: it is neither. A code alone is not taken from a server that names itself
                in its answers: that could not be checked.
            SignInFailed: as for :meth:`code_of`.
        """
        text = pasted.strip()
        if "://" in text or "?" in text:
            if _page(text) != _page(self.redirect_uri):
                raise NotTheAnswer
            return self.code_of(urlsplit(text).query)
        if not text or not fits_header(text) or self.sends_iss:
            raise NotTheAnswer
        return Secret(text)

    def _check_issuer(self, iss: str | None) -> None:
        """RFC 9207 §2.4: before anything else of the answer is used or shown."""
        if iss is None and self.sends_iss:
            raise SignInFailed(
                f"the answer does not say which server it is from, as {self.issuer.name} promises"
            )
        if iss is not None and iss != self.issuer.name:
            raise SignInFailed(
                f"the answer is from another server than {self.issuer.name}, and was not used"
            )


def _page(url: str) -> str:
    """The address without its query. Browsers write an empty path as a slash."""
    return url.partition("#")[0].partition("?")[0].rstrip("/")


def _single_values(query: str) -> dict[str, str]:
    """The parameters of an answer.

    Raises:
        NotTheAnswer: it is too long, or one occurs twice (RFC 6749 §3.1).
    """
    if len(query) > _MAX_QUERY_LENGTH:
        raise NotTheAnswer
    try:
        found = parse_qs(query, keep_blank_values=True, max_num_fields=50)
    except ValueError as error:
        raise NotTheAnswer from error
    if any(len(found.get(name, ())) > 1 for name in _ANSWER_PARAMETERS):
        raise NotTheAnswer
    return {name: values[0] for name, values in found.items()}
