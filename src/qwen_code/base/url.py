"""URLs: where a request goes, and whether two of them have the same origin."""

from __future__ import annotations

import ipaddress
from urllib.parse import SplitResult, urlsplit

import msgspec

from qwen_code.base.errors import ConfigError

_DEFAULT_PORTS = {"http": 80, "https": 443}
_COMPLETIONS = "/chat/completions"


class Origin(msgspec.Struct, frozen=True):
    """Scheme, host and port (RFC 6454): what a secret is bound to.

    ``host`` is in lower case, without a trailing dot, and without the brackets of an IPv6 address.
    """

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Origin:
        """The origin of an absolute http or https URL.

        Raises:
            ConfigError: it is not such a URL, or it has a user name or password.
        """
        parts = _split(url)
        host = (parts.hostname or "").rstrip(".")
        port = parts.port or _DEFAULT_PORTS[parts.scheme]
        return cls(parts.scheme, host, port)

    @property
    def is_loopback(self) -> bool:
        """Whether the host can only be this machine (RFC 6761 §6.3 for names)."""
        return is_loopback_host(self.host)

    @property
    def is_exposed(self) -> bool:
        """Whether requests to it can be read on their way: plain http to another machine."""
        return self.scheme == "http" and not self.is_loopback

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}"


def is_loopback_host(host: str) -> bool:
    """Whether ``host`` (a name or an address without brackets) can only mean this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def is_link_local_host(host: str) -> bool:
    """Whether ``host`` is an address of the local link (RFC 3927), where clouds offer credentials
    to their machines."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_link_local


def normalise_base_url(text: str) -> tuple[str, str | None]:
    """A base URL to which ``/chat/completions`` can be appended, and a notice if it was there.

    Trailing slashes are removed and the host becomes lower case. An empty path stays empty, because
    providers have different paths.

    Raises:
        ConfigError: it is not an absolute http(s) URL, or has user info, a query or a fragment.
    """
    text = text.strip()
    parts = _split(text)
    if parts.query or parts.fragment:
        raise ConfigError(
            f"the base URL {text} has a query or fragment",
            hint="Write it up to the version, as https://host/v1.",
        )
    path = parts.path.rstrip("/")
    notice = None
    if path.endswith(_COMPLETIONS):
        path = path[: -len(_COMPLETIONS)].rstrip("/")
        notice = f"{_COMPLETIONS} was removed from the base URL {text}"
    return f"{Origin.of(text)}{path}", notice


def server_address(text: str, default: str) -> str:
    """The base URL of a server that runs at ``text``, as variables such as ``OLLAMA_HOST`` name it.

    What ``text`` leaves out is that of ``default``: scheme, port, path. An address to listen at
    (``0.0.0.0``) is reached on this machine. Empty, if ``text`` is.
    """
    scheme, found, rest = text.strip().rpartition("://")
    if not rest:
        return ""
    usual = urlsplit(default)
    place, _, path = rest.partition("/")
    host, port = place, ""
    if place.count(":") == 1 or "]:" in place:
        host, _, port = place.rpartition(":")
    elif place.count(":") > 1 and not place.startswith("["):
        host = f"[{place}]"
    if not host or _is_unspecified(host):
        host = "[::1]" if ":" in host else "127.0.0.1"
    if not port and not found:
        port = str(usual.port or "")
    return f"{scheme or usual.scheme}://{host}{f':{port}' if port else ''}/{path}".rstrip("/") + (
        "" if path.strip("/") else usual.path
    )


def _is_unspecified(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_unspecified
    except ValueError:
        return False


def _split(url: str) -> SplitResult:
    if any(ord(character) <= 0x20 or character in "\\\x7f" for character in url):
        raise ConfigError(
            f"{url!r} contains a space, backslash or control character",
            hint="Write the address as https://host/v1.",
        )
    try:
        parts = urlsplit(url)
        port_is_valid = parts.port != 0
    except ValueError as error:
        raise ConfigError(
            f"{url!r} is not a valid address: {error}", hint="Write it as https://host/v1."
        ) from error
    if (
        parts.scheme not in _DEFAULT_PORTS
        or not (parts.hostname or "").strip(".")
        or not port_is_valid
    ):
        raise ConfigError(
            f"{url!r} is not an http or https address",
            hint="Write it in full, as https://host/v1.",
        )
    if parts.username is not None or parts.password is not None:
        raise ConfigError(
            f"the address of {parts.hostname} contains a user name or password",
            hint="Remove it from the URL, and set the key as LLAMA_API_KEY.",
        )
    if not (parts.hostname or "").isascii():
        raise ConfigError(
            f"the host {parts.hostname!r} is not ASCII",
            hint="Write its ASCII form (xn--…), because look-alike letters can hide another host.",
        )
    return parts
