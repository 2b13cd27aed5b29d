"""A device flow that has begun, kept so that it survives whoever began it.

The code is on somebody's phone already; a crash here must not make them start again.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress
from pathlib import Path

import msgspec

from qwen_code.auth.oauth.server import Server
from qwen_code.base.files import process_lock, read_bounded, write_atomic
from qwen_code.base.json_text import decode_json
from qwen_code.base.secret import Secret

_LIMIT_BYTES = 1 << 16


class PendingFlow(msgspec.Struct, frozen=True):
    """One device flow. Times are seconds since the epoch, intervals seconds."""

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

    @property
    def url(self) -> str:
        """What to open: with the code in it, where the server gives that."""
        return self.verification_uri_complete or self.verification_uri

    def secrets(self) -> tuple[Secret, Secret]:
        """Device code and verifier."""
        return Secret(self.device_code), Secret(self.verifier)

    def __repr__(self) -> str:
        return f"PendingFlow({self.user_code}, {self.server.issuer.name})"


class PendingStore:
    """The one pending flow of this user, 0600."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self, now: float) -> PendingFlow | None:
        """The flow that can still be finished, if there is one; a damaged one is none."""
        try:
            flow = decode_json(read_bounded(self._path, _LIMIT_BYTES), PendingFlow)
        except (OSError, msgspec.DecodeError):
            return None
        return flow if now < flow.expires_at else None

    def save(self, flow: PendingFlow) -> None:
        """Keep ``flow``.

        Raises:
            ConfigError: it cannot be written.
        """
        write_atomic(self._path, msgspec.json.encode(flow))

    def clear(self) -> None:
        """It has ended, in whatever way."""
        with suppress(OSError):
            self._path.unlink()

    def polling(self, timeout_s: float) -> AbstractContextManager[None]:
        """The right to poll: two at once would be twice as fast as the server allows."""
        return process_lock(self._path.with_suffix(".lock"), timeout_s=timeout_s)
