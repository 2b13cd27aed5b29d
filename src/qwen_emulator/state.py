"""The state of the service: clients, codes, tokens and their families, quota, and the log."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

_MINUTE_S = 60.0
_DAY_S = 86400.0
_MAX_LOGGED = 100_000


class EmulatorSettings(msgspec.Struct, frozen=True):
    """How the service behaves. Times in seconds."""

    token_lifetime_s: float = 3600.0
    code_lifetime_s: float = 900.0
    interval_s: float = 2.0
    per_minute: int = 60
    per_day: int = 2000
    model: str = "coder-model"
    approves_all: bool = False
    names_resource: bool = True
    """Whether token answers have a ``resource_url``."""


class Client:
    """A public client: an id without a secret. The library gives its methods their names."""

    def __init__(self, client_id: str) -> None:
        self.client_id = client_id

    def get_client_id(self) -> str:
        return self.client_id

    def check_client_secret(self, client_secret: str) -> bool:
        return False

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == "none"

    def check_grant_type(self, grant_type: str) -> bool:
        return True


class DeviceCode:
    """One device authorization; ``approved`` is ``None`` until a person has decided."""

    def __init__(self, client_id: str, scope: str, data: dict[str, Any], challenge: str) -> None:
        self.client_id = client_id
        self.scope = scope
        self.device_code: str = data["device_code"]
        self.user_code: str = data["user_code"]
        self.challenge = challenge
        self.interval_s: float = data["interval"]
        self.expires_at: float = time.monotonic() + data["expires_in"]
        self.polled_at: float | None = None
        self.approved: bool | None = None
        self.account: str | None = None

    def get_client_id(self) -> str:
        return self.client_id

    def get_scope(self) -> str:
        return self.scope

    def get_user_code(self) -> str:
        return self.user_code

    def is_expired(self) -> bool:
        return time.monotonic() >= self.expires_at


class IssuedToken:
    """One generation of a sign-in. All generations of one sign-in share a ``family``."""

    def __init__(self, client_id: str, account: str, scope: str, family: str, data: Any) -> None:
        self.client_id = client_id
        self.account = account
        self.scope = scope
        self.family = family
        self.access_token: str = data["access_token"]
        self.refresh_token: str | None = data.get("refresh_token")
        self.expires_at: float = time.monotonic() + data["expires_in"]
        self.refresh_used = False
        self.access_revoked = False

    def check_client(self, client: Client) -> bool:
        return self.client_id == client.client_id

    def get_scope(self) -> str:
        return self.scope


class LogEntry(msgspec.Struct, frozen=True):
    """One request, as of the moment when its answer was decided.

    ``at`` is in monotonic seconds, ``status`` 0 where no answer was sent. ``outcome`` is "ok", the
    OAuth error, the status, or "fault: NAME" where the fault answered. ``token`` is a digest of
    the token or code that was presented.
    """

    at: float
    method: str
    path: str
    status: int
    outcome: str
    kind: str | None = None
    fault: str | None = None
    grant: str | None = None
    client_id: str | None = None
    token: str | None = None
    account: str | None = None


class EmulatorState:
    """Everything, in memory."""

    def __init__(
        self, settings: EmulatorSettings, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.settings = settings
        self.log: deque[LogEntry] = deque(maxlen=_MAX_LOGGED)
        self.codes: dict[str, DeviceCode] = {}
        self.ended_families: set[str] = set()
        self._now = now
        self._by_access: dict[str, IssuedToken] = {}
        self._by_refresh: dict[str, IssuedToken] = {}
        self._requests: dict[str, deque[float]] = {}

    # -- codes ------------------------------------------------------------------------------------

    def code_for(self, user_code: str) -> DeviceCode | None:
        """The open authorization with that code, as a person types it: any case, with or without
        the dash (RFC 8628 §6.1)."""
        wanted = _bare(user_code)
        found = (c for c in self.codes.values() if _bare(c.user_code) == wanted)
        code = next(found, None)
        return None if code is None or code.is_expired() else code

    def decide(self, code: DeviceCode, account: str, *, approved: bool) -> None:
        """Record what the person at the page chose."""
        code.approved, code.account = approved, account

    # -- tokens -----------------------------------------------------------------------------------

    def save(self, token: IssuedToken) -> None:
        self._by_access[token.access_token] = token
        if token.refresh_token:
            self._by_refresh[token.refresh_token] = token

    def by_refresh(self, refresh_token: str) -> IssuedToken | None:
        return self._by_refresh.get(refresh_token)

    def by_any(self, text: str) -> IssuedToken | None:
        return self._by_refresh.get(text) or self._by_access.get(text)

    def bearer(self, access_token: str) -> IssuedToken | None:
        """The token, if it is valid now."""
        token = self._by_access.get(access_token)
        if token is None or token.access_revoked or token.family in self.ended_families:
            return None
        return token if time.monotonic() < token.expires_at else None

    def end_family(self, family: str) -> None:
        """Refuse every token of that sign-in from now on."""
        self.ended_families.add(family)

    def revoke_access(self) -> int:
        """Refuse all access tokens that were issued, and keep the refresh tokens; how many."""
        issued = [token for token in self._by_access.values() if not token.access_revoked]
        for token in issued:
            token.access_revoked = True
        return len(issued)

    # -- quota ------------------------------------------------------------------------------------

    def take(self, account: str) -> str | None:
        """Count a request of ``account``; ``"minute"`` or ``"day"`` if it exceeds that quota."""
        now, times = self._now(), self._requests.setdefault(account, deque())
        while times and times[0] <= now - _DAY_S:
            times.popleft()
        if len(times) >= self.settings.per_day:
            return "day"
        if self.used_this_minute(account) >= self.settings.per_minute:
            return "minute"
        times.append(now)
        return None

    def used_this_minute(self, account: str) -> int:
        start = self._now() - _MINUTE_S
        return sum(at > start for at in self._requests.get(account, ()))

    def used_today(self, account: str) -> int:
        start = self._now() - _DAY_S
        return sum(at > start for at in self._requests.get(account, ()))

    def wait_for_minute_s(self, account: str) -> float:
        """Seconds until one more request of this minute is allowed."""
        times = list(self._requests.get(account, ()))[-self.settings.per_minute :]
        return max(0.0, times[0] + _MINUTE_S - self._now()) if times else 0.0

    def use_up(self, account: str, *, day: int) -> None:
        """Act as if ``day`` requests were made six hours ago."""
        then = self._now() - 6 * 3600
        self._requests[account] = deque([then] * day)

    # -- log --------------------------------------------------------------------------------------

    def note(self, method: str, path: str, status: int, outcome: str, **more: Any) -> None:
        """Add an entry to the log."""
        self.log.append(LogEntry(self._now(), method, path, status, outcome, **more))


def digest(secret: str | None) -> str | None:
    """Identifies a secret without revealing it."""
    return hashlib.sha256(secret.encode()).hexdigest()[:16] if secret else None


def new_secret(kind: str) -> str:
    """A random token that begins with ``kind``."""
    return f"{kind}-{secrets.token_urlsafe(24)}"


def _bare(user_code: str) -> str:
    return "".join(c for c in user_code.upper() if c.isalnum())
