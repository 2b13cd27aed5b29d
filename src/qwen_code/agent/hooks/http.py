"""Hooks of the type ``http``: the input is sent to a server with POST, and its answer is read.

It goes to this machine, or to a public address by https. A name is resolved once, and the
connection goes to the address that was checked. No redirect is followed.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address

import msgspec

from qwen_code.agent.hooks.answers import Answer, of_http
from qwen_code.agent.hooks.entries import Hook
from qwen_code.agent.hooks.runner import Told
from qwen_code.base.errors import QwenError, TransportError
from qwen_code.base.http import HttpClient, Network, Request, Timeouts
from qwen_code.base.secret import Secret
from qwen_code.base.stop import Stop
from qwen_code.base.url import Origin, is_loopback_host
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.web_address import addresses_of, is_public, look_up

_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))", re.ASCII)
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_METADATA = frozenset(
    (
        *("metadata.google.internal", "metadata.azure.internal", "169.254.169.254"),
        *("100.100.100.200", "fd00:ec2::254"),
    )
)
"""Where clouds give credentials to their machines: never the address of a hook."""

_MAX_ANSWER_BYTES = 1 << 20
_MAX_CONNECT_S = 10.0


class HttpHooks:
    """``variable`` returns the value of an environment variable for a hook, empty if it has none.
    With ``allowed``, an address must match one of these patterns, in which ``*`` stands for
    anything. ``find`` resolves a name.
    """

    def __init__(
        self,
        network: Network,
        *,
        user_agent: str,
        variable: Callable[[str, Hook], str],
        allowed: Sequence[str] = (),
        allow_private: bool = False,
        find: Callable[[str, int], Sequence[str]] = look_up,
    ) -> None:
        self._network = network
        self._user_agent = user_agent
        self._variable = variable
        self._allowed = allowed
        self._allow_private = allow_private
        self._find = find

    def __call__(self, hook: Hook, told: Told, stop: Stop) -> Answer:
        """Send ``told``, and read the answer.

        Raises:
            Stopped: ``stop`` was set.
        """
        deadline = time.monotonic() + hook.timeout_s
        try:
            url = self._filled(hook.url, hook)
            headers = {name.lower(): self._filled(v, hook) for name, v in hook.headers.items()}
            if problem := _bad_header(headers) or self._refused(url):
                return Answer(problem=problem)
            origin = Origin.of(url)
            addresses = stop.run_beside(lambda: self._addresses(origin))
            request = Request(
                "POST",
                url,
                {"content-type": "application/json", **headers},
                msgspec.json.encode(told),
            )
            return self._send(hook, request, origin, addresses, deadline, stop)
        except ToolFailed as error:
            return Answer(problem=f"is not called: {error.message}")
        except QwenError as error:
            if time.monotonic() >= deadline or getattr(error, "code", "") == "timeout":
                return Answer(problem=f"did not answer within {hook.timeout_s:g} s")
            return Answer(problem=f"could not be called: {error.message}")

    def _send(
        self,
        hook: Hook,
        request: Request,
        origin: Origin,
        addresses: Sequence[str],
        deadline: float,
        stop: Stop,
    ) -> Answer:
        pins = [{origin.host: address} for address in addresses] or [{}]
        for number, pin in enumerate(pins, 1):
            left_s = max(0.01, deadline - time.monotonic())
            client = HttpClient(
                self._network,
                user_agent=self._user_agent,
                timeouts=Timeouts(min(_MAX_CONNECT_S, left_s), left_s, left_s),
                keep_alive=False,
                addresses=pin,
            )
            try:
                response = client.send(request, stop=stop)
            except TransportError as error:
                if error.code != "connect" or number == len(pins):
                    raise
                continue
            body = response.read(_MAX_ANSWER_BYTES, within_s=deadline - time.monotonic())
            kind = response.headers.get("content-type", "")
            return of_http(hook.event, response.status, kind, body)
        raise AssertionError("there is at least one address to try")

    def _filled(self, text: str, hook: Hook) -> str:
        """``text`` with the values of the variables that the hook may name; any other is empty.
        What a variable adds is kept out of everything that is shown."""

        def value(match: re.Match[str]) -> str:
            name = match[1] or match[2]
            found = self._variable(name, hook) if name in hook.variables else ""
            return Secret(re.sub(r"[\r\n\0]", "", found)).reveal() if found else ""

        return _VARIABLE.sub(value, text)

    def _refused(self, url: str) -> str:
        if self._allowed and not any(_fits(pattern, url) for pattern in self._allowed):
            return "is not called: security.allowedHttpHookUrls does not list its address"
        return ""

    def _addresses(self, origin: Origin) -> list[str]:
        host = origin.host
        found = [host] if _is_address(host) else list(self._find(host, origin.port))
        if any(each in _METADATA for each in (host, *map(_plain, found))):
            raise ToolFailed(f"{host} is where a cloud gives credentials to its machines")
        if is_loopback_host(host):
            return []
        if not found and self._network.proxy_for(origin) is None:
            raise ToolFailed(f"the host {host} was not found")
        if self._allow_private and not (origin.is_exposed and any(map(is_public, found))):
            return found
        try:
            if origin.is_exposed:
                raise ToolFailed("its address must begin with https://, except on this machine")
            return addresses_of(origin, lambda *_: found)
        except ToolFailed as error:
            reason, _, is_private = error.message.partition(". The user can allow")
            way = "; to allow it, set security.allowPrivateNetworkHooks in your own settings"
            raise ToolFailed(reason + (way if is_private else "")) from error


def _fits(pattern: str, url: str) -> bool:
    plain = pattern.replace("\\.", ".")
    return re.fullmatch(".*".join(map(re.escape, plain.split("*"))), url, re.IGNORECASE) is not None


def _bad_header(headers: Mapping[str, str]) -> str:
    for name, text in headers.items():
        if not _NAME.fullmatch(name) or not (text.isascii() and text.isprintable()):
            return f"cannot be called: the header {name!r} is not valid"
    return ""


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _plain(address: str) -> str:
    """An address without the IPv6 form of an IPv4 address around it."""
    found = ip_address(address.partition("%")[0])
    return str(getattr(found, "ipv4_mapped", None) or found)
