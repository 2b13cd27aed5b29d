"""What can end a sign-in, or keep it from being used.

::

    AuthError (41)
    ├── SignInFailed         the device flow ended without tokens
    │   ├── SignInDenied     a person refused it
    │   └── CodeExpired      nobody approved it in time
    ├── SignInEnded          the server does not take the refresh token any more
    ├── RefreshFailed        it could not be renewed just now; nothing is lost
    └── CredentialsCorrupt   the file is there, and cannot be understood
"""

from __future__ import annotations

from pathlib import Path

from qwen_code.base.errors import AuthError

SIGN_IN = "Run: qwen auth login"


class SignInFailed(AuthError):
    """The device flow ended without tokens."""


class SignInDenied(SignInFailed):
    """The person at the approval page said no (``access_denied``, RFC 8628 §3.5)."""

    def __init__(self) -> None:
        super().__init__("the sign-in was refused in the browser", hint=SIGN_IN)
        self.code = "access_denied"


class CodeExpired(SignInFailed):
    """The code was not approved in time (``expired_token``, RFC 8628 §3.5)."""

    def __init__(self) -> None:
        super().__init__(
            "the code expired before the sign-in was approved",
            hint="For a new code, run: qwen auth login",
        )
        self.code = "expired_token"


class SignInEnded(AuthError):
    """The server refused the refresh token for good. The stored file is left as it is."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(
            "your sign-in has ended" + (f" ({reason})" if reason else ""), hint=SIGN_IN
        )
        self.code = "invalid_grant"


class RefreshFailed(AuthError):
    """The token could not be renewed now: network, server, disk, or a lock held elsewhere.

    Nobody repeats the request for it: the renewal has had its own repeats.
    """


class CredentialsCorrupt(AuthError):
    """A credential file that is no credential. It is never taken for "signed out"."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"{path} is damaged: {reason}",
            hint="Sign in again with qwen auth login (the damaged file is kept beside it), "
            "or put a good copy in its place.",
        )
        self.path = path
