"""What a store of credentials must be able to do, and how one is found by its `ref`.

A credential is a document: a JSON object with an OAuth token or an API key in it. A *ref* is a text
that names one place (``file:/home/me/.qwen/oauth_creds.json``). It holds no secret, so it can be
handed to another process, which opens the same place with `open_store`.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, Self
from urllib.parse import quote

from qwen_code.base.errors import AuthError, ConfigError
from qwen_code.base.stop import Stop
from qwen_code.config.paths import Paths

DEFAULT_NAME = "qwen-oauth"
"""The name of the sign-in that has no other: Node Qwen Code uses the same file for it."""

Document = dict[str, Any]

_STORES = {"file": "qwen_code.auth.stores.file:FileStore"}
"""By the scheme of a ref: the class that opens it."""

_SECRETS = ("refresh_token", "access_token", "api_key")


class CredentialCorrupt(AuthError):
    """A stored credential that cannot be understood. It never counts as "signed out"."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(
            f"{place} is damaged: {reason}",
            hint="Sign in again with qwen auth login (the damaged file is kept beside it), "
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
        """Make a document private that other users could read; says so if it was one."""

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


def open_store(ref: str) -> CredentialStore:
    """The store that ``ref`` names.

    Raises:
        ConfigError: there is no store of that kind.
    """
    scheme, _, place = ref.partition(":")
    if scheme not in _STORES or not place:
        raise ConfigError(
            f"{ref!r} does not name a place for credentials",
            hint=f"It must begin with one of: {', '.join(f'{each}:' for each in _STORES)}",
        )
    module, _, name = _STORES[scheme].partition(":")
    store: CredentialStore = getattr(import_module(module), name)(place)
    return store


def is_stored(ref: str) -> bool:
    """Whether something is stored at ``ref``, damaged or not. Cheap for files, which most runs
    have to look for and few have."""
    scheme, _, place = ref.partition(":")
    return os.path.lexists(place) if scheme == "file" else open_store(ref).load() is not None


def login_ref(paths: Paths, name: str) -> str:
    """Where the credential of the saved login ``name`` is kept."""
    if name == DEFAULT_NAME:
        return f"file:{paths.oauth_creds_file}"
    return f"file:{paths.accounts_dir / _file_name(name)}"


def resource_ref(paths: Paths, name: str) -> str:
    """Where the sign-in at the MCP server ``name`` is kept."""
    return f"file:{paths.mcp_dir / f'{name}.json'}"


def version_of(document: Document) -> str:
    """Names this version of a credential without revealing anything of it.

    A document that was rewritten with the same secret, as Node Qwen Code does, keeps its version.
    """
    from hashlib import sha256  # only changes need it

    secret = next((s for key in _SECRETS if isinstance(s := document.get(key), str) and s), "")
    return sha256(secret.encode()).hexdigest()[:32]


def _file_name(name: str) -> Path:
    return Path(f"{quote(name, safe=' ').replace('.', '%2E')}.json")
