"""The places of credentials, and how the store of one is opened by its `ref`.

A *ref* is a string that names one place (``file:/home/me/.qwen/oauth_creds.json``). It holds no
secret, so it can be handed to another process, which opens the same place with `open_store`.
"""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from qwen_code.base.errors import ConfigError, QwenError
from qwen_code.config.paths import Paths

if TYPE_CHECKING:
    from qwen_code.auth.stores.base import CredentialStore

DEFAULT_NAME = "qwen-oauth"
"""The name of the default sign-in, which is in the file that Node Qwen Code uses too."""

SIGNED_OUT = b"{}"
"""What a file holds after signing out, if it cannot be removed because it is a mount point. A write
that was interrupted cannot leave this behind, so it is not a damaged file."""

_MAX_STEM_LENGTH = 208
"""The longest name derived from a stem, ``STEM.lock.stale.UUID``, then still has 255 bytes."""

_MAX_PREFIX_LENGTH = 100

_STORES = {"file": "qwen_code.auth.stores.file:FileStore"}
"""The class that opens a ref, by the scheme of the ref."""


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
    """Whether something is stored at ``ref``, damaged or not. It is cheap for files: most
    runs have to check, and few find one."""
    scheme, _, place = ref.partition(":")
    if scheme != "file":
        return open_store(ref).load() is not None
    try:
        if Path(place).stat().st_size == len(SIGNED_OUT):
            return open_store(ref).load() is not None
    except (OSError, QwenError):
        pass
    return os.path.lexists(place)


def login_ref(paths: Paths, name: str) -> str:
    """Where the credential of the saved login ``name`` is kept."""
    if name == DEFAULT_NAME:
        return f"file:{paths.oauth_creds_file}"
    return f"file:{paths.accounts_dir / _file_name(name)}"


def resource_ref(paths: Paths, name: str) -> str:
    """Where the sign-in at the MCP server ``name`` is kept."""
    stem = _stem(name, quote(name, safe=" "))
    return f"file:{paths.mcp_dir / f'{stem}.json'}"


def _file_name(name: str) -> str:
    return f"{_stem(name, _encoded(name))}.json"


def _encoded(name: str) -> str:
    return quote(name, safe=" ").replace(".", "%2E")


def _stem(name: str, encoded: str) -> str:
    """``encoded`` if it fits in a file name, else its beginning and a digest of ``name``. The dot
    between them is in no encoded name, so the two kinds cannot collide."""
    if len(encoded) <= _MAX_STEM_LENGTH:
        return encoded
    from hashlib import sha256  # only long names need it

    prefix = name[:_MAX_PREFIX_LENGTH]
    while len(_encoded(prefix)) > _MAX_PREFIX_LENGTH:
        prefix = prefix[:-1]
    return f"{_encoded(prefix)}.{sha256(name.encode()).hexdigest()}"
