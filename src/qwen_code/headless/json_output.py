"""``--output-format json`` and ``stream-json``: the shapes that Node Qwen Code's users parse."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, TextIO

import msgspec

from qwen_code.headless.render import Outcome, RunInfo, remark
from qwen_code.models.events import (
    Event,
    Finished,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)

__all__ = ["JsonRenderer"]

_STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}


class JsonRenderer:
    """One array at the end, or with ``is_stream`` one line a message as soon as it is complete.

    With ``partial`` every piece of the answer is a line of its own as it arrives.
    """

    def __init__(self, out: TextIO, *, is_stream: bool, partial: bool = False) -> None:
        self._out = out
        self._is_stream = is_stream
        self._partial = partial
        self._messages: list[dict[str, Any]] = []
        self._info: RunInfo | None = None
        self._answer = _Answer()
        self._block: str | None = None

    def start(self, info: RunInfo) -> None:
        self._info = info
        self._emit(
            {
                "type": "system",
                "subtype": "init",
                "cwd": info.cwd,
                "model": info.model,
                "tools": [],
                "auth_type": info.method,
                "qwen_code_version": info.version,
            }
        )
        if self._partial:
            self._stream_event({"type": "message_start", "message": {"model": info.model}})

    def events(self, events: Sequence[Event]) -> None:
        for event in events:
            self._answer.take(event)
            if self._partial:
                self._piece(event)
            if line := remark(event):
                self._emit({"type": "system", "subtype": "notice", "message": line})

    def finish(self, outcome: Outcome) -> None:
        if self._partial:
            self._close_block()
            self._stream_event({"type": "message_stop"})
        if self._answer.has_content:
            self._emit(
                {"type": "assistant", "message": self._message(), "parent_tool_use_id": None}
            )
        self._emit(self._result(outcome))
        if not self._is_stream:
            self._out.write(msgspec.json.encode(self._messages).decode() + "\n")
        self._out.flush()

    def _message(self) -> dict[str, Any]:
        assert self._info is not None
        answer = self._answer
        return {
            "id": answer.id or new_id(),
            "type": "message",
            "role": "assistant",
            "model": answer.model or self._info.model,
            "content": answer.content(),
            "stop_reason": answer.stop_reason,
            "usage": usage_data(answer.usage),
        }

    def _result(self, outcome: Outcome) -> dict[str, Any]:
        failed = outcome.error is not None or outcome.interrupted
        result: dict[str, Any] = {
            "type": "result",
            "subtype": "error_during_execution" if failed else "success",
            "is_error": failed,
            "duration_ms": outcome.duration_ms,
            "duration_api_ms": outcome.api_duration_ms,
            "num_turns": 1,
            "result": outcome.text,
            "usage": usage_data(outcome.usage),
            "permission_denials": [],
        }
        if outcome.error:
            error = outcome.error
            result["error"] = {
                "type": type(error).__name__,
                "message": error.message,
                "hint": error.hint,
                "code": error.code,
            }
        elif outcome.interrupted:
            result["error"] = {"type": "Interrupted", "message": "interrupted", "hint": None}
        return result

    def _piece(self, event: Event) -> None:
        kind = {TextDelta: "text", RefusalDelta: "text", ReasoningDelta: "thinking"}.get(
            type(event)
        )
        if kind is None:
            return
        if self._block != kind:
            self._close_block()
            self._block = kind
            self._stream_event({"type": "content_block_start", "content_block": {"type": kind}})
        delta = {"type": f"{kind}_delta", kind: event.text}  # type: ignore[union-attr]
        self._stream_event({"type": "content_block_delta", "delta": delta})

    def _close_block(self) -> None:
        if self._block is not None:
            self._stream_event({"type": "content_block_stop"})
            self._block = None

    def _stream_event(self, event: dict[str, Any]) -> None:
        self._emit({"type": "stream_event", "event": event, "parent_tool_use_id": None})

    def _emit(self, message: dict[str, Any]) -> None:
        assert self._info is not None
        message = {**message, "uuid": new_id(), "session_id": self._info.session_id}
        if self._is_stream:
            self._out.write(msgspec.json.encode(message).decode() + "\n")
            self._out.flush()
        else:
            self._messages.append(message)


class _Answer:
    """The answer put together from its pieces."""

    def __init__(self) -> None:
        self.id: str | None = None
        self.model: str | None = None
        self.stop_reason: str | None = None
        self.usage: Usage | None = None
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._calls: dict[int, dict[str, str]] = {}

    @property
    def has_content(self) -> bool:
        return bool(self._texts or self._thoughts or self._calls)

    def take(self, event: Event) -> None:
        if isinstance(event, TextDelta | RefusalDelta):
            self._texts.append(event.text)
        elif isinstance(event, ReasoningDelta):
            self._thoughts.append(event.text)
        elif isinstance(event, ToolCallDelta):
            call = self._calls.setdefault(event.index, {"id": "", "name": "", "arguments": ""})
            call["id"] = event.id or call["id"]
            call["name"] += event.name or ""
            call["arguments"] += event.arguments
        elif isinstance(event, Usage):
            self.usage = event
        elif isinstance(event, Finished):
            self.id, self.model = event.response_id, event.model
            self.stop_reason = _STOP_REASONS.get(event.reason, event.reason)

    def content(self) -> list[dict[str, Any]]:
        blocks: list[dict[str, Any]] = []
        if self._thoughts:
            blocks.append({"type": "thinking", "thinking": "".join(self._thoughts)})
        if self._texts:
            blocks.append({"type": "text", "text": "".join(self._texts)})
        blocks += [
            {"type": "tool_use", "id": c["id"], "name": c["name"], "input": _parsed(c["arguments"])}
            for c in self._calls.values()
        ]
        return blocks


def usage_data(usage: Usage | None) -> dict[str, int]:
    """Token counts under the names that readers of these formats know."""
    usage = usage or Usage(0, 0, 0)
    return {
        "input_tokens": usage.prompt_tokens,
        "output_tokens": usage.completion_tokens,
        "cache_read_input_tokens": usage.cached_tokens,
        "total_tokens": usage.total_tokens,
    }


def new_id() -> str:
    """A random UUID (RFC 9562 §5.4), without the cost of importing ``uuid``."""
    digits = bytearray(os.urandom(16))
    digits[6] = digits[6] & 0x0F | 0x40
    digits[8] = digits[8] & 0x3F | 0x80
    text = digits.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def _parsed(arguments: str) -> Any:
    try:
        return msgspec.json.decode(arguments or "{}")
    except msgspec.DecodeError:
        return arguments
