"""Explains the HTTP engine's errors: which step failed, and what to check."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwen_code.base.errors import TransportError
from qwen_code.base.url import Origin

if TYPE_CHECKING:
    from qwen_code.base.http import Network


def explained(error: BaseException, origin: Origin, network: Network) -> BaseException:
    """The error to report for ``error``, which ended a request to ``origin``."""
    from qwen_code.base.plain_engine import PlainError

    if isinstance(error, PlainError):
        return _not_connected(origin, str(error)) if error.is_connecting else _cut(origin, error)
    from pyreqwest.exceptions import ConnectError, ConnectTimeoutError, PyreqwestError

    if not isinstance(error, PyreqwestError):
        return error
    causes = [
        cause["message"] for cause in (getattr(error, "details", None) or {}).get("causes") or []
    ]
    reason = causes[-1] if causes else str(error)
    proxy = network.proxy_for(origin)
    connecting = isinstance(error, ConnectError | ConnectTimeoutError)
    if any("(SendRequest)" in cause for cause in causes):
        connecting = False  # the engine uses the same class if it breaks before the head
    if any("certificate" in cause.lower() for cause in causes):
        ca = network.ca_file or network.extra_ca_file
        where = f" {ca.blame} is {ca.value}." if ca else ""
        return TransportError(
            f"the certificate of {origin} was not accepted: {reason}",
            hint=f"Set SSL_CERT_FILE to the certificate (PEM) of your company, if any.{where}",
            code="certificate",
        )
    if proxy and connecting:
        return TransportError(
            f"cannot reach {origin} through the proxy {proxy.shown}: {reason}",
            hint=f"The proxy comes from {proxy.blame}; fix it, or list the host in NO_PROXY.",
            code="proxy",
            retryable=True,
        )
    if connecting:
        return _not_connected(origin, reason)
    return _cut(origin, reason)


def _not_connected(origin: Origin, reason: str) -> TransportError:
    return TransportError(
        f"cannot connect to {origin}: {reason}",
        hint="Check the address and the network (qwen auth explain shows who set it).",
        code="connect",
        retryable=True,
    )


def _cut(origin: Origin, reason: object) -> TransportError:
    return TransportError(f"the connection to {origin} broke: {reason}", code="cut", retryable=True)
