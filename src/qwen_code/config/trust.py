"""Which endpoints the user trusts with credentials from outside a folder, kept across runs.

``QWEN_HOME/trusted_folders.json`` holds one entry for each folder and origin that met::

    {"endpoints": [{"folder": "/home/me/app", "origin": "https://host", "announced": true}]}
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from qwen_code.base.errors import ConfigError
from qwen_code.base.files import process_lock, read_bounded, write_atomic
from qwen_code.base.url import Origin
from qwen_code.config import jsonc
from qwen_code.config.paths import CONFIG_FILE_LIMIT_BYTES, Paths

__all__ = ["TrustStore"]

_LOCK_TIMEOUT_S = 5.0


class TrustStore:
    """Pairs of folder and origin. A folder is meant by its real path.

    The file is read when somebody asks, since most runs never do, and afresh each time, since
    another process may have written it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def load(cls, paths: Paths) -> TrustStore:
        """The store of this user."""
        return cls(paths.trusted_folders_file)

    def is_trusted(self, folder: Path, origin: Origin) -> bool:
        """Whether the user has said that ``origin`` may have keys from outside ``folder``.

        Raises:
            ConfigError: the file is broken: what it said is unknown, so nothing is trusted.
        """
        return self._has("trusted", folder, origin)

    def trust(self, folder: Path, origin: Origin) -> None:
        """Remember that the user trusts this pairing.

        Raises:
            ConfigError: the file is broken or cannot be written.
        """
        self._mark("trusted", folder, origin)

    def was_announced(self, folder: Path, origin: Origin) -> bool:
        """Whether the user has been told that ``folder`` sends prompts to ``origin``."""
        try:
            return self._has("announced", folder, origin)
        except ConfigError:
            return False

    def announce(self, folder: Path, origin: Origin) -> None:
        """Remember that the user was told; where that fails, they are told once more next time."""
        with suppress(ConfigError, OSError):
            self._mark("announced", folder, origin)

    def _has(self, mark: str, folder: Path, origin: Origin) -> bool:
        entries = self._entries(self._read())
        return any(e.get(mark) is True for e in entries if _is_about(e, folder, origin))

    def _mark(self, mark: str, folder: Path, origin: Origin) -> None:
        lock = self._path.with_name(f"{self._path.name}.lock")
        with process_lock(lock, timeout_s=_LOCK_TIMEOUT_S):
            data = self._read()
            entries = self._entries(data)
            entry = next((e for e in entries if _is_about(e, folder, origin)), None)
            if entry is None:
                entry = {"folder": _real(folder), "origin": str(origin)}
                entries.append(entry)
            entry[mark] = True
            write_atomic(self._path, jsonc.set_value(data, ["endpoints"], entries))

    def _read(self) -> bytes:
        try:
            return read_bounded(self._path, CONFIG_FILE_LIMIT_BYTES)
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise self._unusable(error.strerror or str(error)) from error

    def _entries(self, data: bytes) -> list[dict[str, Any]]:
        try:
            entries = jsonc.loads(data).get("endpoints", [])
        except jsonc.JsoncError as error:
            raise self._unusable(f"{error.message} (line {error.line})") from error
        if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
            raise self._unusable('"endpoints" is not a list of objects')
        return entries

    def _unusable(self, reason: str) -> ConfigError:
        return ConfigError(
            f"{self._path} cannot be used: {reason}. Until it is mended, no endpoint is trusted.",
            hint="Mend it, or move it away and answer again which endpoints you trust.",
        )


def _is_about(entry: dict[str, Any], folder: Path, origin: Origin) -> bool:
    return entry.get("folder") == _real(folder) and entry.get("origin") == str(origin)


def _real(folder: Path) -> str:
    return os.path.realpath(folder)
