"""Which requests are for this service: its own host names, and no other web page's.

A web page can have its host name resolve to 127.0.0.1 (DNS rebinding) and then read what it is
answered; the Host header still has its name. And it can post forms to this service from its own
origin; browsers say so in Origin and Sec-Fetch-Site.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from starlette.responses import PlainTextResponse

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_SAFE_METHODS = ("GET", "HEAD")
_OWN_SITES = ("same-origin", "none")
"""None: a person typed the address."""

Headers = Sequence[tuple[str, str]]


def own_hosts(port: int) -> frozenset[str]:
    """The values that a Host header may have for a service on this ``port`` of the machine."""
    hosts = {f"{name}:{port}" for name in _LOOPBACK}
    return frozenset(hosts | set(_LOOPBACK) if port == 80 else hosts)


def refusal(method: str, headers: Headers, hosts: frozenset[str]) -> tuple[int, str] | None:
    """Status and reason for a request that is not for this service; ``None`` for one that is.

    ``headers`` have names in lower case.
    """
    named = [value.lower() for name, value in headers if name == "host"]
    if len(named) != 1 or named[0] not in hosts:
        return 421, f"The Host header does not name this service. Use {' or '.join(sorted(hosts))}."
    if method in _SAFE_METHODS:
        return None
    for name, value in headers:
        is_foreign_origin = name == "origin" and value.lower() != f"http://{named[0]}"
        is_foreign_site = name == "sec-fetch-site" and value.lower() not in _OWN_SITES
        if is_foreign_origin or is_foreign_site:
            return 403, "This request comes from another web page. Only pages of this service may."
    return None


class Guard:
    """Refuses, before ``app`` sees it, what is not for this service; ``note`` is told the method,
    path, status and outcome."""

    def __init__(
        self, app: Any, hosts: frozenset[str], note: Callable[[str, str, int, str], None]
    ) -> None:
        self._app = app
        self._hosts = hosts
        self._note = note

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = [
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]
        ]
        refused = refusal(scope["method"], headers, self._hosts)
        if refused is None:
            await self._app(scope, receive, send)
            return
        status, reason = refused
        self._note(scope["method"], scope["path"], status, "refused")
        await PlainTextResponse(f"{reason}\n", status)(scope, receive, send)
