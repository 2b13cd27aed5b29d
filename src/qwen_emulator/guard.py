"""Refuses requests that name another host, or that another web page sends.

A web page can let its host name resolve to 127.0.0.1 (DNS rebinding) and then read the answers; its
name is still in the Host header. It can also post forms to this service; browsers name its origin
in Origin and Sec-Fetch-Site.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from starlette.responses import PlainTextResponse

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_SAFE_METHODS = ("GET", "HEAD")
_OWN_SITES = ("same-origin", "none")
""""none": a person typed the address."""

Headers = Sequence[tuple[str, str]]


def own_hosts(port: int) -> frozenset[str]:
    """The Host headers that name a service on this ``port`` of this machine."""
    hosts = {f"{name}:{port}" for name in _LOOPBACK}
    return frozenset(hosts | set(_LOOPBACK) if port == 80 else hosts)


def refusal(method: str, headers: Headers, hosts: frozenset[str]) -> tuple[int, str] | None:
    """The status and the reason if a request must be refused, else ``None``.

    The names of ``headers`` are in lower case.
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
            return 403, "This request comes from another web page, which is not allowed to send it."
    return None


class Guard:
    """Checks requests before ``app`` handles them. ``note`` gets the method, path, status and
    outcome of those that are refused."""

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
