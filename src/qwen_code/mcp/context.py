"""What all servers of a session share, as data. The package ``mcp`` is not needed for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from qwen_code.base.http import Network
from qwen_code.mcp.servers import ServerSpec

if TYPE_CHECKING:
    from qwen_code.mcp.embedded import Exchange


class Refusal(msgspec.Struct, frozen=True):
    """What a server has just answered: 401 or 403 with its ``WWW-Authenticate`` header, to
    ``token``, or to a request without one."""

    token: str | None
    status: int
    challenge: str


TokenFor = Callable[[ServerSpec, Refusal | None], str | None]
"""Returns an access token for a server, or ``None``; after a `Refusal`, another one. It can block.
After a `Refusal` it raises a ``QwenError`` if a person has to do something first."""


class ServerContext(msgspec.Struct, frozen=True):
    """``environ`` is the environment of server processes, and ``variables`` has the values of the
    ``$NAMES`` in definitions, which may be tokens for the servers; neither may hold our own
    credentials. ``roots`` are the directories that the session is about. ``may_restart`` tells
    whether a definition is still what the user trusts.
    """

    environ: Mapping[str, str]
    variables: Mapping[str, str]
    cwd: Path
    logs_dir: Path
    version: str
    network: Network = Network()
    token_for: TokenFor = lambda _server, _refused: None
    start_timeout_s: float = 30.0
    roots: Sequence[Path] = ()
    is_attended: bool = False
    """Whether a person can answer what servers ask."""

    may_restart: Callable[[ServerSpec], bool] = lambda _: True
    exchange: Exchange | None = None
    """Reaches embedded servers, if there may be any."""
