"""Which hosts ``web_fetch`` may talk to: those of the internet, not those behind the firewall.

A page must not be able to make this machine ask its own services, its neighbours or a cloud's
metadata server. What a name means is therefore looked up here, once; the connection then goes to
exactly the addresses that were looked at, whatever the name means a moment later.
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

_WAY_OUT = "A user can allow it with tools.webFetch.allowPrivate in their settings."


def addresses_of(
    origin: Origin, find: Callable[[str, int], Sequence[str]], *, allow_private: bool = False
) -> list[str]:
    """The addresses to connect to, best first; empty if the name is not known here.

    ``find`` looks a name up. An address that is written as a number in any other way than the
    usual is refused: what it means depends on who reads it (WHATWG URL §3.5).

    Raises:
        ToolFailed: the host is no host, or one of its addresses is private.
    """
    host = origin.host
    literal = _literal(host)
    if literal is None and (not _NAME.fullmatch(host) or _NUMBER.fullmatch(host.split(".")[-1])):
        raise ToolFailed(f"{host} is not the name or address of a host")
    if allow_private:
        return [host] if literal else list(find(host, origin.port))
    if is_loopback_host(host):
        raise ToolFailed(f"{host} is this machine itself, which is not fetched. {_WAY_OUT}")
    found = [host] if literal else list(find(host, origin.port))
    for address in found:
        if not is_public(address):
            raise ToolFailed(f"{host} is at {address}, a private address. {_WAY_OUT}")
    return found


def is_public(text: str) -> bool:
    """Whether an IP address belongs to the internet, also if it is wrapped in another."""
    address: IPv4Address | IPv6Address | None = _literal(text)
    while isinstance(address, IPv6Address) and (inner := _wrapped(address)):
        address = inner
    return address is not None and (
        address.is_global and not (address.is_multicast or address.is_reserved)
    )


def look_up(host: str, port: int) -> list[str]:
    """The addresses of a name as the system orders them (RFC 6724); none if it has none."""
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
