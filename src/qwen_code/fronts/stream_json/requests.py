"""Our requests to the program: permission for calls, and messages to its own servers of tools.

Each is one line, and is answered by one. Several can be open at once, from any thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

from qwen_code.base.errors import QwenError
from qwen_code.base.ids import new_uuid
from qwen_code.base.stop import Stop, take
from qwen_code.fronts.stream_json.stream_input import Reply

Settle = Callable[[Reply | None], object]
"""Gets the reply; ``None`` when the program has closed its input."""

CLOSED = "the program has closed its input"


class Requests:
    """The open requests. ``write`` writes one message as a line."""

    def __init__(self, write: Callable[[Mapping[str, Any]], None]) -> None:
        self._write = write
        self._waiting: dict[str, Settle] = {}
        self._has_ended = False

    def ask(
        self, request: Mapping[str, Any], stop: Stop, within_s: float | None = None
    ) -> Reply | None:
        """Wait for the reply to ``request``; ``None`` if the input ends first.

        A reply that does not come in time is an error.

        Raises:
            Stopped: ``stop`` was set; the program is told that the reply is no longer wanted.
        """
        replies: SimpleQueue[Reply | None] = SimpleQueue()
        request_id = self.send(request, replies.put)
        try:
            with stop.calling(lambda: replies.put(None)):
                reply = take(replies, within_s)
            stop.check()
            return reply
        except Empty:
            return Reply(request_id, error=f"the program did not answer within {within_s:g} s")
        finally:
            self._give_up(request_id)

    def exchange(self, server: str, message: Mapping[str, Any]) -> Future[Mapping[str, Any]]:
        """Hand a message to a server of the program; see `qwen_code.mcp.embedded.Exchange`."""
        answer: Future[Mapping[str, Any]] = Future()

        def settle(reply: Reply | None) -> None:
            with suppress(InvalidStateError):  # cancelled
                try:
                    answer.set_result(_server_message(reply))
                except QwenError as error:
                    answer.set_exception(error)

        request = {"subtype": "mcp_message", "server_name": server, "message": message}
        try:
            request_id = self.send(request, settle)
        except OSError as error:
            answer.set_exception(QwenError(f"the program cannot be reached: {error.strerror}"))
        else:
            answer.add_done_callback(lambda _: self._give_up(request_id))
        return answer

    def settle(self, reply: Reply) -> bool:
        """Take a reply; whether it is for an open request. One that does not name its request is
        for all that are open, and one to an unknown request is for none."""
        names = list(self._waiting) if reply.request_id is None else [reply.request_id]
        found = [settle for name in names if (settle := self._waiting.pop(name, None)) is not None]
        for settle in found:
            settle(reply)
        return bool(found)

    def end(self) -> None:
        """The input has ended: no reply will come."""
        self._has_ended = True
        while self._waiting:
            self._waiting.popitem()[1](None)

    def send(self, request: Mapping[str, Any], settle: Settle) -> str:
        """Write a request, and return its id; ``settle`` gets the reply on the thread that reads
        it."""
        request_id = new_uuid()
        self._waiting[request_id] = settle
        if self._has_ended:
            self.end()
        else:
            self._write({"type": "control_request", "request_id": request_id, "request": request})
        return request_id

    def withdraw(self, request_id: str) -> bool:
        """Take no reply to the request any more; whether none has come."""
        return self._waiting.pop(request_id, None) is not None

    def _give_up(self, request_id: str) -> None:
        """Tell the program that the reply is no longer wanted, unless it has come."""
        if self.withdraw(request_id) and not self._has_ended:
            with suppress(OSError):
                self._write({"type": "control_cancel_request", "request_id": request_id})


def _server_message(reply: Reply | None) -> Mapping[str, Any]:
    """
    Raises:
        QwenError: the reply has no message of a server.
    """
    if reply is None:
        raise QwenError(CLOSED)
    if reply.error:
        raise QwenError(reply.error)
    message = (reply.response or {}).get("mcp_response")
    if not isinstance(message, Mapping):
        raise QwenError("the program's answer has no mcp_response")
    return message
