"""Requests and answers as JSON files, for debugging: ``--openai-logging``.

Nothing of the HTTP layer is written: no header, and so no key. Secrets that this process knows are
masked in everything else.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from qwen_code.base.errors import QwenError
from qwen_code.base.ids import new_uuid
from qwen_code.base.secret import redact
from qwen_code.models.events import (
    EventStream,
    Finished,
    ReasoningDelta,
    TextDelta,
    TextWasReasoning,
    ToolCallDelta,
    Usage,
)

_MAX_BYTES = 32 << 20
"""Of one file; a longer one only says how long it would be."""

_DAY_S = 24 * 3600.0
_LEAST_AGE_S = 3600.0
_PREFIX = "openai-"


class RequestLog:
    """A file for each request in ``directory``. Those older than ``keep_days`` are removed at the
    first one. If a file cannot be written, ``notice`` gets a line, once, and the run goes on."""

    def __init__(self, directory: Path, keep_days: float, notice: Callable[[str], None]) -> None:
        self._directory = directory
        self._keep_s = max(keep_days * _DAY_S, _LEAST_AGE_S)
        self._notice = notice
        self._is_usable = True
        self._is_begun = False

    def recorded(
        self,
        model: str,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None,
        events: EventStream,
    ) -> EventStream:
        """``events``, which are written with their request when they have ended."""
        request = {"model": model, "messages": list(messages), "tools": list(tools or ())}
        sent = msgspec.json.encode(request)  # the messages change later
        answer = _Answer()
        began = time.time()
        problem = "interrupted"
        try:
            with closing(events):
                for batch in events:
                    answer.take(batch)
                    yield batch
            problem = ""
        except QwenError as error:
            problem = error.message
            raise
        finally:
            self._write(sent, answer.as_response(model), problem, began)

    def _write(self, request: bytes, response: dict[str, Any], problem: str, began: float) -> None:
        record = {
            "timestamp": datetime.fromtimestamp(began, UTC).isoformat(timespec="milliseconds"),
            "request": msgspec.Raw(request),
            "response": response,
            "error": problem or None,
            "duration_ms": round((time.time() - began) * 1000),
        }
        data = msgspec.json.encode(record)
        if len(data) > _MAX_BYTES:
            data = msgspec.json.encode(record | {"request": None, "size_bytes": len(data)})
        name = (
            f"{_PREFIX}{time.strftime('%Y%m%dT%H%M%S', time.gmtime(began))}-{new_uuid()[:8]}.json"
        )
        try:
            if not self._is_begun:
                self._begin()
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            with os.fdopen(os.open(self._directory / name, flags, 0o600), "wb") as file:
                file.write(redact(data.decode()).encode())
        except OSError as error:
            if self._is_usable:
                self._is_usable = False
                self._notice(f"requests cannot be logged in {self._directory}: {error.strerror}")

    def _begin(self) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._is_begun = True
        oldest = time.time() - self._keep_s
        for path in self._directory.glob(f"{_PREFIX}*.json"):
            with suppress(OSError):
                if path.lstat().st_mtime < oldest:
                    path.unlink()


class _Answer:
    """Collects the events of an answer."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._calls: dict[int, dict[str, str]] = {}
        self._finish: str | None = None
        self._usage: Usage | None = None

    def take(self, events: Sequence[object]) -> None:
        for event in events:
            if isinstance(event, TextDelta):
                self._text.append(event.text)
            elif isinstance(event, ReasoningDelta):
                self._reasoning.append(event.text)
            elif isinstance(event, TextWasReasoning):
                self._reasoning += self._text
                self._text.clear()
            elif isinstance(event, ToolCallDelta):
                call = self._calls.setdefault(event.index, {"id": "", "name": "", "arguments": ""})
                call["id"] += event.id or ""
                call["name"] += event.name or ""
                call["arguments"] += event.arguments
            elif isinstance(event, Finished):
                self._finish = event.reason
            elif isinstance(event, Usage):
                self._usage = event

    def as_response(self, model: str) -> dict[str, Any]:
        """As the API's ``chat.completion`` object."""
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self._text)}
        if self._reasoning:
            message["reasoning_content"] = "".join(self._reasoning)
        if self._calls:
            message["tool_calls"] = [*self._tool_calls()]
        choice = {"index": 0, "message": message, "finish_reason": self._finish}
        usage = None if self._usage is None else msgspec.to_builtins(self._usage)
        return {"object": "chat.completion", "model": model, "choices": [choice], "usage": usage}

    def _tool_calls(self) -> Iterator[dict[str, Any]]:
        for call in self._calls.values():
            function = {"name": call["name"], "arguments": call["arguments"]}
            yield {"id": call["id"], "type": "function", "function": function}
