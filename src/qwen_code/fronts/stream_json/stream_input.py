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
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, BinaryIO

import msgspec

from qwen_code.base.errors import InputError
from qwen_code.base.json_text import decode_json
from qwen_code.base.stop import Stop, take

_MAX_LINE_BYTES = 8 << 20
_UNCLEAR = "the program's answer is malformed"


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
    """The answer to one of our requests; ``request_id`` is ``None`` if it does not name one.
    Without a ``response``, there is an ``error``."""

    request_id: str | None
    response: dict[str, Any] | None = None
    error: str = ""


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
    """The answer to one of our requests; a malformed one counts as an error."""
    if not isinstance(outer, dict) or "request_id" not in outer:
        return Reply(None, error=_UNCLEAR)
    request_id, response = str(outer["request_id"]), outer.get("response")
    if outer.get("subtype") == "error":
        error = outer.get("error")
        said = error.get("message") if isinstance(error, dict) else error
        return Reply(request_id, error=str(said or "the program could not answer"))
    if not isinstance(response, dict):
        return Reply(request_id, error=_UNCLEAR)
    return Reply(request_id, response)


class StreamInput:
    """Reads lines on a separate thread, so that an interrupt is noticed during an answer.

    That thread calls ``control`` with requests, ``reply`` with replies to ours, and ``end`` last.
    """

    def __init__(
        self,
        source: BinaryIO,
        control: Callable[[Control], None],
        reply: Callable[[Reply], object],
        end: Callable[[], None],
    ) -> None:
        self._source = source
        self._control = control
        self._reply = reply
        self._end = end
        self._prompts: SimpleQueue[QueuedPrompt | InputError | None] = SimpleQueue()
        self._unfinished: deque[Stop] = deque()
        """The stops of the prompts that are being answered or queued, in their order."""
        self._is_answering = False
        self._begun: SimpleQueue[None] = SimpleQueue()
        self._has_begun = False

    def start(self) -> None:
        """Start reading."""
        threading.Thread(target=self._read, name="stdin", daemon=True).start()

    def wait_for_beginning(self, stop: Stop, within_s: float | None = None) -> None:
        """Wait for the first message, or the end of the input.

        Raises:
            Stopped: ``stop`` was set meanwhile.
        """
        with stop.calling(lambda: self._begun.put(None)), suppress(Empty):
            if not self._has_begun:
                take(self._begun, within_s)
        stop.check()

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

    def interrupt_all(self) -> None:
        """Stop every prompt that has been read."""
        for stop in [*self._unfinished]:
            stop.set()

    def _read(self) -> None:
        try:
            while line := self._source.readline(_MAX_LINE_BYTES):
                if len(line) == _MAX_LINE_BYTES and not line.endswith(b"\n"):
                    self._prompts.put(self._too_long())
                else:
                    self._take(line)
                self._note_beginning()
        except (OSError, ValueError, KeyboardInterrupt):
            pass  # the input is closed, or nothing reads our responses
        finally:
            self._prompts.put(None)
            self._note_beginning()
            self._end()

    def _note_beginning(self) -> None:
        if not self._has_begun:
            self._has_begun = True
            self._begun.put(None)

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
            message = Reply(None, error=_UNCLEAR)  # it may have been one
        if isinstance(message, UserMessage):
            queued = QueuedPrompt(message.text, Stop())
            self._unfinished.append(queued.stop)
            self._prompts.put(queued)
        elif isinstance(message, Reply):
            self._reply(message)
        elif isinstance(message, Control):
            self._control(message)
