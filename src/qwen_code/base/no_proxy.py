"""``NO_PROXY``: which hosts are reached without the proxy.

There is no standard. This is what curl, Go (``httpproxy``) and Python's requests have in common,
and where one of them understands more (ports, networks, ``*.domain``, blanks), that too.
"""

from __future__ import annotations

import ipaddress
import re

from qwen_code.base.url import Origin


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
    address = _address(host)
    if address is not None:
        try:
            network = ipaddress.ip_network(name, strict=False)
        except ValueError:
            return False
        return address.version == network.version and address in network
    name = name.removeprefix("*").removeprefix(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _split(entry: str) -> tuple[str, int | None]:
    """Host and port of an entry; the brackets of an IPv6 address are optional without a port."""
    entry = entry.rstrip("/")
    if bracketed := re.fullmatch(r"\[([^\]]+)\](?::(\d+))?", entry):
        return _bare(bracketed[1]), int(bracketed[2]) if bracketed[2] else None
    name, colon, port = entry.rpartition(":")
    if colon and port.isdigit() and ":" not in name:
        return _bare(name), int(port)
    return _bare(entry), None


def _bare(host: str) -> str:
    return host.lower().strip("[]").rstrip(".").partition("%")[0]


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
