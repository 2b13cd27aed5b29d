"""A decoder of server-sent events (WHATWG HTML §9.2), for chunks of any size."""

from __future__ import annotations

import re

import msgspec

from qwen_code.models.errors import BadAnswer

_MAX_EVENT_BYTES = 16 << 20
_LINE_END = rb"\r\n|\n|\r"


class ServerSentEvent(msgspec.Struct, frozen=True):
    """One event: its ``data`` as bytes (UTF-8), and its ``event`` type if it has one."""

    data: bytes
    event: str = ""


class SseDecoder:
    """Takes chunks of bytes and returns complete events. Comments and other fields are ignored."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        """Pieces of a line, or of a few, whose end has not come."""
        self._rest_bytes = 0
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._event = ""
        self._started = False

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """The events that ``chunk`` completes.

        Raises:
            BadAnswer: an event is longer than 16 MiB.
        """
        if not chunk:
            return []
        if self._rest:
            self._keep(chunk)
            if b"\n" not in chunk and b"\r" not in chunk and not self._rest[-2].endswith(b"\r"):
                return []
            buffer, self._rest, self._rest_bytes = b"".join(self._rest), [], 0
        else:
            buffer = chunk
        if not self._started:
            if len(buffer) < 3 and b"\xef\xbb\xbf".startswith(buffer):
                self._keep(buffer)
                return []
            buffer = buffer.removeprefix(b"\xef\xbb\xbf")
            self._started = True
        if b"\r" not in buffer and b"\n\n" in buffer and not (self._data or self._event):
            return self._whole_events(buffer)
        if b"\r" not in buffer:
            lines = buffer.split(b"\n")
        elif buffer.endswith(b"\r"):
            # A line feed that belongs to this line ending may be in the next chunk.
            lines = re.split(_LINE_END, buffer[:-1])
            lines[-1] += b"\r"
        else:
            lines = re.split(_LINE_END, buffer)
        self._keep(lines.pop())
        events: list[ServerSentEvent] = []
        for line in lines:
            self._take(line, events)
        return events

    def _keep(self, rest: bytes) -> None:
        if rest:
            self._rest.append(rest)
            self._rest_bytes += len(rest)
        if self._rest_bytes + self._data_bytes > _MAX_EVENT_BYTES:
            raise BadAnswer("the server sent an event of more than 16 MiB")

    def _whole_events(self, buffer: bytes) -> list[ServerSentEvent]:
        """The events of the usual form, one line of data each; the others line by line."""
        *blocks, rest = buffer.split(b"\n\n")
        self._keep(rest)
        events: list[ServerSentEvent] = []
        for block in blocks:
            if block.startswith(b"data: ") and b"\n" not in block:
                events.append(ServerSentEvent(block[6:]))
            else:
                for line in block.split(b"\n"):
                    self._take(line, events)
                self._take(b"", events)
        return events

    def close(self) -> list[ServerSentEvent]:
        """The last event of the stream, for servers that omit the blank line after it."""
        events: list[ServerSentEvent] = []
        for line in re.split(_LINE_END, b"".join(self._rest).rstrip(b"\r")):
            self._take(line, events)
        self._rest = []
        self._take(b"", events)
        return events

    def _take(self, line: bytes, events: list[ServerSentEvent]) -> None:
        if line.startswith(b"data:"):
            self._data.append(line[6:] if line[5:6] == b" " else line[5:])
            self._data_bytes += len(line)
        elif not line:
            if self._data:
                data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
                events.append(ServerSentEvent(data, self._event))
                self._data, self._data_bytes = [], 0
            self._event = ""
        elif line.startswith(b"event:"):
            self._event = line[6:].strip().decode("utf-8", "replace")
        elif line == b"data":
            self._data.append(b"")
