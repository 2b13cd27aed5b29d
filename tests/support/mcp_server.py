"""A server of tools for the tests: ``python mcp_server.py [--http | FAULT]``.

FAULT: ``silent`` reads and says nothing, ``rubbish`` prints lines that are not the protocol, ``greeting``
prints a line before it is one, ``stubborn`` ignores every request to end.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from base64 import b64encode
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import anyio
import anyio.to_thread
from mcp.server.mcpserver import Context, Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import CallToolResult, ResourceLink, TextContent, ToolAnnotations

_PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)

server = MCPServer("tests")


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def add(a: int, b: int) -> str:
    """Add two numbers."""
    return str(a + b)


@server.tool()
def refuse() -> str:
    """Fail."""
    raise ToolError("it is Sunday")


@server.tool(structured_output=False)
def picture() -> list[object]:
    """A picture and a word."""
    return ["a dot", Image(data=_PIXEL, format="png")]


@server.tool()
def link() -> CallToolResult:
    """A place to read."""
    found = ResourceLink(name="notes", uri="file:///notes.txt", description="what was said")
    return CallToolResult(content=[found])


@server.tool()
def structured() -> CallToolResult:
    """No text, only data."""
    return CallToolResult(content=[], structured_content={"answer": 42})


@server.tool()
def long(characters: int) -> CallToolResult:
    """A long text."""
    return CallToolResult(content=[TextContent(text="x" * characters)])


@server.tool()
def variable(name: str) -> str:
    """A variable of the server's environment."""
    return os.environ.get(name, "(not set)")


@server.tool()
async def wait(seconds: float, note: str, context: Context) -> str:
    """Wait, say so, and leave a note where the waiting was cut short."""
    try:
        await context.report_progress(0, message="waiting")
        await anyio.sleep(seconds)
    except BaseException:
        Path(note).write_text("cancelled")  # noqa: ASYNC240 a cancelled task can await nothing
        raise
    return "waited"


@server.tool()
def spawn() -> str:
    """Leave a child behind, and tell its number."""
    child = subprocess.Popen(["sleep", "600"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return str(child.pid)


@server.tool()
def die() -> str:
    """End at once."""
    os._exit(3)


@server.tool()
async def grow(context: Context) -> str:
    """Offer one more tool."""
    server.add_tool(lambda: "new", name="new", description="A new one.")
    await context.notify_tools_changed()
    return "there is more now"


@server.resource("notes://today")
def today() -> str:
    """What is to be done."""
    return "nothing"


@server.prompt()
def greet(who: str) -> str:
    """Greet someone."""
    return f"Greet {who}."


def _serve_http() -> None:
    """On a free port, whose address is the first line of output; ``TOKEN`` is what it wants, or
    one that the authorization server ``ISSUER`` has given out. With ``INTROSPECTION`` (an address
    with user name and password), a token must be valid there, and for this server."""
    import uvicorn
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response
    from starlette.types import ASGIApp, Receive, Scope, Send

    listener = socket.create_server(("127.0.0.1", 0))
    app: ASGIApp = server.streamable_http_app()
    token = os.environ.get("TOKEN")
    issuer = os.environ.get("ISSUER")
    introspection = os.environ.get("INTROSPECTION")
    place = "/.well-known/oauth-protected-resource"
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
    metadata = f"{issuer}{place}"
    about = {"resource": url, "authorization_servers": [issuer], "scopes_supported": ["tools:read"]}

    def is_welcome(given: str) -> bool:
        if introspection is not None:
            return bool(given) and _is_for(url, given.removeprefix("Bearer "), introspection)
        if issuer is None:
            return token in (None, given.removeprefix("Bearer "))
        asked = urllib.request.Request(
            f"{issuer}/v1/chat/completions", b"{}", {"authorization": given}
        )
        try:
            return bool(urllib.request.urlopen(asked, timeout=5).status == 200)
        except urllib.error.HTTPError:
            return False

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            if introspection and scope["path"] == f"{place}/mcp":
                await JSONResponse(about)(scope, receive, send)
                return
            given = Request(scope).headers.get("authorization", "")
            if not await anyio.to_thread.run_sync(is_welcome, given):
                named = "" if introspection else f' resource_metadata="{metadata}"'
                challenge = {"www-authenticate": f"Bearer{named}"}
                await Response("who are you?", 401, challenge)(scope, receive, send)
                return
        await app(scope, receive, send)

    os.write(1, f"{url}\n".encode())
    config = uvicorn.Config(guarded, log_level="warning")
    uvicorn.Server(config).run(sockets=[listener])


def _is_for(url: str, token: str, introspection: str) -> bool:
    """Whether ``token`` is valid, and for ``url`` (RFC 7662 §2.2)."""
    parts = urlsplit(introspection)
    pair = b64encode(f"{parts.username}:{parts.password}".encode()).decode()
    asked = urllib.request.Request(
        parts._replace(netloc=f"{parts.hostname}:{parts.port}").geturl(),
        urlencode({"token": token}).encode(),
        {"authorization": f"Basic {pair}"},
    )
    with urllib.request.urlopen(asked, timeout=5) as response:
        answer = json.loads(response.read())
    return bool(answer["active"] and answer.get("aud") == url)


def _misbehave(fault: str) -> None:
    if fault == "silent":
        while sys.stdin.read(1):
            pass
    elif fault == "rubbish":
        while True:
            os.write(1, b"hello?\n")
    elif fault == "greeting":
        os.write(1, b"Welcome!\n")
    elif fault == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            signal.pause()


if __name__ == "__main__":
    if sys.argv[1:] == ["--http"]:
        _serve_http()
    else:
        os.write(2, b"the server starts\n")
        _misbehave(sys.argv[1] if sys.argv[1:] else "")
        server.run()
