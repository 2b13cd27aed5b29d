"""The types of authentication: method, credential, connection, and how they were chosen."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import msgspec

from qwen_code.base.errors import QwenError
from qwen_code.base.secret import Secret
from qwen_code.base.stop import Stop
from qwen_code.base.url import Origin
from qwen_code.config.generation import Generation
from qwen_code.config.providers import HeaderStyle
from qwen_code.config.values import Source


class Method(StrEnum):
    """A way to get access, in the order in which they are offered."""

    QWEN_OAUTH = "qwen-oauth"
    OPENAI = "openai"
    LOCAL = "local"


class Status(StrEnum):
    """What happened to a candidate."""

    CHOSEN = "chosen"
    SHADOWED = "shadowed"
    EMPTY = "empty"
    EXCLUDED = "excluded"
    UNTRUSTED = "untrusted"
    WITHHELD = "withheld"


class Candidate(msgspec.Struct, frozen=True):
    """One place that set a value. ``shown`` is safe to print: secrets are masked in it."""

    shown: str
    source: Source
    status: Status
    reason: str = ""


class FieldTrace(msgspec.Struct, frozen=True):
    """Every candidate of one field, highest precedence first, and the rule that decided."""

    field: str
    candidates: tuple[Candidate, ...]
    rule: str

    @property
    def chosen(self) -> Candidate | None:
        """The candidate that was chosen, if any."""
        return next((c for c in self.candidates if c.status is Status.CHOSEN), None)


class CredentialSource(Protocol):
    """Where a key or token comes from while requests are being signed."""

    def current(self, stop: Stop) -> Secret:
        """The credential to sign with now.

        Raises:
            AuthError: there is none, or none any more.
            Stopped: the turn was stopped while it was fetched or renewed.
        """

    def replace(self, rejected: Secret, stop: Stop) -> bool:
        """Told that the server answered 401 to ``rejected``: is there another one now?"""


class Connection(msgspec.Struct, frozen=True):
    """Everything a client needs to reach a model, ready to use.

    ``base_url`` has no trailing slash. ``model`` is ``None`` if nothing names one; then the
    endpoint is asked. ``credential`` is ``None`` for a server on this machine that needs none.
    ``account`` is whose sign-in it is, if that is known.
    """

    method: Method
    provider: str
    base_url: str
    base_url_source: Source
    model: str | None = None
    model_source: Source | None = None
    credential: CredentialSource | None = None
    credential_source: Source | None = None
    credential_shown: str = ""
    header_style: HeaderStyle = "authorization"
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    query: Mapping[str, str] = msgspec.field(default_factory=dict)
    deployment_in_path: bool = False
    refusal_hint: str = ""
    """What to check if the endpoint refuses the credential."""
    generation: Generation = Generation()
    """How settings say that this model is asked."""
    profile: str | None = None
    account: str | None = None
    is_trusted: bool = True
    """Not, if a project's files chose the endpoint and the user has not agreed to that."""

    @property
    def request_headers(self) -> dict[str, str]:
        """The headers of a request, without the credential's."""
        return {**self.headers, **self.generation.headers}

    @property
    def origin(self) -> Origin:
        """The only origin that may receive the credential."""
        return Origin.of(self.base_url)


class Announcement(msgspec.Struct, frozen=True):
    """A line that the user is told once for a folder and origin, not in every run."""

    folder: Path
    origin: Origin
    text: str


class Resolution(msgspec.Struct, frozen=True):
    """How the connection was chosen, as data. Exactly one of the first two is set."""

    connection: Connection | None
    error: QwenError | None
    fields: tuple[FieldTrace, ...]
    notices: tuple[str, ...] = ()
    announcements: tuple[Announcement, ...] = ()

    def require(self) -> Connection:
        """The connection.

        Raises:
            QwenError: why there is none.
        """
        if self.connection is None:
            assert self.error is not None
            raise self.error
        return self.connection
