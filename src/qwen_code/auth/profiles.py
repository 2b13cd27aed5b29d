"""Saved logins: named accounts and endpoints in ``QWEN_HOME/profiles.json`` (0600, plain text)."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from qwen_code.base.errors import ConfigError, UsageError
from qwen_code.base.files import process_lock, read_bounded, write_atomic
from qwen_code.base.json_text import decode_json
from qwen_code.config.paths import Paths

DEFAULT_ACCOUNT = "qwen-oauth"
"""The name of the sign-in without a name: the one that Node Qwen Code shares."""

_LIMIT_BYTES = 1 << 20
_LOCK_TIMEOUT_S = 10.0
_MAX_NAME_LENGTH = 64


class Profile(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One saved login. ``provider`` is a preset's name; ``api_key`` is the key in clear."""

    method: str
    provider: str | None = None
    base_url: str | None = None
    model: str | None = None
    api_key: str | None = None

    def __repr__(self) -> str:
        return f"Profile({self.method}, {self.provider}, {self.base_url}, {self.model})"


class Profiles(msgspec.Struct, frozen=True):
    """The profiles by name, and the one that is used unless another is named."""

    current: str | None = None
    profiles: dict[str, Profile] = msgspec.field(default_factory=dict)
    path: Path = Path("profiles.json")
    notice: str | None = None

    def get(self, name: str) -> Profile:
        """The profile of that name.

        Raises:
            UsageError: there is none; the hint lists those there are.
        """
        try:
            return self.profiles[name]
        except KeyError:
            known = ", ".join(sorted(self.profiles)) or "none yet"
            raise UsageError(
                f"there is no profile {name!r}",
                hint=f"There are: {known}. Make one: qwen auth login --profile {name}",
            ) from None


class ProfileStore:
    """Reads and writes the file; what it does not know in it stays there."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Profiles:
        """What is saved. An absent file is no profiles.

        Raises:
            ConfigError: the file cannot be read or is damaged; it is left as it is.
        """
        raw = self._read()
        entries = raw.get("profiles", {})
        current = raw.get("current")
        try:
            profiles = msgspec.convert(entries, dict[str, Profile])
            name = msgspec.convert(current, str | None)
        except msgspec.ValidationError as error:
            raise self._damaged(str(error)) from error
        return Profiles(name, profiles, self._path, self._mend_mode())

    def check(self, name: str, method: str) -> None:
        """Whether a login by ``method`` may be saved under ``name``.

        Raises:
            UsageError: the name cannot be typed on a command line, or a login of another kind
                has it, which would be lost.
        """
        if (
            not name.isprintable()
            or not name.strip()
            or len(name) > _MAX_NAME_LENGTH
            or name[0] == "-"
        ):
            raise UsageError(
                f"{name!r} cannot be a profile's name", hint="Use letters, digits, - and _."
            )
        other = self.load().profiles.get(name)
        taken = other.method if other else "qwen-oauth" if name == DEFAULT_ACCOUNT else method
        if taken != method:
            raise UsageError(
                f"the saved login {name!r} is one by {taken}",
                hint=f"Choose another name: --profile NAME. Or: qwen auth logout --profile {name}",
            )

    def save(self, name: str, profile: Profile, *, make_current: bool = True) -> None:
        """Add or replace one profile.

        Raises:
            UsageError: see :meth:`check`.
        """
        self.check(name, profile.method)
        with self._changing() as raw:
            raw.setdefault("profiles", {})[name] = msgspec.to_builtins(profile)
            if make_current:
                raw["current"] = name

    def remove(self, name: str) -> None:
        """Forget one profile."""
        with self._changing() as raw:
            raw.get("profiles", {}).pop(name, None)
            if raw.get("current") == name:
                raw["current"] = None

    def switch(self, name: str) -> None:
        """Make ``name`` the one that is used.

        Raises:
            UsageError: there is no such profile.
        """
        self.load().get(name)
        with self._changing() as raw:
            raw["current"] = name

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Any]]:
        """Read, change, write back, with no other process in between."""
        lock = self._path.with_name(f"{self._path.name}.lock")
        with process_lock(lock, timeout_s=_LOCK_TIMEOUT_S):
            raw = self._read()
            yield raw
            write_atomic(
                self._path, msgspec.json.format(msgspec.json.encode(raw), indent=2) + b"\n"
            )

    def _read(self) -> dict[str, Any]:
        try:
            data = read_bounded(self._path, _LIMIT_BYTES)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise ConfigError(
                f"{self._path} cannot be read: {error.strerror or error}",
                hint="Fix its permissions, or move it away and sign in again.",
            ) from error
        try:
            raw = decode_json(data)
        except msgspec.DecodeError as error:
            raise self._damaged(str(error)) from error
        if not isinstance(raw, dict):
            raise self._damaged("it is not an object")
        return raw

    def _damaged(self, reason: str) -> ConfigError:
        return ConfigError(
            f"{self._path} is damaged: {reason}",
            hint=f"Fix it, or: mv '{self._path}' '{self._path}.old', and log in again.",
        )

    def _mend_mode(self) -> str | None:
        try:
            mode = stat.S_IMODE(self._path.stat().st_mode)
            if mode & 0o077:
                self._path.chmod(0o600)
                return f"{self._path} was readable by others (mode {mode:o}); it is 600 now"
        except OSError:
            return None
        return None


def creds_file(paths: Paths, name: str) -> Path:
    """Where the sign-in of that name is kept."""
    if name == DEFAULT_ACCOUNT:
        return paths.oauth_creds_file
    from urllib.parse import quote

    return paths.accounts_dir / f"{quote(name, safe=' ').replace('.', '%2E')}.json"
