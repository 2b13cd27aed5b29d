"""Saved logins: named accounts and endpoints in ``QWEN_HOME/profiles.json``.

The file describes each login; its key or token is in a credential store.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from qwen_code.auth.stores import DEFAULT_NAME, is_stored, login_ref, open_store
from qwen_code.auth.types import Method
from qwen_code.base.errors import ConfigError, QwenError, UsageError
from qwen_code.base.files import (
    lock_file,
    process_lock,
    read_bounded,
    require_regular,
    write_atomic,
)
from qwen_code.base.json_text import decode_json, pretty_json
from qwen_code.base.secret import Secret
from qwen_code.base.url import Origin
from qwen_code.config.paths import Paths
from qwen_code.config.providers import provider_named

_LIMIT_BYTES = 1 << 20
_LOCK_TIMEOUT_S = 10.0
_MAX_NAME_LENGTH = 64
_KEY = "api_key"
_ORIGIN = "origin"
"""The origin that the key is for, beside the key: two files cannot be changed at once."""
_FORMER_KEY = "apiKey"
"""Where older versions keep a key: in the entry itself. If there is one, it is the newest."""


class Profile(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One saved login. ``provider`` is a provider's name; ``api_key`` is set only for the
    login in use, and is not written to the file."""

    method: str
    provider: str | None = None
    base_url: str | None = None
    model: str | None = None
    api_key: str | None = None

    @property
    def address(self) -> str | None:
        """The base URL: its own, or its provider's."""
        provider = provider_named(self.provider or "")
        return self.base_url or (provider.base_url if provider else None)

    @property
    def origin(self) -> Origin | None:
        """The origin of the address; ``None`` if it has none that can be used."""
        try:
            return Origin.of(self.address.strip()) if self.address else None
        except ConfigError:
            return None

    def __repr__(self) -> str:
        return f"Profile({self.method}, {self.provider}, {self.base_url}, {self.model})"


class Profiles(msgspec.Struct, frozen=True):
    """The profiles by name, and the one that is used by default."""

    current: str | None = None
    profiles: dict[str, Profile] = msgspec.field(default_factory=dict)
    path: Path = Path("profiles.json")
    notice: str | None = None

    def get(self, name: str) -> Profile:
        """The profile of that name.

        Raises:
            UsageError: it does not exist; the hint lists the existing ones.
        """
        try:
            return self.profiles[name]
        except KeyError:
            known = ", ".join(sorted(self.profiles)) or "none yet"
            raise UsageError(
                f"there is no profile {name!r}",
                hint=f"Existing profiles: {known}. To create it: qwen auth login --profile {name}",
            ) from None


