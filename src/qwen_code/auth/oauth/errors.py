"""What can end a sign-in, or keep it from being used.

::

    AuthError (41)
    ├── SignInFailed         the device flow ended without tokens
    │   ├── SignInDenied     a person refused it
    │   └── CodeExpired      it was not approved in time
    ├── SignInEnded          the server does not accept the refresh token any more
    ├── RefreshFailed        it could not be renewed just now; nothing is lost
    └── EndpointUnknown      neither the server nor the user says where its tokens may go
"""

from __future__ import annotations

from qwen_code.base.errors import AuthError

SIGN_IN = "Run: qwen auth login"


class SignInFailed(AuthError):
    """The device flow ended without tokens."""


class SignInDenied(SignInFailed):
    """The person at the approval page refused (``access_denied``, RFC 8628 §3.5)."""

    def __init__(self) -> None:
        super().__init__("the sign-in was refused in the browser", hint=SIGN_IN)
        self.code = "access_denied"


class CodeExpired(SignInFailed):
    """The code was not approved in time (``expired_token``, RFC 8628 §3.5).

    ``trouble`` is what went wrong with the last polls: the code may have been approved, and the
    answer not have arrived.
    """

    def __init__(self, trouble: str | None = None) -> None:
        message = "the code expired before the sign-in was approved"
        if trouble:
            message = f"the code expired, and the server could not be asked in the end: {trouble}"
        super().__init__(message, hint="For a new code, run: qwen auth login")
        self.code = "expired_token"


class SignInEnded(AuthError):
    """The server refused the refresh token for good. The stored credential is left as it is."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(
            "your sign-in has ended" + (f" ({reason})" if reason else ""), hint=SIGN_IN
        )
        self.code = "invalid_grant"


class RefreshFailed(AuthError):
    """The token could not be renewed now: network, server, disk, or a lock held elsewhere.

    The request for it is not repeated: the renewal has had its own retries.
    """


class EndpointUnknown(AuthError):
    """It is not known, or cannot be used, where this sign-in's tokens are for."""

    def __init__(self, issuer: str, reason: str) -> None:
        super().__init__(
            f"{issuer} {reason}, so your token was not sent anywhere",
            hint="Name the model endpoint: export QWEN_OAUTH_RESOURCE_URL=https://host/v1, "
            "security.auth.oauth.resourceUrl in ~/.qwen/settings.json, or\n"
            "qwen auth login --resource-url https://host/v1",
        )
