"""``web_fetch``: fetches a web page by its URL, as text."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Annotated, Self
from urllib.parse import urljoin, urlsplit

import msgspec

from qwen_code.base.errors import ConfigError, QwenError, TransportError
from qwen_code.base.http import HttpClient, Network, Request, Response, Timeouts
from qwen_code.base.secret import redact
from qwen_code.base.stop import Stop
from qwen_code.base.url import Origin
from qwen_code.tools import catalogue
from qwen_code.tools.base import BuiltInTool, Result
from qwen_code.tools.context import ToolContext
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.web_address import addresses_of, look_up
from qwen_code.tools.web_text import read_text, unpack

_MAX_BYTES = 5 << 20
_MAX_S = 30.0
_MAX_REDIRECTS = 5
_MAX_ADDRESSES = 3
_PART = 20_000
"""Characters in the result of one call: about 5,000 tokens."""

_HEADERS = {
    "accept": "text/markdown, text/html;q=0.9, text/plain;q=0.8, */*;q=0.5",
    "accept-encoding": "gzip",
}


class WebArguments(msgspec.Struct):
    url: str
    offset: Annotated[int, msgspec.Meta(ge=0)] = 0


class _Page(msgspec.Struct, frozen=True):
    url: str
    text: str


class _Elsewhere(msgspec.Struct, frozen=True):
    """A redirect to a host that the user did not approve, so it is not followed."""

    url: str


class WebFetch(BuiltInTool[WebArguments]):
    """Sends no cookies and no credentials. ``find`` looks up the addresses of a host.

    The user approves a host, so redirects are followed only within it. A redirect to another host
    is reported to the model, which can request it.
    """

    definition = catalogue.WEB_FETCH
    arguments = WebArguments

    def __init__(
        self,
        network: Network,
        *,
        user_agent: str,
        allow_private: bool = False,
        find: Callable[[str, int], Sequence[str]] = look_up,
    ) -> None:
        self._network = network
        self._user_agent = user_agent
        self._allow_private = allow_private
        self._find = find
        self._last: tuple[str, _Page] | None = None

    @classmethod
    def create(cls, context: ToolContext) -> Self:
        return cls(
            context.network,
            user_agent=context.user_agent,
            allow_private=context.allow_private_hosts,
        )

    def parse(self, text: str) -> WebArguments:
        arguments = super().parse(text)
        _origin_of(arguments.url)
        return arguments

    def title(self, arguments: WebArguments) -> str:
        return arguments.url

    def subject(self, arguments: WebArguments) -> str:
        return _origin_of(arguments.url).host

    def run(self, arguments: WebArguments, show: Callable[[str], None], stop: Stop) -> Result:
        url = arguments.url.partition("#")[0]
        if arguments.offset and self._last and self._last[0] == url:
            page = self._last[1]
        else:
            visit = _Visit(self._network, self._user_agent, self._addresses, stop)
            found = visit.fetch(url)
            if isinstance(found, _Elsewhere):
                return Result(
                    f"{url} redirects to another host: {found.url}. Fetch that if it helps.",
                    "redirects to another host",
                )
            page = found
            self._last = (url, page)
        return _part(page, arguments.offset)

    def _addresses(self, origin: Origin) -> list[str]:
        return addresses_of(origin, self._find, allow_private=self._allow_private)


class _Visit:
    """One URL and its redirects."""

    def __init__(
        self,
        network: Network,
        user_agent: str,
        addresses: Callable[[Origin], Sequence[str]],
        stop: Stop,
    ) -> None:
        self._network = network
        self._user_agent = user_agent
        self._addresses = addresses
        self._stop = stop
        self._deadline = time.monotonic() + _MAX_S

    def fetch(self, url: str) -> _Page | _Elsewhere:
        try:
            return self._fetch(url)
        except ToolFailed:
            raise
        except QwenError as error:
            if self._left_s() <= 0:
                raise ToolFailed(f"{url} took more than {_MAX_S:.0f} s") from error
            raise ToolFailed(error.message) from error

    def _left_s(self) -> float:
        return self._deadline - time.monotonic()

    def _fetch(self, url: str) -> _Page | _Elsewhere:
        for _ in range(_MAX_REDIRECTS + 1):
            response = self._ask(url)
            target = response.headers.get("location") if 300 <= response.status < 400 else None
            if not target:
                return self._read(url, response)
            response.close()
            target = urljoin(url, target)
            if not _is_same_host(url, target):
                return _Elsewhere(target)
            url = target
        raise ToolFailed(f"too many redirects (more than {_MAX_REDIRECTS})")

    def _ask(self, url: str) -> Response:
        origin = _origin_of(url)
        addresses = self._addresses(origin)
        if not addresses and self._network.proxy_for(origin) is None:
            raise ToolFailed(f"the host {origin.host} was not found; check the spelling")
        pins = [{origin.host: address} for address in addresses[:_MAX_ADDRESSES]] or [{}]
        for number, pin in enumerate(pins, 1):
            client = HttpClient(
                self._network,
                user_agent=self._user_agent,
                timeouts=_timeouts(self._left_s()),
                keep_alive=False,
                addresses=pin,
            )
            try:
                return client.send(Request("GET", url, _HEADERS), stop=self._stop)
            except TransportError as error:
                if error.code != "connect" or number == len(pins):
                    raise
        raise AssertionError("there is at least one address to try")

    def _read(self, url: str, response: Response) -> _Page:
        if response.status >= 400:
            raise ToolFailed(f"{url} answered {_status(response.status)}")
        packed = response.read(_MAX_BYTES, within_s=self._left_s())
        body = unpack(packed, response.headers.get("content-encoding", "").lower(), _MAX_BYTES)
        text = read_text(body, response.headers.get("content-type", ""), url)
        if len(body) >= _MAX_BYTES or len(packed) >= _MAX_BYTES:
            text += f"\n\n[The page is longer: these are its first {_MAX_BYTES >> 20} MiB.]"
        return _Page(url, redact(text))


def _timeouts(left_s: float) -> Timeouts:
    left_s = max(0.0, left_s)
    return Timeouts(
        connect_s=min(10.0, left_s), first_byte_s=min(20.0, left_s), idle_s=min(10.0, left_s)
    )


def _origin_of(url: str) -> Origin:
    try:
        return Origin.of(url)
    except ConfigError as error:
        raise ToolFailed(f"{error.message}; a URL must begin with https://") from error


def _is_same_host(url: str, target: str) -> bool:
    """Whether a redirect stays on the approved host and does not downgrade to http."""
    if urlsplit(url).scheme == "https" != urlsplit(target).scheme:
        return False
    host, other = (_origin_of(address).host.removeprefix("www.") for address in (url, target))
    return host == other


def _status(code: int) -> str:
    try:
        return f"{code} {HTTPStatus(code).phrase}"
    except ValueError:
        return str(code)


def _part(page: _Page, offset: int) -> Result:
    total = len(page.text)
    if not page.text.strip():
        return Result(f"{page.url} has no text; a script may generate it.", "no text")
    if offset >= total:
        raise ToolFailed(f"offset {offset:,} is past the end of the page ({total:,} characters)")
    end = min(total, offset + _PART)
    text = f"{page.url}\n\n{page.text[offset:end]}"
    if end < total:
        text += f"\n\n[{total - end:,} more characters: continue with offset={end}]"
    return Result(text, f"{end - offset:,} of {total:,} characters")
