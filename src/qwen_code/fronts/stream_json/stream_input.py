"""``--input-format stream-json``: a program at the other end, that writes one message a line.

It sends prompts, interrupts, and answers to "may this tool be called?". The shapes are those that
Node Qwen Code's SDK speaks::

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
_UNCLEAR = {"behavior": "deny", "message": "the program's answer cannot be understood"}


class UserMessage(msgspec.Struct, frozen=True):
    """Something to answer."""

    text: str


class QueuedPrompt(msgspec.Struct, frozen=True):
    """A prompt with what ends its turn: an interrupt may come before the turn begins."""

    text: str
    stop: Stop


class Control(msgspec.Struct, frozen=True):
    """Something to do beside it: ``interrupt``, ``set_model``, ``set_permission_mode``, …"""

    request_id: str
    subtype: str
    request: dict[str, Any]


class Reply(msgspec.Struct, frozen=True):
    """The answer to a request of ours; ``None``: it does not say to which."""

    request_id: str | None
    response: dict[str, Any]


def parse_line(line: bytes) -> UserMessage | Control | Reply | None:
    """What a line says; ``None`` where it is empty or of a kind without a meaning here.

    Raises:
        InputError: it is not a message.
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
        *(KeyError, TypeError, ValueError, AttributeError),  # another shape
    ) as error:
        raise InputError(
            f"a line of standard input is not a message: {error}",
            hint='Write {"type": "user", "message": {"role": "user", "content": "…"}}',
        ) from error
    return None


def _text(content: Any) -> str:
    """The prompt in a message's content, which is text or a list of parts that are text."""
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    others = sorted({str(part.get("type")) for part in parts} - {"text"})
    if others:
        raise ValueError(f"its content has parts of type {', '.join(others)}; only text is taken")
    text = "\n".join(part["text"] for part in parts)
    if not text.strip():
        raise ValueError("its content is empty")
    return text


def _reply(outer: Any) -> Reply:
    """The answer to a request of ours; a malformed one counts as a denial."""
    if not isinstance(outer, dict) or "request_id" not in outer:
        return Reply(None, _UNCLEAR)
    response = outer.get("response")
    if outer.get("subtype") == "error":
        response = {"behavior": "deny", "message": str(outer.get("error") or "")}
    understood = response if isinstance(response, dict) else _UNCLEAR
    return Reply(str(outer["request_id"]), understood)


class StreamInput:
    """Reads lines on its own thread, so that an interrupt is heard while an answer comes.

    ``control`` is called on that thread, for interrupts too.
    """

    def __init__(self, source: BinaryIO, control: Callable[[Control], None]) -> None:
        self._source = source
        self._control = control
        self._prompts: SimpleQueue[QueuedPrompt | InputError | None] = SimpleQueue()
        self._unfinished: deque[Stop] = deque()
        """Of the prompts that were read, the one that is being answered first."""
        self._is_answering = False
        self._replies: SimpleQueue[Reply | None] = SimpleQueue()
        self._asked_id: str | None = None
        self.has_ended = threading.Event()

    def start(self) -> None:
        """Begin to read."""
        threading.Thread(target=self._read, name="stdin", daemon=True).start()

    def next_prompt(self) -> QueuedPrompt | InputError | None:
        """The next prompt, or the error for a line that is not a message; ``None`` at the end of
        the input. The previous prompt counts as answered."""
        if self._is_answering:
            self._unfinished.popleft()
        found = take(self._prompts)
        self._is_answering = isinstance(found, QueuedPrompt)
        return found

    def interrupt(self) -> None:
        """Stop the prompt that is being answered, or the next one that was read before this."""
        for stop in [*self._unfinished][:1]:
            stop.set()

    def ask(self, request_id: str, send: Callable[[], None], stop: Stop) -> dict[str, Any] | None:
        """The answer to a request of ours, which ``send`` writes; ``None`` where the input ends
        before it. While it is waited for, a line that cannot be understood is taken for it.

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
            pass  # the input is closed, or the responses are not being read
        finally:
            self.has_ended.set()
            self._prompts.put(None)
            self._replies.put(None)

    def _too_long(self) -> InputError:
        """Leave out the rest of a line."""
        while (piece := self._source.readline(_MAX_LINE_BYTES)) and not piece.endswith(b"\n"):
            pass
        return InputError(
            f"a line of standard input is longer than {_MAX_LINE_BYTES >> 20} MB",
            hint="Put large texts into files and name them in the prompt.",
        )

    def _take(self, line: bytes) -> None:
        try:
            message = parse_line(line)
        except InputError as error:
            self._prompts.put(error)
            message = Reply(None, _UNCLEAR)
        if isinstance(message, UserMessage):
            asked = QueuedPrompt(message.text, Stop())
            self._unfinished.append(asked.stop)
            self._prompts.put(asked)
        elif isinstance(message, Reply):
            request_id = message.request_id or self._asked_id
            self._replies.put(Reply(request_id, message.response))
        elif isinstance(message, Control):
            self._control(message)
