"""The Python API: one set of tests for every package that it serves."""

from __future__ import annotations

import asyncio
import importlib
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from qwen_code import auth
from qwen_code.base.errors import AuthError, ConfigError

KEY = "sk-test-0123456789abcdef"


class Server(ThreadingHTTPServer):
    """A model endpoint that accepts ``good`` keys and notes what it was sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.good = {KEY}
        self.keys: list[str] = []
        self.bodies: list[bytes] = []
        self.paths: list[str] = []
        self.redirect: str | None = None
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        self.server.bodies.append(self.rfile.read(int(self.headers.get("content-length", 0))))
        self.do_GET()

    def do_GET(self) -> None:
        key = self.headers.get("authorization", "").removeprefix("Bearer ")
        self.server.keys.append(key)
        self.server.paths.append(self.path)
        if self.server.redirect:
            self.send_response(307)
            self.send_header("location", self.server.redirect)
            self.send_header("content-length", "0")
            self.end_headers()
            return
        body = (
            b'{"id":"1","object":"chat.completion","created":1,"model":"m","choices":'
            b'[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}]}'
        )
        if key not in self.server.good:
            body = b'{"error":{"message":"bad key","code":"invalid_api_key"}}'
        self.send_response(200 if key in self.server.good else 401)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def new_server() -> Iterator[Callable[[], Server]]:
    servers: list[Server] = []

    def start() -> Server:
        servers.append(Server())
        return servers[-1]

    yield start
    for each in servers:
        each.shutdown()
        each.server_close()


@pytest.fixture
def server(new_server: Callable[[], Server]) -> Server:
    return new_server()


@pytest.fixture
def connect(world: Any, server: Server) -> Callable[..., auth.Access]:
    def make(**options: Any) -> auth.Access:
        environ = {**world.env, "LLAMA_API_KEY": KEY, "LLAMA_API_BASE_URL": server.base_url}
        environ |= {"LLAMA_API_MODEL": "m", **options.pop("env", {})}
        return auth.connect(environ=environ, cwd=world.project, **options)

    return make


@pytest.fixture
def rotating(world: Any, tmp_path: Path, server: Server) -> None:
    """A helper that prints ``rotating-key-1``, then ``-2``; the server accepts the second only."""
    count = tmp_path / "count"
    script = tmp_path / "helper.py"
    script.write_text(
        f"import pathlib; p = pathlib.Path({str(count)!r})\n"
        "n = int(p.read_text()) + 1 if p.exists() else 1\n"
        "p.write_text(str(n)); print(f'rotating-key-{n}')\n"
    )
    helper = {"security": {"auth": {"apiKeyHelper": [sys.executable, str(script)]}}}
    world.write("~/.qwen/settings.json", helper)
    server.good = {"rotating-key-2"}


def get(package: str, mode: str, url: str, flow: Any, **options: Any) -> int:
    module = importlib.import_module(package)
    if mode == "sync":
        with module.Client(auth=flow, trust_env=False, **options) as client:
            return int(client.post(url, content=b"the body").status_code)

    async def asynchronous() -> int:
        async with module.AsyncClient(auth=flow, trust_env=False, **options) as client:
            return int((await client.post(url, content=b"the body")).status_code)

    return asyncio.run(asynchronous())


EVERY = pytest.mark.parametrize(
    ("package", "mode"), [(p, m) for p in ("httpx", "httpx2") for m in ("sync", "async")]
)


@EVERY
def test_requests_are_signed(connect: Any, server: Server, package: str, mode: str) -> None:
    access = connect()
    assert (access.base_url, access.model) == (server.base_url, "m")
    assert get(package, mode, f"{access.base_url}/models", access.auth) == 200
    assert server.keys == [KEY]


@pytest.mark.process
@EVERY
def test_a_refused_credential_is_replaced_once_and_the_body_sent_again(
    connect: Any, server: Server, rotating: None, package: str, mode: str
) -> None:
    access = connect(env={"LLAMA_API_KEY": ""})
    assert get(package, mode, f"{access.base_url}/x", access.auth) == 200
    assert server.keys == ["rotating-key-1", "rotating-key-2"]
    assert server.bodies == [b"the body", b"the body"]


@EVERY
def test_no_other_origin_is_signed_for(
    connect: Any, new_server: Callable[[], Server], package: str, mode: str
) -> None:
    other = new_server()
    with pytest.raises(AuthError):
        get(package, mode, f"{other.base_url}/x", connect().auth)
    assert other.keys == []


@EVERY
def test_a_redirect_takes_no_credential_along(
    connect: Any, server: Server, new_server: Callable[[], Server], package: str, mode: str
) -> None:
    other = new_server()
    server.redirect = other.base_url
    access = connect()
    get(package, mode, f"{access.base_url}/x", access.auth, follow_redirects=True)
    assert other.keys == [""]


@pytest.mark.process
def test_the_openai_package_is_ready_to_use(connect: Any, server: Server) -> None:
    messages: Any = [{"role": "user", "content": "hi"}]
    with connect().openai() as client:
        answer = client.chat.completions.create(model="m", messages=messages)
    assert answer.choices[0].message.content == "hello"
    assert server.keys == [KEY] and server.paths == ["/v1/chat/completions"]

    async def asynchronous() -> str | None:
        async with connect().async_openai() as client:
            answer = await client.chat.completions.create(model="m", messages=messages)
            return str(answer.choices[0].message.content)

    assert asyncio.run(asynchronous()) == "hello"


@pytest.mark.parametrize(
    ("no_proxy", "is_direct"),
    [
        ("m.example", True),
        ("*.example:443", True),
        ("[fd00::2]:8443, a.example m.example", True),
        ("bücher.example,fd00::/8", False),
        ("m.example:8443", False),
    ],
)
def test_the_openai_package_goes_the_way_of_qwen(
    connect: Any, monkeypatch: pytest.MonkeyPatch, no_proxy: str, is_direct: bool
) -> None:
    env = {"https_proxy": "http://127.0.0.1:9", "no_proxy": no_proxy}
    for name, value in {**env, "all_proxy": "http://127.0.0.1:7"}.items():
        monkeypatch.setenv(name, value)  # the package would read these
    access = connect(env={**env, "LLAMA_API_BASE_URL": "https://m.example/v1"})
    with access.openai() as client:
        way: Any = client._client._transport_for_url(client.base_url)
        proxy = getattr(way._pool, "_proxy_url", None)
    assert (proxy and proxy.port) == (None if is_direct else 9)


@pytest.mark.process
def test_the_openai_package_gets_replaced_credentials(
    connect: Any, server: Server, rotating: None
) -> None:
    with connect(env={"LLAMA_API_KEY": ""}).openai() as client:
        client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
    assert server.keys == ["rotating-key-1", "rotating-key-2"]


def test_the_azure_deployment_is_in_the_path(connect: Any, server: Server) -> None:
    env = {
        "LLAMA_API_BASE_URL": "https://r.openai.azure.com",
        "AZURE_OPENAI_API_VERSION": "2024-10-21",
    }
    with connect(env=env).openai() as client:
        assert str(client.base_url) == "https://r.openai.azure.com/openai/deployments/m/"
        assert client.default_query == {"api-version": "2024-10-21"}
    with connect(env={**env, "LLAMA_API_MODEL": "my own"}).openai() as client:
        assert str(client.base_url) == "https://r.openai.azure.com/openai/deployments/my%20own/"


def test_nothing_configured_is_an_error_of_ours(world: Any) -> None:
    with pytest.raises(AuthError):
        auth.connect(environ=world.env, cwd=world.project)


def test_the_embedded_model_says_how_it_is_reached(world: Any) -> None:
    with pytest.raises(ConfigError, match="inside a qwen process"):
        auth.connect(environ=world.env, cwd=world.project, auth_type="local")


def test_an_endpoint_without_a_key_needs_no_auth(connect: Any) -> None:
    access = connect(env={"LLAMA_API_KEY": "", "LLAMA_API_BASE_URL": "http://127.0.0.1:9/v1"})
    assert access.auth is None


@pytest.mark.process
def test_the_exports_are_exact_and_imported_late() -> None:
    assert auth.__all__ == ["Access", "connect"]
    code = "import sys, qwen_code.auth; print([m for m in sys.modules if m.split('.')[0] in ('httpx', 'httpx2', 'openai')])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=20,
        env={"PYTHONPATH": ":".join(sys.path)},
        check=True,
    )
    assert done.stdout.strip() == "[]"
    with pytest.raises(AttributeError):
        auth.nothing  # noqa: B018
