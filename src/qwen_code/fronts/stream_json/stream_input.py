"""``--input-format stream-json``: a program at the other end, that writes one message a line.

It sends prompts, interrupts, and answers to "may this tool be called?". The shapes are those that
Node Qwen Code's SDK speaks::

    {"type": "user", "message": {"role": "user", "content": "…"}}
    {"type": "control_request", "request_id": "1", "request": {"subtype": "interrupt"}}
    {"type": "control_response", "response": {"request_id": "2", "response": {"behavior": "allow"}}}
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, BinaryIO

import msgspec

from qwen_code.base.errors import InputError
from qwen_code.base.stop import Stop

__all__ = ["Control", "Prompt", "Reply", "StreamInput", "parse_line"]

_MAX_LINE_BYTES = 8 << 20


class Prompt(msgspec.Struct, frozen=True):
    """Something to answer."""

    text: str


class Control(msgspec.Struct, frozen=True):
    """Something to do beside it: ``interrupt``, ``set_model``, ``set_permission_mode``, …"""

    request_id: str
    subtype: str
    request: dict[str, Any]


class Reply(msgspec.Struct, frozen=True):
    """The answer to a request of ours."""

    request_id: str
    response: dict[str, Any]


def parse_line(line: bytes) -> Prompt | Control | Reply | None:
    """What a line says; ``None`` where it is empty or of a kind that nobody needs to know.

    Raises:
        InputError: it is not a message.
    """
    if not line.strip():
        return None
    try:
        message = msgspec.json.decode(line)
        kind = message["type"]
        if kind == "user":
            return Prompt(_text(message["message"]["content"]))
        if kind == "control_request":
            request = dict(message["request"])
            return Control(str(message["request_id"]), str(request["subtype"]), request)
        if kind == "control_response":
            outer = message["response"]
            return Reply(str(outer["request_id"]), dict(outer.get("response") or {}))
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"a line of standard input is not a message: {error}",
            hint='Write {"type": "user", "message": {"role": "user", "content": "…"}}',
        ) from error
    return None


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content if part.get("type") == "text")


class StreamInput:
    """Reads lines on a thread of its own, so that an interrupt is heard while an answer comes.

    ``control`` is called on that thread, for interrupts too.
    """

    def __init__(self, source: BinaryIO, control: Callable[[Control], None]) -> None:
        self._source = source
        self._control = control
        self._prompts: SimpleQueue[Prompt | InputError | None] = SimpleQueue()
        self._replies: SimpleQueue[Reply | None] = SimpleQueue()
        self._has_ended = threading.Event()
        threading.Thread(target=self._read, name="stdin", daemon=True).start()

    def next_prompt(self) -> str | None:
        """The next prompt; ``None`` at the end of the input.

        Raises:
            InputError: a line was no message.
        """
        found = self._prompts.get()
        if isinstance(found, InputError):
            raise found
        return found.text if found else None

    def reply_to(self, request_id: str, stop: Stop) -> dict[str, Any] | None:
        """The answer to a request of ours; ``None`` where the input ends before it.

        Raises:
            Stopped: the turn was stopped.
        """
        with stop.calling(lambda: self._replies.put(None)):
            while not self._has_ended.is_set() or not self._replies.empty():
                reply = self._replies.get()
                stop.check()
                if reply is not None and reply.request_id == request_id:
                    return reply.response
        return None

    def _read(self) -> None:
        try:
            while line := self._source.readline(_MAX_LINE_BYTES):
                self._take(line)
        except (OSError, ValueError):
            pass  # the input is gone
        finally:
            self._has_ended.set()
            self._prompts.put(None)
            self._replies.put(None)

    def _take(self, line: bytes) -> None:
        try:
            message = parse_line(line)
        except InputError as error:
            self._prompts.put(error)
            return
        if isinstance(message, Prompt):
            self._prompts.put(message)
        elif isinstance(message, Reply):
            self._replies.put(message)
        elif isinstance(message, Control):
            self._control(message)
