"""The servers of a session: started together, used from any thread, and always ended.

They run in one thread with one event loop; the rest of this program has no event loop. Their
problems are reported in the thread that uses them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

import msgspec

from qwen_code.base.errors import ConfigError
from qwen_code.base.stop import Stop
from qwen_code.mcp.context import ServerContext
from qwen_code.mcp.host import AskPerson, Host
from qwen_code.mcp.offers import ListedPrompt, ListedResource
from qwen_code.mcp.servers import ServerSpec
from qwen_code.mcp.tool import READ_RESOURCE, McpTool, ResourceTool, make_readers, make_tools
from qwen_code.tools.base import Result
from qwen_code.tools.errors import ToolFailed

if TYPE_CHECKING:
    import asyncio


_CLOSE_S = 1.7
_SLACK_S = 5.0
_POLL_S = 0.05
_PATIENCE_S = 3.0
_RELIST_S = 5.0
"""How long a request waits for tools that have just changed."""


class ServerState(msgspec.Struct, frozen=True):
    """The state of a server. ``reason`` is set if it cannot be used."""

    name: str
    tools: int
    reason: str | None = None


def is_installed() -> bool:
    """Whether version 2 of the package ``mcp`` is installed."""
    from importlib.util import find_spec

    return find_spec("mcp") is not None and find_spec("mcp_types") is not None


class Servers:
    """The servers of a session. Close it, or use it as a context manager.

    ``say`` is called with problems, in the thread that lists or calls tools. ``ask`` puts what a
    server asks to the person, in the thread that waits for the server; without it, servers are told
    that no person is there.

    Raises:
        ConfigError: the package ``mcp`` is not installed.
    """

    def __init__(
        self,
        specs: Sequence[ServerSpec],
        context: ServerContext,
        say: Callable[[str], None],
        *,
        ask: AskPerson | None = None,
    ) -> None:
        if specs and not is_installed():
            raise ConfigError(
                "MCP servers need the package mcp, version 2, which is not installed",
                hint='Install it: pip install "qwen-code[mcp]"',
            )
        self._say = say
        self.ask = ask
        self._hosts = [Host(spec, self) for spec in specs]
        self._context = msgspec.structs.replace(context, is_attended=ask is not None)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._end: asyncio.Event | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mcp", daemon=True)
        self._is_open = bool(specs)
        self._made: tuple[list[int], list[McpTool | ResourceTool]] = ([], [])
        self.broken: str | None = None
        """Why no server can be used, if none can."""
        if specs:
            self._thread.start()

    def tools(self, stop: Stop | None = None) -> list[McpTool | ResourceTool]:
        """The tools of all running servers; waits until each has started or failed, and for lists
        that have just changed.

        Raises:
            Stopped: ``stop`` was set meanwhile.
        """
        if not self._is_open:
            return []
        self._wait_for_lists(stop or Stop())
        self.tell()
        generations = [host.generation for host in self._hosts]
        if generations != self._made[0]:
            self._made = generations, self._make()
        return self._made[1]

    def states(self) -> list[ServerState]:
        """The current state of each server."""
        return [ServerState(h.name, len(h.tools()), h.failure) for h in self._hosts]

    def instructions(self) -> dict[str, str]:
        """What servers tell models about themselves, by their names."""
        return {host.name: host.instructions for host in self._hosts if host.instructions}

    def prompts(self) -> dict[str, list[ListedPrompt]]:
        """The prompts that the servers offer, by server."""
        return {host.name: host.prompts for host in self._hosts if host.prompts}

    def resources(self) -> dict[str, list[ListedResource]]:
        """The resources that the servers offer, by server."""
        return {host.name: host.resources for host in self._hosts if host.resources}

    def prompt(self, server: str, name: str, arguments: dict[str, str], stop: Stop) -> str:
        """The text of a prompt.

        Raises:
            ToolFailed: there is no such server, or it has not given the prompt.
        """
        return self._host(server).prompt(name, arguments, stop)

    def read(self, server: str, uri: str, stop: Stop) -> Result:
        """What a resource holds.

        Raises:
            ToolFailed: there is no such server, or it has not given the resource.
        """
        return self._host(server).read(uri, lambda _: None, stop)

    def reconnect(self, stop: Stop) -> None:
        """Start the servers again that cannot be used, and wait for them.

        Raises:
            Stopped: ``stop`` was set meanwhile.
        """
        import asyncio

        failed = [host for host in self._hosts if host.failure is not None]
        loop = self.loop
        if loop is None or not failed:
            return
        asyncio.run_coroutine_threadsafe(self._begin(failed), loop).result(_SLACK_S)
        self._wait_for_starts(stop)
        self.tell()

    def tell(self) -> None:
        """Report what the user does not know yet of the servers."""
        for host in self._hosts:
            for line in host.take_news():
                if self._is_open:
                    self._say(f"the MCP server {host.name}: {line}")
            if host.failure is not None and not host.was_told and self._is_open:
                host.was_told = True
                self._say(f"the MCP server {host.name} cannot be used: {host.failure}")

    def close(self, *, within_s: float = _CLOSE_S) -> None:
        """End all servers and their child processes; after ``within_s`` they are killed."""
        if not self._is_open:
            return
        self._is_open = False
        deadline = time.monotonic() + within_s
        self._ready.wait(within_s)
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has already ended
                self._loop.call_soon_threadsafe(self._cancel)
        self._thread.join(max(0.0, deadline - time.monotonic()))
        for host in self._hosts:
            if host.connection and host.connection.process:
                host.connection.process.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop of the servers; ``None`` after it has ended."""
        return self._loop if self._is_open and self._thread.is_alive() else None

    def _make(self) -> list[McpTool | ResourceTool]:
        listed = [(host, tool, host.spec.trust) for host in self._hosts for tool in host.tools()]
        readers = [
            host for host in self._hosts if host.resources and host.spec.allows(READ_RESOURCE)
        ]
        tools = make_tools(listed)
        return [*tools, *make_readers([(host, host.spec.trust) for host in readers], tools)]

    def _host(self, name: str) -> Host:
        found = next((host for host in self._hosts if host.name == name), None)
        if found is None:
            raise ToolFailed(f"there is no MCP server {name}")
        return found

    def _wait_for_lists(self, stop: Stop) -> None:
        self._wait_for_starts(stop)
        deadline = time.monotonic() + _RELIST_S
        while any(host.is_stale for host in self._hosts) and time.monotonic() < deadline:
            stop.wait(0.01)

    def _wait_for_starts(self, stop: Stop) -> None:
        while not self._ready.wait(_POLL_S):  # while the package is being imported
            stop.check()
        starts = {h.connection.started: h.name for h in self._hosts if h.connection}
        waiting = _wait(starts, _PATIENCE_S, stop)
        if waiting:
            names = ", ".join(sorted(starts[start] for start in waiting))
            self._say(f"waiting for the MCP servers: {names}")
            _wait(waiting, self._context.start_timeout_s + _SLACK_S, stop)

    def _run(self) -> None:
        import asyncio  # needed only in sessions with servers

        try:
            with asyncio.Runner() as runner:
                runner.run(self._serve())
        except Exception as error:  # noqa: BLE001 a broken package must not end the session
            self.broken = f"{type(error).__name__}: {error}"
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        import asyncio

        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, _context: None)
        self._end = asyncio.Event()
        await self._begin(self._hosts)
        self._loop = loop
        self._ready.set()
        await self._end.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _begin(self, hosts: Sequence[Host]) -> None:
        import asyncio

        from qwen_code.mcp.connection import ServerConnection  # takes half a second

        for host in hosts:
            connection = host.connection = ServerConnection(host.spec, self._context)
            host.was_told = False
            self._tasks.append(asyncio.create_task(connection.serve()))

    def _cancel(self) -> None:
        if self._end is not None:
            self._end.set()


def _wait(starts: Iterable[Future[Any]], limit_s: float, stop: Stop) -> set[Future[Any]]:
    """The futures that are not done within ``limit_s``."""
    deadline = time.monotonic() + limit_s
    waiting = set(starts)
    while waiting and time.monotonic() < deadline:
        stop.check()
        waiting = wait(waiting, min(_POLL_S, limit_s)).not_done
    return waiting
