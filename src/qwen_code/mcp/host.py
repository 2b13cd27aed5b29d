"""One server of a session, for the threads that use it: blocking calls into the event loop."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol

from qwen_code.base.stop import Stop, take
from qwen_code.mcp.content import read_answer, read_contents, read_prompt
from qwen_code.mcp.offers import ListedPrompt, ListedResource, ListedTool
from qwen_code.mcp.servers import ServerSpec
from qwen_code.tools.base import Result
from qwen_code.tools.errors import ToolFailed

if TYPE_CHECKING:
    import asyncio

    from qwen_code.mcp.connection import ServerConnection
    from qwen_code.mcp.elicitation import Answer, Elicitation, RunningCall

_SLACK_S = 5.0
"""How often a waiting thread looks whether the event loop is still there."""

AskPerson = Callable[["Elicitation", Stop], "Answer"]
"""Puts a server's question to the person, and waits for the answer."""


class Session(Protocol):
    """What a server knows of the session that it is in."""

    broken: str | None
    """Why no server can be used, if none can."""

    ask: AskPerson | None

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop of the servers; ``None`` after it has ended."""

    def tell(self) -> None:
        """Report what the user does not know yet of the servers."""


class Host:
    """One server of a ``session``."""

    def __init__(self, spec: ServerSpec, session: Session) -> None:
        self.spec = spec
        self.connection: ServerConnection | None = None
        self.was_told = False
        self._session = session

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def failure(self) -> str | None:
        """Why it cannot be used; ``None`` if it can, or is starting."""
        if self.connection is None:
            return self._session.broken
        return self.connection.failure or self._session.broken

    @property
    def generation(self) -> int:
        """Changes with what it offers."""
        return -1 if self.connection is None or self.failure else self.connection.lists.generation

    @property
    def is_stale(self) -> bool:
        """Whether its lists are being fetched again."""
        return self.connection is not None and self.connection.lists.is_stale

    @property
    def instructions(self) -> str:
        """What it tells models about itself."""
        return self.connection.instructions if self.connection and not self.failure else ""

    @property
    def _usable(self) -> ServerConnection | None:
        """The connection, if it has started and can be used."""
        connection = self.connection
        if connection is None or connection.failure or not connection.started.done():
            return None
        return connection

    def tools(self) -> list[ListedTool]:
        """Its tools; empty if it cannot be used."""
        return self._usable.lists.tools if self._usable else []

    def take_news(self) -> list[str]:
        """What the user has not been told yet."""
        news = self.connection.news if self.connection else []
        taken = [*news]
        del news[: len(taken)]
        return taken

    @property
    def prompts(self) -> list[ListedPrompt]:
        """Its prompts; empty if it cannot be used."""
        return self._usable.lists.prompts if self._usable else []

    @property
    def resources(self) -> list[ListedResource]:
        """Its resources; empty if it cannot be used."""
        return self._usable.lists.resources if self._usable else []

    def call(
        self, tool: str, arguments: dict[str, Any], show: Callable[[str], None], stop: Stop
    ) -> Result:
        """Call a tool and wait for the result; see :class:`qwen_code.mcp.tool.Caller`."""
        return read_answer(self._use(lambda c, call: c.call(tool, arguments, call), show, stop))

    def read(self, uri: str, show: Callable[[str], None], stop: Stop) -> Result:
        """Read a resource; see :class:`qwen_code.mcp.tool.Caller`."""
        return read_contents(self._use(lambda c, call: c.read(uri, call), show, stop))

    def prompt(self, name: str, arguments: dict[str, str], stop: Stop) -> str:
        """The text of a prompt.

        Raises:
            ToolFailed: the server has not given it.
        """
        answer = self._use(lambda c, call: c.prompt(name, arguments, call), lambda _: None, stop)
        return read_prompt(answer)

    def _use(
        self,
        use: Callable[[ServerConnection, RunningCall], Coroutine[Any, Any, Any]],
        show: Callable[[str], None],
        stop: Stop,
    ) -> Any:
        """Wait for what the event loop does with the connection. The person's questions are asked
        on this thread.

        Raises:
            ToolFailed: it did not succeed.
            Stopped: ``stop`` was set meanwhile; the server is notified.
        """
        import asyncio

        from qwen_code.mcp.elicitation import RunningCall

        self._session.tell()
        loop, connection = self._session.loop, self.connection
        if loop is None or connection is None:
            reason = self.failure or "it has been stopped"
            raise ToolFailed(f"the MCP server {self.name} can no longer be used: {reason}")
        inbox: SimpleQueue[str | tuple[Elicitation, Future[Answer]] | None] = SimpleQueue()

        def ask(question: Elicitation) -> Future[Answer]:
            answer: Future[Answer] = Future()
            inbox.put((question, answer))
            return answer

        async def used() -> Any:
            limit_s = self.spec.timeout_ms / 1000
            return await use(connection, RunningCall(limit_s, inbox.put, ask))

        result = asyncio.run_coroutine_threadsafe(used(), loop)
        result.add_done_callback(lambda _: inbox.put(None))
        try:
            with stop.calling(lambda: inbox.put(None)):
                while (said := self._next(inbox)) is not None:
                    if isinstance(said, str):
                        show(said)
                    else:
                        self._put(said[0], said[1], stop)
            stop.check()
            if not result.done():
                raise ToolFailed(f"the MCP server {self.name} has been stopped")
            return result.result()
        except CancelledError:
            raise ToolFailed(f"the MCP server {self.name} has been stopped") from None
        finally:
            result.cancel()  # if it is not done, the server is notified
            self._session.tell()

    def _next(self, inbox: SimpleQueue[Any]) -> Any:
        """The next item; ``None`` if the event loop has ended."""
        while self._session.loop is not None:
            with suppress(Empty):
                return take(inbox, _SLACK_S)
        return None

    def _put(self, question: Elicitation, answer: Future[Answer], stop: Stop) -> None:
        """Put a question of the server to the person."""
        from qwen_code.mcp.elicitation import Answer

        given = Answer("cancel")
        try:
            if self._session.ask is not None:
                given = self._session.ask(question, stop)
        finally:
            with suppress(InvalidStateError):  # the server has given up meanwhile
                answer.set_result(given)
