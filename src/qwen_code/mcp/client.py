"""The servers of a session: started together, called from any thread, and always ended.

They run in one thread with one event loop; the rest of this program has no event loop. Their
problems are reported in the thread that uses them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import CancelledError, Future, wait
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Self

import msgspec

from qwen_code.base.errors import ConfigError
from qwen_code.base.http import Network
from qwen_code.base.stop import Stop
from qwen_code.mcp.content import read_answer
from qwen_code.mcp.servers import ServerSpec
from qwen_code.mcp.tool import ListedTool, McpTool, make_tools
from qwen_code.tools.base import Result
from qwen_code.tools.errors import ToolFailed

if TYPE_CHECKING:
    import asyncio

    from qwen_code.mcp.connection import ServerConnection
    from qwen_code.mcp.remote import TokenFor

START_TIMEOUT_S = 30.0
_CLOSE_S = 1.7
_SLACK_S = 5.0
_POLL_S = 0.05
_PATIENCE_S = 3.0


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

    ``environ`` is the environment of server processes, and ``variables`` has the values of the
    ``$NAMES`` in definitions, which may be tokens for the servers; neither may hold our own
    credentials. ``say`` is called with problems, in the thread that lists or calls tools.

    Raises:
        ConfigError: the package ``mcp`` is not installed.
    """

    def __init__(
        self,
        specs: Sequence[ServerSpec],
        environ: Mapping[str, str],
        say: Callable[[str], None],
        cwd: Path,
        *,
        variables: Mapping[str, str],
        logs_dir: Path,
        version: str,
        network: Network | None = None,
        token_for: TokenFor = lambda _server, _refused: None,
        start_timeout_s: float = START_TIMEOUT_S,
    ) -> None:
        if specs and not is_installed():
            raise ConfigError(
                "MCP servers need the package mcp, version 2, which is not installed",
                hint='Install it: pip install "qwen-code[mcp]"',
            )
        self._say = say
        self._start_timeout_s = start_timeout_s
        self._hosts = [_Host(spec, self) for spec in specs]
        self._given = (environ, variables, cwd, logs_dir, network or Network(), token_for, version)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mcp", daemon=True)
        self._is_open = bool(specs)
        self.broken: str | None = None
        """Why no server can be used, if none can."""
        if specs:
            self._thread.start()

    def tools(self, stop: Stop | None = None) -> list[McpTool]:
        """The tools of all running servers; waits until each has started or failed.

        Raises:
            Stopped: ``stop`` was set meanwhile.
        """
        if not self._is_open:
            return []
        self._wait_for_starts(stop or Stop())
        self.tell()
        return make_tools(
            [(host, listed, host.spec.trust) for host in self._hosts for listed in host.tools()]
        )

    def states(self) -> list[ServerState]:
        """The current state of each server."""
        return [ServerState(h.name, len(h.tools()), h.failure) for h in self._hosts]

    def tell(self) -> None:
        """Report servers that have failed, each only once."""
        for host in self._hosts:
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

    def _wait_for_starts(self, stop: Stop) -> None:
        while not self._ready.wait(_POLL_S):  # while the package is being imported
            stop.check()
        starts = {h.connection.started: h.name for h in self._hosts if h.connection}
        waiting = _wait(starts, _PATIENCE_S, stop)
        if waiting:
            names = ", ".join(sorted(starts[start] for start in waiting))
            self._say(f"waiting for the MCP servers: {names}")
            _wait(waiting, self._start_timeout_s + _SLACK_S, stop)

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

        from qwen_code.mcp.connection import ServerConnection, ServerContext  # takes half a second

        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, _context: None)
        context = ServerContext(*self._given, self._start_timeout_s)
        for host in self._hosts:
            host.connection = ServerConnection(host.spec, context)
        self._loop = loop
        self._tasks = [loop.create_task(h.connection.serve()) for h in self._hosts if h.connection]
        self._ready.set()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()


def _wait(starts: Iterable[Future[Any]], limit_s: float, stop: Stop) -> set[Future[Any]]:
    """The futures that are not done within ``limit_s``."""
    deadline = time.monotonic() + limit_s
    waiting = set(starts)
    while waiting and time.monotonic() < deadline:
        stop.check()
        waiting = wait(waiting, min(_POLL_S, limit_s)).not_done
    return waiting


class _Host:
    """One server, for the other threads."""

    def __init__(self, spec: ServerSpec, servers: Servers) -> None:
        self.spec = spec
        self.connection: ServerConnection | None = None
        self.was_told = False
        self._servers = servers

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def failure(self) -> str | None:
        """Why it cannot be used; ``None`` if it can, or is starting."""
        if self.connection is None:
            return self._servers.broken
        return self.connection.failure or self._servers.broken

    def tools(self) -> list[ListedTool]:
        """Its tools; empty if it is not running."""
        connection = self.connection
        if connection is None or connection.failure or not connection.started.done():
            return []
        listed = connection.started.result()
        return listed if isinstance(listed, list) else []

    def call(
        self, tool: str, arguments: dict[str, Any], show: Callable[[str], None], stop: Stop
    ) -> Result:
        """Call a tool and wait for the result; see :class:`qwen_code.mcp.tool.Caller`."""
        import asyncio

        self._servers.tell()
        loop, connection = self._servers.loop, self.connection
        if loop is None or connection is None:
            reason = self.failure or "it has been stopped"
            raise ToolFailed(f"the MCP server {self.name} can no longer be used: {reason}")
        progress: SimpleQueue[str | None] = SimpleQueue()
        answer = asyncio.run_coroutine_threadsafe(
            connection.call(tool, arguments, progress.put), loop
        )
        deadline = time.monotonic() + self.spec.timeout_ms / 1000 + _SLACK_S
        answer.add_done_callback(lambda _: progress.put(None))
        try:
            with stop.calling(lambda: progress.put(None)), suppress(Empty):
                while (
                    said := progress.get(timeout=max(0.0, deadline - time.monotonic()))
                ) is not None:
                    show(said)
            stop.check()
            if not answer.done():
                raise ToolFailed(f"the MCP server {self.name} did not answer")
            return read_answer(answer.result())
        except CancelledError:
            raise ToolFailed(f"the MCP server {self.name} has been stopped") from None
        finally:
            answer.cancel()  # if it is not done, the server is notified
            self._servers.tell()
