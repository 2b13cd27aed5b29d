"""The errors of a sign-in, and of the use of one.

::

    AuthError (41)
    ├── SignInFailed         a sign-in ended without tokens
    │   ├── SignInDenied     a person refused it
    │   └── CodeExpired      it was not approved in time
    ├── SignInEnded          the server no longer accepts the refresh token
    ├── RefreshFailed        it could not be renewed now; nothing is lost
    └── EndpointUnknown      neither the server nor the user says where to send its tokens
"""

from __future__ import annotations

from pathlib import PurePath
from urllib.parse import unquote

from qwen_code.base.errors import AuthError

SIGN_IN = "Run: qwen auth login"
_ACCOUNTS = "accounts"
_RESOURCES = "mcp"


def sign_in_command(ref: str) -> str:
    """The command that signs in again for the credential at ``ref``, with the name of its login."""
    import shlex  # only an error needs it

    place = PurePath(ref.partition(":")[2])
    if place.parent.name == _RESOURCES:
        return f"qwen mcp login {shlex.quote(unquote(place.stem))}"
    if place.parent.name != _ACCOUNTS:
        return "qwen auth login"
    if "." in place.stem:  # a digest stands for a long name
        return "qwen auth login --profile NAME"
    return f"qwen auth login --profile {shlex.quote(unquote(place.stem))}"


class SignInFailed(AuthError):
    """A sign-in ended without tokens."""


class SignInDenied(SignInFailed):
    """The person at the approval page refused (``access_denied``, RFC 8628 §3.5)."""

    def __init__(self) -> None:
        super().__init__("the sign-in was refused in the browser", hint=SIGN_IN)
        self.code = "access_denied"


class CodeExpired(SignInFailed):
    """The code was not approved in time (``expired_token``, RFC 8628 §3.5).

    ``trouble`` is what went wrong with the last polls. The code may have been approved, but the
    answer did not arrive.
    """

    def __init__(self, trouble: str | None = None) -> None:
        message = "the code expired before the sign-in was approved"
        if trouble:
            message = f"the code expired, and the last requests to the server failed: {trouble}"
        super().__init__(message, hint="For a new code, run: qwen auth login")
        self.code = "expired_token"


class SignInEnded(AuthError):
    """The server permanently refused the refresh token. The stored credential is left as it is.

    ``ref`` is where it is stored: the hint names the login to sign in to again.
    """

    def __init__(self, reason: str = "", *, ref: str = "") -> None:
        super().__init__(
            "your sign-in has ended" + (f" ({reason})" if reason else ""),
            hint=f"Run: {sign_in_command(ref)}",
        )
        self.code = "invalid_grant"


class RefreshFailed(AuthError):
    """The token could not be renewed now: network, server, disk, or a lock held elsewhere.

    It is not repeated, because the renewal has its own retries.
    """


class EndpointUnknown(AuthError):
    """The endpoint that this sign-in's tokens are for is unknown, or cannot be used."""

    def __init__(self, issuer: str, reason: str) -> None:
        super().__init__(
            f"{issuer} {reason}, so your token was not sent anywhere",
            hint="Name the model endpoint: export QWEN_OAUTH_RESOURCE_URL=https://host/v1, "
            "security.auth.oauth.resourceUrl in ~/.qwen/settings.json, or\n"
            "qwen auth login --resource-url https://host/v1",
        )
