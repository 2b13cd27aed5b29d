"""Which hosts ``web_fetch`` may connect to: public ones, not those behind the firewall.

A page must not make this machine send requests to its own services, its network or a cloud's
metadata server. A name is therefore resolved here, once, and the connection goes to exactly the
addresses that were checked, even if the name resolves to others a moment later.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from qwen_code.base.url import Origin, is_loopback_host
from qwen_code.tools.errors import ToolFailed

_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_NAT64 = (ip_network("64:ff9b::/96"), ip_network("64:ff9b:1::/48"))
"""RFC 6052 §2.1 and RFC 8215: the last four bytes are an IPv4 address."""

_WAY_OUT = "The user can allow it in their settings with tools.webFetch.allowPrivate."


def addresses_of(
    origin: Origin, find: Callable[[str, int], Sequence[str]], *, allow_private: bool = False
) -> list[str]:
    """The addresses to connect to, best first; empty if the name cannot be resolved.

    ``find`` resolves a name. IP addresses in an unusual notation are rejected, because programs
    read them differently (WHATWG URL §3.5).

    Raises:
        ToolFailed: the host is not valid, or one of its addresses is private.
    """
    host = origin.host
    literal = _literal(host)
    if literal is None and (not _NAME.fullmatch(host) or _NUMBER.fullmatch(host.split(".")[-1])):
        raise ToolFailed(f"{host} is not a valid host name or IP address")
    if allow_private:
        return [host] if literal else list(find(host, origin.port))
    if is_loopback_host(host):
        raise ToolFailed(f"{host} is this machine, which is not fetched. {_WAY_OUT}")
    found = [host] if literal else list(find(host, origin.port))
    for address in found:
        if not is_public(address):
            raise ToolFailed(f"{host} has the private address {address}. {_WAY_OUT}")
    return found


def is_public(text: str) -> bool:
    """Whether an IP address is public, also if it is embedded in an IPv6 address."""
    address: IPv4Address | IPv6Address | None = _literal(text)
    while isinstance(address, IPv6Address) and (inner := _wrapped(address)):
        address = inner
    return address is not None and (
        address.is_global and not (address.is_multicast or address.is_reserved)
    )


def look_up(host: str, port: int) -> list[str]:
    """The addresses of a name in the order of the system (RFC 6724); empty if there are none."""
    import socket

    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _literal(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _wrapped(address: IPv6Address) -> IPv4Address | None:
    if address.ipv4_mapped or address.sixtofour:
        return address.ipv4_mapped or address.sixtofour
    if address.teredo:
        return address.teredo[1]
    if any(address in network for network in _NAT64):
        return IPv4Address(address.packed[-4:])
    return None
