"""Device flows that have begun and not ended, stored so that they survive the process.

The user may have entered the code on a phone already, and must not have to start again after a
crash here. There is one flow for each profile and server, so that two simultaneous sign-ins do not
affect each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from qwen_code.auth.oauth.server import Server
from qwen_code.auth.stores import DEFAULT_NAME
from qwen_code.base.errors import ConfigError
from qwen_code.base.files import process_lock, read_bounded, write_atomic
from qwen_code.base.json_text import decode_json
from qwen_code.base.secret import Secret

_LIMIT_BYTES = 1 << 16
_MAX_PREFIX_LENGTH = 120
_BEGIN_TIMEOUT_S = 60.0
_CHANGE_TIMEOUT_S = 5.0


class PendingFlow(msgspec.Struct, frozen=True):
    """One device flow. Times are seconds since the epoch, intervals seconds.

    ``profile``, ``model`` and ``resource_url`` are what the user asked for: when it began, or in a
    later command that continued it.
    """

    server: Server
    device_code: str
    verifier: str
    user_code: str
    verification_uri: str
    verification_uri_complete: str | None
    interval_s: float
    expires_at: float
    not_before: float
    profile: str | None = None
    model: str | None = None
    resource_url: str | None = None

    @property
    def url(self) -> str:
        """The address to open: with the code in it, if the server gives that."""
        return self.verification_uri_complete or self.verification_uri

    def secrets(self) -> tuple[Secret, Secret]:
        """Device code and verifier."""
        return Secret(self.device_code), Secret(self.verifier)

    def __repr__(self) -> str:
        return f"PendingFlow({self.user_code}, {self.server.issuer.name})"


class PendingStore:
    """The pending flows of this user, each in a private file.

    ``former_file`` is where the previous version kept its only flow.
    """

    def __init__(self, directory: Path, former_file: Path | None = None) -> None:
        self._directory = directory
        self._former_file = former_file

    def all(self, now: float) -> list[PendingFlow]:
        """The flows that can still be finished, the latest expiry first. Damaged files are
        ignored."""
        found = [flow for path in self._files() if (flow := _read(path))]
        alive = [flow for flow in found if now < flow.expires_at]
        return sorted(alive, key=lambda flow: flow.expires_at, reverse=True)

    def of(self, profile: str | None, server: Server, now: float) -> list[PendingFlow]:
        """The flows of this profile at this server that can still be finished, whatever they
        request there. There can be several, with different client IDs."""
        of_profile = (flow for flow in self.all(now) if flow.profile == profile)
        return [flow for flow in of_profile if flow.server.issuer.name == server.issuer.name]

    def find(self, profile: str | None, server: Server, now: float) -> PendingFlow | None:
        """The flow that :func:`begin` would get a new code for: its request is the same."""
        request = (server.issuer, server.scope)
        same = (
            f for f in self.of(profile, server, now) if (f.server.issuer, f.server.scope) == request
        )
        return next(same, None)

    def current(self, flow: PendingFlow) -> PendingFlow | None:
        """``flow`` as it is stored now; ``None`` if it has ended or was replaced."""
        found = _read(self._file(flow)) or self._former(flow)
        return found if found and found.device_code == flow.device_code else None

    def save(self, flow: PendingFlow) -> None:
        """Store ``flow``.

        Raises:
            ConfigError: it cannot be written.
        """
        write_atomic(self._file(flow), msgspec.json.encode(flow))

    def change(self, flow: PendingFlow, **fields: Any) -> PendingFlow | None:
        """Change ``fields`` of the stored flow, and nothing else that another process has changed.

        Returns it as it is stored now; ``None`` if it has ended or was replaced.

        Raises:
            ConfigError: it cannot be written.
        """
        with self._changing(flow):
            stored = self.current(flow)
            if stored is None:
                return None
            changed = msgspec.structs.replace(stored, **fields)
            if fields:
                self.save(changed)
            return changed

    def clear(self, flow: PendingFlow) -> None:
        """Delete ``flow``, which has ended."""
        with self._changing(flow):
            if self._former_file and self._former(flow):
                with suppress(OSError):
                    self._former_file.unlink()
            stored = _read(self._file(flow))
            if stored is None or stored.device_code == flow.device_code:
                with suppress(OSError):
                    self._file(flow).unlink()

    def clear_profile(self, profile: str | None, now: float) -> list[PendingFlow]:
        """Delete every flow of ``profile``, or of all profiles; returns those that could still be
        finished."""
        found = [flow for path in self._files() if (flow := _read(path))]
        if profile is not None:
            found = [flow for flow in found if (flow.profile or DEFAULT_NAME) == profile]
        for flow in found:
            self.clear(flow)
        return list({f.device_code: f for f in found if now < f.expires_at}.values())

    def beginning(self, profile: str | None, server: Server) -> AbstractContextManager[None]:
        """The right to begin a flow of this profile at this server. Of two processes that begin at
        the same time, the second finds the flow of the first.

        Raises:
            LockHeld: another process does not finish.
        """
        path = self._directory / f"{_name_of(profile, server.issuer.name)}.begin"
        return process_lock(path, timeout_s=_BEGIN_TIMEOUT_S)

    def polling(self, flow: PendingFlow, timeout_s: float) -> AbstractContextManager[None]:
        """The right to poll. Two processes together would poll faster than the server allows.

        Raises:
            LockHeld: another process had it for the whole of ``timeout_s``.
        """
        return process_lock(self._file(flow).with_suffix(".lock"), timeout_s=timeout_s)

    def _changing(self, flow: PendingFlow) -> ExitStack:
        """No other process changes ``flow`` meanwhile, unless it is suspended: then a sign-in can
        still end."""
        stack = ExitStack()
        with suppress(ConfigError):
            lock = self._file(flow).with_suffix(".change")
            stack.enter_context(process_lock(lock, timeout_s=_CHANGE_TIMEOUT_S))
        return stack

    def _file(self, flow: PendingFlow) -> Path:
        issuer = flow.server.issuer
        name = _name_of(flow.profile, f"{issuer.name}\n{issuer.client_id}")
        return self._directory / f"{name}.json"

    def _files(self) -> Iterator[Path]:
        yield from sorted(self._directory.glob("*.json"))
        if self._former_file is not None:
            yield self._former_file

    def _former(self, flow: PendingFlow) -> PendingFlow | None:
        found = _read(self._former_file) if self._former_file else None
        return found if found and found.device_code == flow.device_code else None


def _name_of(profile: str | None, server: str) -> str:
    from hashlib import sha256  # only signing in needs it

    encoded = quote(profile or "", safe=" ").replace(".", "%2E")
    if len(encoded) > _MAX_PREFIX_LENGTH:  # file names have 255 bytes
        server = f"{profile}\n{server}"
        encoded = encoded[:_MAX_PREFIX_LENGTH]
    return f"{encoded}-{sha256(server.encode()).hexdigest()[:12]}"


def _read(path: Path) -> PendingFlow | None:
    try:
        return decode_json(read_bounded(path, _LIMIT_BYTES), PendingFlow)
    except (OSError, msgspec.DecodeError):
        return None
