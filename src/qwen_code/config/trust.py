"""What the user trusts each folder with, stored across runs: endpoints, and what it can start.

``QWEN_HOME/trusted_folders.json`` holds one entry for each pair of folder and origin, and one for
each definition of a tool server or of hooks that the user agreed to::

    {"endpoints": [{"folder": "/home/me/app", "origin": "https://host", "announced": true}],
     "definitions": [{"folder": "/home/me/app", "digest": "9f86…", "trusted": true}]}
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from qwen_code.base.errors import ConfigError
from qwen_code.base.files import process_lock, read_bounded, write_atomic
from qwen_code.base.url import Origin
from qwen_code.config.paths import CONFIG_FILE_LIMIT_BYTES, Paths

_LOCK_TIMEOUT_S = 5.0
_ENDPOINTS = "endpoints"
_DEFINITIONS = "definitions"


class TrustStore:
    """Pairs of a folder, by its real path, and what it is trusted with.

    The file is read on demand, since most runs do not need it, and again each time, since another
    process may have written it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def load(cls, paths: Paths) -> TrustStore:
        """The store of this user."""
        return cls(paths.trusted_folders_file)

    def is_trusted(self, folder: Path, origin: Origin) -> bool:
        """Whether the user allowed sending keys from outside ``folder`` to ``origin``.

        Raises:
            ConfigError: the file is broken. Its content is unknown, so nothing is trusted.
        """
        return self._has("trusted", _ENDPOINTS, _endpoint(folder, origin))

    def trust(self, folder: Path, origin: Origin) -> None:
        """Remember that the user trusts this pair.

        Raises:
            ConfigError: the file is broken or cannot be written.
        """
        self._mark("trusted", _ENDPOINTS, _endpoint(folder, origin))

    def was_announced(self, folder: Path, origin: Origin) -> bool:
        """Whether the user has been told that ``folder`` sends prompts to ``origin``."""
        try:
            return self._has("announced", _ENDPOINTS, _endpoint(folder, origin))
        except ConfigError:
            return False

    def announce(self, folder: Path, origin: Origin) -> None:
        """Remember that the user was told. If that fails, they are told again next time."""
        with suppress(ConfigError, OSError):
            self._mark("announced", _ENDPOINTS, _endpoint(folder, origin))

    def is_definition_trusted(self, folder: Path, digest: str) -> bool:
        """Whether the user agreed that ``folder`` starts what this definition names: a tool server
        or hooks.

        Raises:
            ConfigError: the file is broken. Its content is unknown, so nothing is trusted.
        """
        return self._has("trusted", _DEFINITIONS, _definition(folder, digest))

    def trust_definition(self, folder: Path, digest: str) -> None:
        """Remember that the user agreed to it.

        Raises:
            ConfigError: the file is broken or cannot be written.
        """
        self._mark("trusted", _DEFINITIONS, _definition(folder, digest))

    def _has(self, mark: str, table: str, about: dict[str, str]) -> bool:
        entries = self._entries(self._read(), table)
        return any(e.get(mark) is True for e in entries if _is_about(e, about))

    def _mark(self, mark: str, table: str, about: dict[str, str]) -> None:
        from qwen_code.config.jsonc import set_value  # most runs only ask

        lock = self._path.with_name(f"{self._path.name}.lock")
        with process_lock(lock, timeout_s=_LOCK_TIMEOUT_S):
            data = self._read()
            entries = self._entries(data, table)
            entry = next((e for e in entries if _is_about(e, about)), None)
            if entry is None:
                entry = {**about}
                entries.append(entry)
            entry[mark] = True
            write_atomic(self._path, set_value(data, [table], entries))

    def _read(self) -> bytes:
        try:
            return read_bounded(self._path, CONFIG_FILE_LIMIT_BYTES)
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise self._unusable(error.strerror or str(error)) from error

    def _entries(self, data: bytes, table: str) -> list[dict[str, Any]]:
        if not data:
            return []
        from qwen_code.config.jsonc import JsoncError, loads

        try:
            entries = loads(data).get(table, [])
        except JsoncError as error:
            raise self._unusable(f"{error.message} (line {error.line})") from error
        if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
            raise self._unusable(f'"{table}" is not a list of objects')
        return entries

    def _unusable(self, reason: str) -> ConfigError:
        return ConfigError(
            f"{self._path} cannot be used: {reason}. Until it is fixed, nothing is trusted.",
            hint=f"Fix it, or: mv '{self._path}' '{self._path}.old', and answer again.",
        )


def _is_about(entry: dict[str, Any], about: dict[str, str]) -> bool:
    return all(entry.get(name) == text for name, text in about.items())


def _endpoint(folder: Path, origin: Origin) -> dict[str, str]:
    return {"folder": os.path.realpath(folder), "origin": str(origin)}


def _definition(folder: Path, digest: str) -> dict[str, str]:
    return {"folder": os.path.realpath(folder), "digest": digest}
