"""One server from its start to its end, in the event loop. Its failures raise no exceptions."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import IO, Any, TypeVar
from urllib.parse import quote

from mcp.client import Client
from mcp.client.session import ClientRequestContext
from mcp.shared.exceptions import MCPError, UrlElicitationRequiredError
from mcp.types import (
    CONNECTION_CLOSED,
    URL_ELICITATION_REQUIRED,
    ElicitCompleteNotification,
    ElicitRequestURLParams,
    ElicitResult,
    Implementation,
    ListRootsResult,
)

from qwen_code.base.errors import QwenError
from qwen_code.base.log import debug
from qwen_code.base.secret import redact
from qwen_code.mcp.context import ServerContext
from qwen_code.mcp.elicitation import Answer, Elicitation, RunningCall
from qwen_code.mcp.embedded import embedded
from qwen_code.mcp.lists import Lists
from qwen_code.mcp.remote import RemoteAuth
from qwen_code.mcp.servers import ServerSpec, expand
from qwen_code.mcp.stdio import Process, open_log
from qwen_code.mcp.streams import tolerant
from qwen_code.mcp.transports import HttpWatch, Transport, open_http, over_sse, streamable
from qwen_code.tools.errors import ToolFailed

T = TypeVar("T")

_MAX_RESTARTS = 3
_SAYS_NOTHING = ("Server returned an error response", "Not Found", "Session terminated")
"""What the package says where the HTTP answer tells more."""

# The package would log problems of servers to the terminal.
for _name in ("mcp", "client", "asyncio"):
    logging.getLogger(_name).addHandler(logging.NullHandler())


class ServerConnection:
    """The connection to one server. ``started`` is done when it can be used, or has failed.

    A server that ends, or forgets its session, is started again when it is next used.
    """

    def __init__(self, spec: ServerSpec, context: ServerContext) -> None:
        self.spec = spec
        self.started: Future[None] = Future()
        self.failure: str | None = None
        """Why it can no longer be used."""
        self.news: list[str] = []
        """What the user has not been told yet."""
        self.process: Process | None = None
        self.lists = Lists(spec, self.news)
        self.instructions = ""
        self._context = context
        self._auth: RemoteAuth | None = None
        self._watch = HttpWatch()
        self._client: Client | None = None
        self._wanted = asyncio.Event()
        self._is_up = asyncio.Event()
        self._is_over = asyncio.Event()
        self._restarts = 0
        self._mode = "auto"
        self._finished: dict[str, asyncio.Event] = {}
        """What the person does at addresses of the server, by its own ids."""
        self._left_out: set[str] = set()
        self._calls: list[RunningCall] = []
        self._last_reason = ""

    async def serve(self) -> None:
        """Keep the server usable until it fails for good. Cancel the task to end it."""
        try:
            while True:
                await self._one_session()
                if not self._may_start_again():
                    return
                await self._wanted.wait()
                self._restarts += 1
        finally:
            self._client = None
            self.failure = self.failure or "it was stopped"
            self._is_up.set()  # those who wait for it learn of the failure
            if not self.started.done():
                self.started.set_result(None)

    async def call(self, tool: str, arguments: dict[str, Any], call: RunningCall) -> dict[str, Any]:
        """The result of ``tools/call`` as JSON data.

        Raises:
            ToolFailed: the server did not answer.
        """

        async def made(client: Client) -> Any:
            return await client.call_tool(tool, arguments, progress_callback=call.progress)

        return _as_json(await self._use(made, call))

    async def read(self, uri: str, call: RunningCall) -> dict[str, Any]:
        """The result of ``resources/read`` as JSON data.

        Raises:
            ToolFailed: the server did not answer, or has no such resource.
        """
        return _as_json(await self._use(lambda client: client.read_resource(uri), call))

    async def prompt(
        self, name: str, arguments: dict[str, str], call: RunningCall
    ) -> dict[str, Any]:
        """The result of ``prompts/get`` as JSON data.

        Raises:
            ToolFailed: the server did not answer, or has no such prompt.
        """
        return _as_json(await self._use(lambda client: client.get_prompt(name, arguments), call))

    @property
    def gone(self) -> str:
        """The message for a call to a server that has ended."""
        reason = self.failure or self._last_reason
        longer = "can no longer" if self.failure else "cannot"
        return f"the MCP server {self.spec.name} {longer} be used: {reason}"

    # -- a session --------------------------------------------------------------------------------

    async def _one_session(self) -> None:
        self._wanted.clear()
        self._is_over.clear()
        self._last_reason = ""
        try:
            async with AsyncExitStack() as stack:
                async with asyncio.timeout(self._context.start_timeout_s):
                    client = await self._opened(stack)
                    following = asyncio.create_task(self.lists.follow(client))
                    stack.push_async_callback(_ended, following)
                    await self.lists.fetch(client)
                self.instructions = client.instructions or ""
                self._client = client
                self._is_up.set()
                if not self.started.done():
                    self.started.set_result(None)
                await self._is_over.wait()
                self._last_reason = self.process.reason if self.process else "its session ended"
        except Exception as error:  # noqa: BLE001 one server must not affect the others
            debug("mcp server failed", server=self.spec.name, error=repr(error))
            self._last_reason = self._reason(error)
        has_started = self._client is not None
        self._client = None
        if not self.started.done() or not self._may_start_again():
            self.failure = self._last_reason
        elif has_started:
            self._is_up.clear()
            if self.process is not None:
                self.news.append(f"{self._last_reason}; it is started again when it is next used")
        else:
            self._is_up.set()  # those who wait for it learn that it did not start

    def _may_start_again(self) -> bool:
        return (
            self.failure is None
            and self._restarts < _MAX_RESTARTS
            and self._context.may_restart(self.spec)
        )

    async def _opened(self, stack: AsyncExitStack) -> Client:
        """A client of the server, over the transport that it speaks."""
        spec, context = expand(self.spec, self._context.variables), self._context
        if spec.transport == "embedded":
            assert context.exchange is not None
            return await self._connected(stack, embedded(spec.name, context.exchange))
        if spec.command is not None:
            log = stack.enter_context(open_log(self._log_file))
            try:
                return await self._started(spec, log, stack)
            except Exception:
                if self._mode == "legacy" or not (self.process and self.process.ended.is_set()):
                    raise
            # Some servers end when they are asked anything before `initialize`.
            self._mode = "legacy"
            return await self._started(spec, log, stack)
        self._auth, self._watch = RemoteAuth(spec, context.token_for), HttpWatch()
        stack.push_async_callback(_ended, asyncio.create_task(self._end_with_session(self._watch)))
        if spec.transport == "sse":
            return await self._connected(stack, over_sse(await self._http(spec, stack), spec))
        try:
            async with AsyncExitStack() as attempt:
                http = await self._http(spec, attempt)
                client = await self._connected(attempt, streamable(http, spec))
                stack.push_async_exit(attempt.pop_all())
                return client
        except Exception:
            if spec.transport == "http" or not self._watch.speaks_other_transport:
                raise
        return await self._connected(stack, over_sse(await self._http(spec, stack), spec))

    async def _started(self, spec: ServerSpec, log: IO[bytes], stack: AsyncExitStack) -> Client:
        """A client of a new process."""
        context = self._context
        async with AsyncExitStack() as attempt:
            self.process = process = Process(spec, context.environ, context.cwd, log)
            ending = asyncio.create_task(self._end_with(process))
            attempt.push_async_callback(_ended, ending)
            client = await self._connected(attempt, process.connect())
            stack.push_async_exit(attempt.pop_all())
        self._is_over.clear()  # an attempt before this one may have ended
        return client

    async def _http(self, spec: ServerSpec, stack: AsyncExitStack) -> Any:
        assert self._auth is not None
        context = self._context
        agent = f"qwen-code/{context.version}"
        return await open_http(
            spec, stack, self._auth, self._watch, network=context.network, user_agent=agent
        )

    async def _connected(self, stack: AsyncExitStack, transport: Transport) -> Client:
        context = self._context
        return await stack.enter_async_context(
            Client(
                tolerant(transport, self._leave_out),
                client_info=Implementation(name="qwen", version=context.version),
                mode=self._mode,
                cache=None,
                message_handler=self._note,
                list_roots_callback=self._roots,
                elicitation_callback=self._elicit if context.is_attended else None,
            )
        )

    async def _end_with(self, process: Process) -> None:
        await process.ended.wait()
        self._is_over.set()

    async def _end_with_session(self, watch: HttpWatch) -> None:
        await watch.is_session_lost.wait()
        self._is_over.set()

    # -- what it is asked -------------------------------------------------------------------------

    async def _use(self, ask: Callable[[Client], Awaitable[T]], call: RunningCall) -> T:
        for is_last in (False, True):
            client = await self._running()
            self._calls.append(call)
            try:
                async with call.limited():
                    answer = await self._asked(ask, client, call)
                self._restarts = 0
                return answer
            except TimeoutError as error:
                raise ToolFailed(
                    f"the MCP server {self.spec.name} did not answer within {call.limit_s:g} s"
                ) from error
            except ToolFailed:
                raise
            except Exception as error:
                if self._watch.is_session_lost.is_set() and not is_last:
                    continue  # it has executed nothing, and must be asked in a new session
                if getattr(error, "code", None) == CONNECTION_CLOSED:
                    self._is_over.set()
                reason = self._reason(error)
                raise ToolFailed(f"the MCP server {self.spec.name}: {reason}") from error
            finally:
                self._calls.remove(call)
        raise AssertionError("unreachable")

    async def _asked(
        self, ask: Callable[[Client], Awaitable[T]], client: Client, call: RunningCall
    ) -> T:
        """The answer; where the server first wants the person to visit addresses, after that."""
        try:
            return await ask(client)
        except MCPError as error:
            if error.code != URL_ELICITATION_REQUIRED:
                raise
            required = UrlElicitationRequiredError.from_error(error.error).elicitations
        for params in required:
            finished = self._finished.setdefault(params.elicitation_id or "", asyncio.Event())
            if (await self._answered(params, call)).action != "accept":
                raise ToolFailed(f"the user did not want to visit {params.url}, which is required")
            with suppress(TimeoutError):
                await asyncio.wait_for(finished.wait(), call.limit_s / 2)
        return await ask(client)

    async def _running(self) -> Client:
        """The client; starts the server again where it has ended.

        Raises:
            ToolFailed: it can no longer be used.
        """
        if self.failure is None and (self._client is None or self._is_over.is_set()):
            self._is_up.clear()
            self._wanted.set()
            await self._is_up.wait()
        if self._client is None:
            raise ToolFailed(self.gone)
        return self._client

    # -- what it asks -----------------------------------------------------------------------------

    async def _roots(self, context: ClientRequestContext) -> ListRootsResult:
        roots = [{"uri": root.as_uri(), "name": root.name} for root in self._context.roots]
        return ListRootsResult.model_validate({"roots": roots})

    async def _elicit(self, context: ClientRequestContext, params: Any) -> ElicitResult:
        if not self._calls:
            return ElicitResult(action="cancel")  # no turn is running: there is no one to ask
        answer = await self._answered(params, self._calls[-1])
        return ElicitResult(action=answer.action, content=answer.content)

    async def _answered(self, params: Any, call: RunningCall) -> Answer:
        """What the person does with a question that came during ``call``."""
        is_url = isinstance(params, ElicitRequestURLParams)
        question = Elicitation(
            self.spec.name,
            params.message,
            None if is_url else params.requested_schema,
            params.url if is_url else "",
        )
        with call.paused():
            return await asyncio.wrap_future(call.ask(question))

    async def _note(self, message: Any) -> None:
        if isinstance(message, ElicitCompleteNotification):
            finished = self._finished.get(message.params.elicitation_id)
            if finished is not None:
                finished.set()
        else:
            await self.lists.note(message)

    def _leave_out(self, what: str) -> None:
        line = f"left out: {what}"
        if line not in self._left_out:
            self._left_out.add(line)
            self.news.append(line)

    # -- words ------------------------------------------------------------------------------------

    @property
    def _log_file(self) -> Path:
        return self._context.logs_dir / f"mcp-{quote(self.spec.name, safe=' ')}.log"

    def _reason(self, error: BaseException) -> str:
        if self._auth is not None and self._auth.refusal is not None:
            return self._auth.refusal
        if self.process is not None and self.process.ended.is_set():
            return f"{self.process.reason}; its error output is in {self._log_file}"
        said = _in_words(error, self._context.start_timeout_s)
        if self._watch.refusal and said in _SAYS_NOTHING:
            return redact(self._watch.refusal)
        return said


def _as_json(answer: Any) -> dict[str, Any]:
    dumped: dict[str, Any] = answer.model_dump(mode="json", by_alias=True, exclude_none=True)
    return dumped


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


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
