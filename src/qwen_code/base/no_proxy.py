"""``NO_PROXY``: which hosts are reached without the proxy.

There is no standard. This is what curl, Go (``httpproxy``) and Python's requests have in common,
and where one of them understands more (ports, networks, ``*.domain``, blanks, names that are not
ASCII), that too. A name ends at a dot: ``badcorp.example``, which old versions of requests take for
``corp.example``, is a host of somebody else.
"""

from __future__ import annotations

import ipaddress
import re

from qwen_code.base.url import Origin

_MAPPED_BITS = 96
"""How many bits come before the IPv4 address in one that is mapped to IPv6 (RFC 4291 §2.5.5.2)."""


def bypasses_proxy(no_proxy: str, origin: Origin) -> bool:
    """Whether a list such as ``.corp.example, 10.0.0.0/8, host:8080`` has the host of ``origin``.

    A name stands for itself and for all names below it, with or without a dot or ``*.`` before it;
    ``*`` is every host.
    """
    host = _bare(origin.host)
    return any(
        _matches(entry, host, origin.port) for entry in re.split(r"[\s,]+", no_proxy) if entry
    )


def _matches(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    name, wanted_port = _split(entry.partition("://")[2] or entry)
    if wanted_port is not None and wanted_port != port:
        return False
    if (address := _address(host)) is not None:
        network = _network(name)
        return network is not None and address.version == network.version and address in network
    name = _ascii(name.removeprefix("*").lstrip("."))
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _split(entry: str) -> tuple[str, int | None]:
    """Host and port of an entry; the brackets of an IPv6 address are optional without a port."""
    entry = entry.rstrip("/")
    if bracketed := re.fullmatch(r"\[([^\]]+)\](/\d+)?(?::(\d+))?", entry):
        name = _bare(bracketed[1]) + (bracketed[2] or "")
        return name, int(bracketed[3]) if bracketed[3] else None
    name, colon, port = entry.rpartition(":")
    if colon and port.isdecimal() and ":" not in name:
        return _bare(name), int(port)
    return _bare(entry), None


def _bare(host: str) -> str:
    return host.lower().strip("[]").rstrip(".").partition("%")[0]


def _ascii(name: str) -> str:
    """A name as addresses have it: ``bücher.example`` is ``xn--bcher-kva.example``."""
    if name.isascii():
        return name
    try:
        return name.encode("idna").decode()
    except UnicodeError:
        return name


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _network(name: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        network = ipaddress.ip_network(name, strict=False)
    except ValueError:
        return None
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is not None and network.prefixlen >= _MAPPED_BITS:
        return ipaddress.IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))
    return network
