"""What a store of credentials must be able to do.

A credential is a document: a JSON object with an OAuth token or an API key in it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Protocol, Self

from qwen_code.base.errors import AuthError
from qwen_code.base.stop import Stop

Document = dict[str, Any]

_SECRETS = ("refresh_token", "access_token", "api_key")


class CredentialCorrupt(AuthError):
    """A stored credential that cannot be understood. It never counts as "signed out"."""

    def __init__(self, place: str, reason: str, *, hint: str | None = None) -> None:
        super().__init__(
            f"{place} is damaged: {reason}",
            hint=hint
            or "Sign in again with qwen auth login (the damaged file is kept beside it), "
            "or put a good copy in its place.",
        )


class Reservation(Protocol):
    """Room for a document, taken before a server is asked for it. Use it as a context manager:
    what is not committed when the block ends leaves no trace."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def commit(self, document: Document, *, replacing: str | None = None) -> bool:
        """Store ``document``. With ``replacing``, only where the document of that version is still
        stored: ``False`` means that it is not, and nothing was changed.

        Raises:
            ConfigError: it failed in spite of the reservation; the old document is intact.
        """


class CredentialStore(Protocol):
    """One place for one document. Nothing is read or made before it is asked for."""

    ref: str

    @property
    def place(self) -> str:
        """The place as people know it, such as a path."""

    def load(self) -> Document | None:
        """The stored document; ``None`` if there is none.

        Raises:
            CredentialCorrupt: it cannot be read or understood; it is left as it is.
        """

    def save(self, document: Document) -> None:
        """Store a new credential. A damaged one is kept under another name, not overwritten.

        Raises:
            ConfigError: it cannot be written; the old document is intact.
        """

    def reserve(self) -> Reservation:
        """Take the room for a document.

        Raises:
            ConfigError: there is no room, or the place cannot be written.
        """

    def remove(self) -> list[str]:
        """Remove the document and everything derived from it; returns the places that are gone.

        Raises:
            ConfigError: it cannot be removed.
        """

    def repair_mode(self) -> str | None:
        """Make a document private that other users could read; returns a notice if it was."""

    def refusal_of(self, version: str) -> str | None:
        """What the server said when it refused this version for good; ``None`` if it did not."""

    def refuse(self, version: str, reason: str) -> None:
        """Remember that the server refused this version, so that it is not asked again."""

    def turn(self, timeout_s: float, stop: Stop | None = None) -> AbstractContextManager[None]:
        """The right to have the document renewed: of all who wait, one at a time looks.

        Raises:
            LockHeld: others had it for all of ``timeout_s``.
            Stopped: ``stop`` was set.
        """

    def exclusive(self, timeout_s: float) -> AbstractContextManager[None]:
        """The right to ask the server for the next version. It ends with the process that has it.

        Raises:
            LockHeld: another process had it for all of ``timeout_s``.
        """

    def holder(self) -> int | None:
        """The process that last had the exclusive right, for messages."""


def version_of(document: Document) -> str:
    """Names this version of a credential without revealing anything of it.

    A document that was rewritten with the same secret, as Node Qwen Code does, keeps its version.
    """
    from hashlib import sha256  # only changes need it

    secret = next((s for key in _SECRETS if isinstance(s := document.get(key), str) and s), "")
    return sha256(secret.encode()).hexdigest()[:32]
