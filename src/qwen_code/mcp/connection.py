"""One server from its start to its end, in the event loop. Its failures raise no exceptions."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import Implementation

from qwen_code.base.errors import QwenError
from qwen_code.base.http import Network
from qwen_code.base.log import debug
from qwen_code.base.secret import redact
from qwen_code.mcp.remote import RemoteAuth, TokenFor, make_http_client
from qwen_code.mcp.servers import ServerSpec, expand
from qwen_code.mcp.stdio import Process, open_log
from qwen_code.mcp.tool import ListedTool
from qwen_code.tools.errors import ToolFailed

_MAX_PAGES = 50
_MAX_TOOLS = 500

# The package would log problems of servers to the terminal.
for _name in ("mcp", "client", "asyncio"):
    logging.getLogger(_name).addHandler(logging.NullHandler())


class ServerContext(msgspec.Struct, frozen=True):
    """What all servers of a session share."""

    environ: Mapping[str, str]
    variables: Mapping[str, str]
    cwd: Path
    logs_dir: Path
    network: Network
    token_for: TokenFor
    version: str
    start_timeout_s: float


class ServerConnection:
    """The connection to one server. ``started`` has its tools, or the reason why it failed."""

    def __init__(self, spec: ServerSpec, context: ServerContext) -> None:
        self.spec = spec
        self.started: Future[list[ListedTool] | str] = Future()
        self.failure: str | None = None
        self.process: Process | None = None
        self._context = context
        self._auth: RemoteAuth | None = None
        self._client: Client | None = None

    async def serve(self) -> None:
        """Start the server, and return when it ends. Cancel the task to end it."""
        try:
            async with AsyncExitStack() as stack:
                async with asyncio.timeout(self._context.start_timeout_s):
                    transport = await self._transport(stack)
                    client = await stack.enter_async_context(
                        Client(
                            transport,
                            client_info=Implementation(name="qwen", version=self._context.version),
                            cache=None,
                        )
                    )
                    listed = await _list_tools(client)
                self._client = client
                self.started.set_result([each for each in listed if self.spec.allows(each.name)])
                await self._until_it_ends()
        except asyncio.CancelledError:
            self.failure = self.failure or "it was stopped"
            raise
        except Exception as error:  # noqa: BLE001 one server must not affect the others
            debug("mcp server failed", server=self.spec.name, error=repr(error))
            self.failure = self._reason(error)
        finally:
            self._client = None
            if not self.started.done():
                self.started.set_result(self.failure or "it ended")

    async def call(
        self, tool: str, arguments: dict[str, Any], said: Callable[[str], None]
    ) -> dict[str, Any]:
        """The result of a call as JSON data; ``said`` is called with progress messages.

        Raises:
            ToolFailed: the server did not answer.
        """
        client, limit_s = self._client, self.spec.timeout_ms / 1000

        async def tell(progress: float, total: float | None, message: str | None) -> None:  # noqa: ARG001 required by the package
            if message:
                said(f"{message}\n")

        if client is None:
            raise ToolFailed(self.gone)
        try:
            async with asyncio.timeout(limit_s):
                answer = await client.call_tool(tool, arguments, progress_callback=tell)
        except TimeoutError as error:
            raise ToolFailed(
                f"the MCP server {self.spec.name} did not answer within {limit_s:g} s"
            ) from error
        except Exception as error:
            if self.process is not None and self.process.ended.is_set():
                raise ToolFailed(self.gone) from error
            raise ToolFailed(f"the MCP server {self.spec.name}: {self._reason(error)}") from error
        return answer.model_dump(mode="json", by_alias=True, exclude_none=True)

    @property
    def gone(self) -> str:
        """The message for a call to a server that has ended."""
        reason = self.failure or (self.process.reason if self.process else "it ended")
        return f"the MCP server {self.spec.name} can no longer be used: {reason}"

    @property
    def _log_file(self) -> Path:
        return self._context.logs_dir / f"mcp-{self.spec.name}.log"

    async def _transport(self, stack: AsyncExitStack) -> Any:
        spec, context = expand(self.spec, self._context.variables), self._context
        if spec.url is None:
            log = stack.enter_context(open_log(self._log_file))
            self.process = Process(spec, context.environ, context.cwd, log)
            return self.process.connect()
        self._auth = RemoteAuth(spec, context.token_for)
        http = make_http_client(spec, context.network, self._auth, f"qwen-code/{context.version}")
        await stack.enter_async_context(http)
        return streamable_http_client(spec.url, http_client=http)

    async def _until_it_ends(self) -> None:
        if self.process is None:
            await asyncio.Event().wait()  # a remote server has no process that could end
        else:
            await self.process.ended.wait()
            self.failure = self.process.reason

    def _reason(self, error: BaseException) -> str:
        if self._auth is not None and self._auth.challenge is not None:
            return f"it requires a sign-in; run: qwen mcp login {self.spec.name}"
        if self.process is not None and self.process.ended.is_set():
            return f"{self.process.reason}; its error output is in {self._log_file}"
        return _in_words(error, self._context.start_timeout_s)


async def _list_tools(client: Client) -> list[ListedTool]:
    listed: list[ListedTool] = []
    cursor: str | None = None
    for _ in range(_MAX_PAGES):
        page = await client.list_tools(cursor=cursor)
        listed += [
            ListedTool(
                tool.name,
                tool.description or "",
                tool.input_schema,
                bool(tool.annotations and tool.annotations.read_only_hint),
            )
            for tool in page.tools
        ]
        cursor = page.next_cursor
        if cursor is None or len(listed) >= _MAX_TOOLS:
            break
    return listed[:_MAX_TOOLS]


def _in_words(error: BaseException, limit_s: float) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, QwenError):
        return error.message
    if isinstance(error, TimeoutError):
        return f"it did not answer within {limit_s:g} s"
    if isinstance(error, FileNotFoundError):
        return f"{error.filename} was not found"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}{f': {error.filename}' if error.filename else ''}"
    text = redact(" ".join(str(error).split()))
    return (text or type(error).__name__)[:300]
