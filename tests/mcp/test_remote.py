"""What a remote server sends is bounded, and what it refuses is explained."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from importlib.util import find_spec

import pytest

if find_spec("httpx2") is None:
    pytest.skip("needs the extra mcp", allow_module_level=True)

import httpx2

from qwen_code.base.errors import AuthError
from qwen_code.base.http import Network, ProxySetting
from qwen_code.mcp import remote
from qwen_code.mcp.context import Refusal, TokenFor
from qwen_code.mcp.servers import ServerSpec


class Body(httpx2.AsyncByteStream):
    def __init__(self, size: int) -> None:
        self._left = size

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self._left > 0:
            self._left -= 1 << 20
            yield b"x" * (1 << 20)


def read(response: httpx2.Response) -> bytes:
    async def get() -> bytes:
        transport = httpx2.MockTransport(lambda _: response)
        hooks = {"response": [remote._bound]}
        async with httpx2.AsyncClient(transport=transport, event_hooks=hooks) as client:
            return (await client.get("http://127.0.0.1/")).content

    return asyncio.run(get())


def test_a_packed_body_is_refused() -> None:
    bomb = gzip.compress(b"\0" * 10_000_000)
    with pytest.raises(httpx2.DecodingError, match="gzip, which is refused"):
        read(httpx2.Response(200, headers={"content-encoding": "gzip"}, content=bomb))


def test_a_body_without_end() -> None:
    with pytest.raises(httpx2.ReadError, match="more than 64 MiB"):
        read(httpx2.Response(200, stream=Body(100 << 20)))
    assert len(read(httpx2.Response(200, stream=Body(3 << 20)))) == 3 << 20


def test_a_stream_of_events_may_be_long() -> None:
    headers = {"content-type": "text/event-stream"}
    assert len(read(httpx2.Response(200, headers=headers, stream=Body(70 << 20)))) == 70 << 20


@pytest.mark.parametrize(
    ("no_proxy", "is_direct"),
    [
        ("*.corp.example", True),
        ("a.example m.corp.example:443", True),
        ("m.corp.example:80", False),
    ],
)
def test_the_proxy_is_for_what_is_not_listed(no_proxy: str, is_direct: bool) -> None:
    spec = ServerSpec("s", url="https://m.corp.example/mcp")
    proxy = ProxySetting("http://127.0.0.1:9", "HTTPS_PROXY in the environment")
    network = Network(https_proxy=proxy, no_proxy=no_proxy)
    auth = remote.RemoteAuth(spec, lambda _, __: None)
    client = remote.make_http_client(spec, network, auth, "qwen")
    assert (client._transport_for_url(httpx2.URL(str(spec.url))) is client._transport) is is_direct


# -- refusals -------------------------------------------------------------------------------------

SCOPE = 'Bearer error="insufficient_scope", scope="write"'


def ask(
    answer: Callable[[str], tuple[int, str]],
    token_for: TokenFor,
    headers: dict[str, str] | None = None,
) -> tuple[int, list[str], str | None]:
    """The last status, the credentials that were sent, and what is said of it."""
    sent: list[str] = []

    def respond(request: httpx2.Request) -> httpx2.Response:
        sent.append(request.headers.get("authorization", ""))
        status, challenge = answer(sent[-1])
        return httpx2.Response(status, headers={"www-authenticate": challenge} if challenge else {})

    auth = remote.RemoteAuth(ServerSpec("s", url="http://127.0.0.1/"), token_for)

    async def post() -> int:
        transport = httpx2.MockTransport(respond)
        async with httpx2.AsyncClient(transport=transport, auth=auth) as client:
            return (await client.post("http://127.0.0.1/", headers=headers or {})).status_code

    return asyncio.run(post()), sent, auth.refusal


def test_a_refused_token_is_replaced_once() -> None:
    seen: list[Refusal | None] = []

    def token_for(_: ServerSpec, refusal: Refusal | None) -> str:
        seen.append(refusal)
        return f"t{len(seen)}"

    status, sent, said = ask(lambda _: (401, "Bearer"), token_for)
    assert (status, sent) == (401, ["Bearer t1", "Bearer t2"])
    assert seen == [None, Refusal("t1", 401, "Bearer")]
    assert said == "it requires a sign-in; run: qwen mcp login s"


def test_a_missing_scope_is_explained() -> None:
    def token_for(_: ServerSpec, refusal: Refusal | None) -> str:
        if refusal and refusal.token == "new":
            raise AuthError("this needs more", hint="Run: x")
        return "new" if refusal else "old"

    status, sent, said = ask(lambda _: (403, SCOPE), token_for)
    assert (status, sent, said) == (403, ["Bearer old", "Bearer new"], "this needs more. Run: x")
    status, sent, said = ask(lambda key: (200 if "new" in key else 403, SCOPE), token_for)
    assert (status, said) == (200, None) and sent == ["Bearer old", "Bearer new"]


def test_new_tokens_are_not_tried_without_end() -> None:
    counter = iter(range(100))
    status, sent, _ = ask(lambda _: (403, SCOPE), lambda _, __: f"t{next(counter)}")
    assert status == 403 and len(sent) == 3


def test_another_refusal_is_not_about_the_sign_in() -> None:
    assert ask(lambda _: (403, ""), lambda _, __: "t") == (403, ["Bearer t"], None)


def test_a_server_that_wants_a_sign_in() -> None:
    status, sent, said = ask(lambda _: (401, "Bearer"), lambda _, __: None)
    assert (status, sent) == (401, [""]) and said == "it requires a sign-in; run: qwen mcp login s"


def test_a_header_of_the_user_is_left_alone() -> None:
    def token_for(*_: object) -> str:
        raise AssertionError

    headers = {"Authorization": "Bearer mine"}
    status, sent, said = ask(lambda _: (401, ""), token_for, headers)
    assert (status, sent) == (401, ["Bearer mine"])
    assert said == "it refuses the Authorization header in its entry"
