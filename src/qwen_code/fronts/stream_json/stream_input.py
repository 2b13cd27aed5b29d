"""``--input-format stream-json``: reads messages from another program, one for each line.

They are prompts, control requests, and answers to our own requests, in the format of Node Qwen
Code's SDK::

    {"type": "user", "message": {"role": "user", "content": "…"}}
    {"type": "control_request", "request_id": "1", "request": {"subtype": "interrupt"}}
    {"type": "control_response", "response": {"request_id": "2", "response": {"behavior": "allow"}}}
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, BinaryIO

import msgspec

from qwen_code.base.errors import InputError
from qwen_code.base.json_text import decode_json
from qwen_code.base.stop import Stop, take

_MAX_LINE_BYTES = 8 << 20
_UNCLEAR = {"behavior": "deny", "message": "the program's answer is malformed"}


class UserMessage(msgspec.Struct, frozen=True):
    """A prompt to answer."""

    text: str


class QueuedPrompt(msgspec.Struct, frozen=True):
    """A prompt and the stop of its turn, because an interrupt may come before the turn begins."""

    text: str
    stop: Stop


class Control(msgspec.Struct, frozen=True):
    """A control request: ``interrupt``, ``set_model``, ``set_permission_mode``, …"""

    request_id: str
    subtype: str
    request: dict[str, Any]


class Reply(msgspec.Struct, frozen=True):
    """The answer to one of our requests; ``request_id`` is ``None`` if it does not name one."""

    request_id: str | None
    response: dict[str, Any]


def parse_line(line: bytes) -> UserMessage | Control | Reply | None:
    """The message in a line; ``None`` if it is empty or of an unknown type.

    Raises:
        InputError: the line is not a valid message.
    """
    if not line.strip():
        return None
    try:
        message = decode_json(line)
        kind = message["type"]
        if kind == "user":
            return UserMessage(_text(message["message"]["content"]))
        if kind == "control_request":
            request = message.get("request")
            request = request if isinstance(request, dict) else {}
            return Control(str(message["request_id"]), str(request.get("subtype")), request)
        if kind == "control_response":
            return _reply(message.get("response"))
    except (
        msgspec.DecodeError,
        *(
            KeyError,
            TypeError,
            ValueError,
            AttributeError,
        ),  # fields are missing or have other types
    ) as error:
        raise InputError(
            f"a line of standard input is not a message: {error}",
            hint='Write {"type": "user", "message": {"role": "user", "content": "…"}}',
        ) from error
    return None


def _text(content: Any) -> str:
    """The prompt in a message's content: a text, or a list of text parts."""
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    others = sorted({str(part.get("type")) for part in parts} - {"text"})
    if others:
        raise ValueError(
            f"its content has parts of type {', '.join(others)}; only text is supported"
        )
    text = "\n".join(part["text"] for part in parts)
    if not text.strip():
        raise ValueError("its content is empty")
    return text


def _reply(outer: Any) -> Reply:
    """The answer to one of our requests; a malformed one counts as a denial."""
    if not isinstance(outer, dict) or "request_id" not in outer:
        return Reply(None, _UNCLEAR)
    response = outer.get("response")
    if outer.get("subtype") == "error":
        response = {"behavior": "deny", "message": str(outer.get("error") or "")}
    understood = response if isinstance(response, dict) else _UNCLEAR
    return Reply(str(outer["request_id"]), understood)


class StreamInput:
    """Reads lines on a separate thread, so that an interrupt is noticed during an answer.

    ``control`` is called on that thread.
    """

    def __init__(self, source: BinaryIO, control: Callable[[Control], None]) -> None:
        self._source = source
        self._control = control
        self._prompts: SimpleQueue[QueuedPrompt | InputError | None] = SimpleQueue()
        self._unfinished: deque[Stop] = deque()
        """The stops of the prompts that are being answered or queued, in their order."""
        self._is_answering = False
        self._replies: SimpleQueue[Reply | None] = SimpleQueue()
        self._asked_id: str | None = None
        self.has_ended = threading.Event()

    def start(self) -> None:
        """Start reading."""
        threading.Thread(target=self._read, name="stdin", daemon=True).start()

    def next_prompt(self) -> QueuedPrompt | InputError | None:
        """The next prompt, or the error for an invalid line; ``None`` at the end of the input.

        The previous prompt counts as answered.
        """
        if self._is_answering:
            self._unfinished.popleft()
        found = take(self._prompts)
        self._is_answering = isinstance(found, QueuedPrompt)
        return found

    def interrupt(self) -> None:
        """Stop the prompt that is being answered, or else the next one in the queue."""
        for stop in [*self._unfinished][:1]:
            stop.set()

    def ask(self, request_id: str, send: Callable[[], None], stop: Stop) -> dict[str, Any] | None:
        """The answer to our request, which ``send`` writes; ``None`` if the input ends first.

        During the wait, an invalid line counts as the answer.

        Raises:
            Stopped: the turn was stopped.
        """
        self._asked_id = request_id
        try:
            send()
            with stop.calling(lambda: self._replies.put(None)):
                while not self.has_ended.is_set() or not self._replies.empty():
                    reply = take(self._replies)
                    stop.check()
                    if reply is not None and reply.request_id == request_id:
                        return reply.response
        finally:
            self._asked_id = None
        return None

    def _read(self) -> None:
        try:
            while line := self._source.readline(_MAX_LINE_BYTES):
                if len(line) == _MAX_LINE_BYTES and not line.endswith(b"\n"):
                    self._prompts.put(self._too_long())
                else:
                    self._take(line)
        except (OSError, ValueError, KeyboardInterrupt):
            pass  # the input is closed, or nothing reads our responses
        finally:
            self.has_ended.set()
            self._prompts.put(None)
            self._replies.put(None)

    def _too_long(self) -> InputError:
        """Skip the rest of a line."""
        while (piece := self._source.readline(_MAX_LINE_BYTES)) and not piece.endswith(b"\n"):
            pass
        return InputError(
            f"a line of standard input is longer than {_MAX_LINE_BYTES >> 20} MiB",
            hint="Write large texts to files, and name them in the prompt.",
        )

    def _take(self, line: bytes) -> None:
        try:
            message = parse_line(line)
        except InputError as error:
            self._prompts.put(error)
            message = Reply(None, _UNCLEAR)
        if isinstance(message, UserMessage):
            queued = QueuedPrompt(message.text, Stop())
            self._unfinished.append(queued.stop)
            self._prompts.put(queued)
        elif isinstance(message, Reply):
            request_id = message.request_id or self._asked_id
            self._replies.put(Reply(request_id, message.response))
        elif isinstance(message, Control):
            self._control(message)