class ProfileStore:
    """Reads and writes the file, and the keys of its logins. Unknown entries in the file are
    kept."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._path = paths.profiles_file

    def load(self) -> Profiles:
        """The saved logins, and sign-ins that are stored but not listed in the file. If there is no
        file, only the latter.

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
        for each in self._unlisted(profiles):
            profiles[each] = Profile(Method.QWEN_OAUTH)
        return Profiles(name, profiles, self._path, self._repair_mode())

    def key_of(self, name: str, profile: Profile) -> Secret | None:
        """The API key of a saved login; ``None`` if it has none.

        Raises:
            CredentialCorrupt: it cannot be read.
            ConfigError: it was saved for another endpoint than the login's.
        """
        ref = login_ref(self._paths, name)
        if profile.api_key or profile.method != Method.OPENAI or not is_stored(ref):
            return Secret(profile.api_key) if profile.api_key else None
        document = open_store(ref).load() or {}
        key, origin = document.get(_KEY), document.get(_ORIGIN)
        if not isinstance(key, str) or not key:
            return None
        if isinstance(origin, str) and origin != str(profile.origin):
            raise ConfigError(
                f"it was saved for {origin}, and the login is for {profile.origin}",
                hint=f"Save it again: qwen auth login --profile {name}",
            )
        return Secret(key)

    def replaced_key(self, name: str, profile: Profile) -> Secret | None:
        """The key that a new one would replace; ``None`` if there is none. One that cannot be used
        can be replaced, too."""
        try:
            return self.key_of(name, profile)
        except QwenError:
            return None

    def check(self, name: str, method: str) -> None:
        """Check that a login by ``method`` can be saved as ``name``.

        Raises:
            UsageError: the name cannot be typed on a command line, or a login by another method has
                that name and would be lost.
        """
        if (
            not name.isprintable()
            or not name.strip()
            or len(name) > _MAX_NAME_LENGTH
            or name[0] == "-"
        ):
            raise UsageError(
                f"{name!r} is not a valid profile name", hint="Use letters, digits, - and _."
            )
        other = self.load().profiles.get(name)
        taken = other.method if other else Method.QWEN_OAUTH if name == DEFAULT_NAME else method
        if taken != method:
            raise UsageError(
                f"the saved login {name!r} uses another method, {taken}",
                hint=f"Choose another name: --profile NAME. Or: qwen auth logout --profile {name}",
            )

    def save(self, name: str, profile: Profile, *, make_current: bool = True) -> None:
        """Add or replace one profile, and its key in the credential store.

        Raises:
            UsageError: see :meth:`check`.
            ConfigError: it cannot be written; the old state is kept.
        """
        self.check(name, profile.method)
        with self._changing() as raw:
            if profile.api_key:
                self._keep_key(name, profile.api_key, profile)
            entry = msgspec.to_builtins(profile)
            entry.pop(_FORMER_KEY, None)
            known = raw.setdefault("profiles", {}).get(name)
            unknown = known.items() if isinstance(known, dict) else ()
            fields = {field.encode_name for field in msgspec.structs.fields(Profile)}
            raw["profiles"][name] = {k: v for k, v in unknown if k not in fields} | entry
            if make_current:
                raw["current"] = name

    def remove(self, name: str) -> None:
        """Forget one profile and its key.

        Raises:
            ConfigError: it cannot be removed.
        """
        with self._changing() as raw:
            entry = raw.get("profiles", {}).pop(name, None)
            if isinstance(entry, dict) and entry.get("method") == Method.OPENAI:
                open_store(login_ref(self._paths, name)).remove()
            if raw.get("current") == name:
                raw["current"] = None

    def switch(self, name: str) -> None:
        """Make ``name`` the login in use.

        Raises:
            UsageError: there is no such profile.
        """
        profile = self.load().get(name)
        with self._changing() as raw:
            raw.setdefault("profiles", {}).setdefault(name, msgspec.to_builtins(profile))
            raw["current"] = name

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Any]]:
        """Read, change and write the file, while other processes wait. Keys that the previous
        version left in the file are moved to the credential store."""
        with process_lock(lock_file(self._path), timeout_s=_LOCK_TIMEOUT_S):
            raw = self._read()
            entries = raw.get("profiles")
            for name, entry in entries.items() if isinstance(entries, dict) else ():
                if isinstance(entry, dict) and name != DEFAULT_NAME:
                    self._move_key(name, entry)
            yield raw
            write_atomic(self._path, pretty_json(raw) + b"\n")

    def _move_key(self, name: str, entry: dict[str, Any]) -> None:
        """Move the key of an older version's entry to the store. If that fails, it stays."""
        key = entry.get(_FORMER_KEY)
        if not isinstance(key, str) or not key:
            return
        with suppress(QwenError, msgspec.ValidationError):
            self._keep_key(name, key, msgspec.convert(entry, Profile))
            del entry[_FORMER_KEY]

    def _keep_key(self, name: str, key: str, profile: Profile) -> None:
        document = {_KEY: key, _ORIGIN: str(profile.origin)}
        open_store(login_ref(self._paths, name)).save(document)

    def _unlisted(self, known: dict[str, Profile]) -> Iterator[str]:
        """Sign-ins that are stored and not in the file: the one that Node Qwen Code shares, and
        one whose process was killed before it could be listed."""
        if DEFAULT_NAME not in known and is_stored(login_ref(self._paths, DEFAULT_NAME)):
            yield DEFAULT_NAME
        for file in self._account_files():
            from urllib.parse import unquote  # few have any

            name = unquote(file.removesuffix(".json"))
            if name in known:
                continue
            try:
                document = open_store(login_ref(self._paths, name)).load() or {}
            except QwenError:
                continue
            if "access_token" in document:
                yield name

    def _account_files(self) -> list[str]:
        try:
            names = [path.name for path in self._paths.accounts_dir.iterdir()]
        except OSError:
            return []
        # A second dot: the state of a credential, or a long name, of which a digest is left.
        return [name for name in sorted(names) if name.endswith(".json") and name.count(".") == 1]

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

    def _repair_mode(self) -> str | None:
        try:
            mode = stat.S_IMODE(self._path.stat().st_mode)
            if mode & 0o077:
                require_regular(self._path).chmod(0o600)
                return (
                    f"{self._path} was readable by other users (mode {mode:o}); its mode is 600 now"
                )
        except (OSError, ConfigError):
            return None
        return None
