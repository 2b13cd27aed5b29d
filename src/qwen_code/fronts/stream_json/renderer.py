"""``--output-format json`` and ``stream-json``, in the formats of Node Qwen Code."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from qwen_code import __version__
from qwen_code.agent.errors import TurnLimitReached
from qwen_code.agent.events import (
    AgentEvent,
    BackgroundEnded,
    HelperEvent,
    MentionRead,
    ToolAsked,
    ToolFinished,
)
from qwen_code.base.errors import QwenError
from qwen_code.base.ids import new_uuid
from qwen_code.base.json_text import decode_json
from qwen_code.base.secret import redact
from qwen_code.fronts.remarks import remark
from qwen_code.fronts.renderer import Outcome
from qwen_code.fronts.stream_json.lines import encode_line, shortened
from qwen_code.models.events import (
    Cut,
    FellBack,
    Finished,
    Paced,
    ReasoningDelta,
    RefusalDelta,
    Retrying,
    TextDelta,
    TextWasReasoning,
    ToolCallDelta,
    Usage,
)
from qwen_code.wiring.reports.quota import quota_data, rate_limits_data

if TYPE_CHECKING:
    from qwen_code.wiring.state import State

_STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}

_ENDINGS = {
    "loop": ("Loop", "stopped: the model kept repeating the same call"),
    "empty": ("Empty", "the model gave no answer"),
    "filtered": ("Filtered", "the provider's content filter ended the answer"),
}
"""Turns that ended without an error, and yet not well."""


class Output(Protocol):
    """Where lines go: a binary file, or what does as one."""

    def write(self, data: bytes, /) -> int: ...

    def flush(self) -> None: ...


class JsonRenderer:
    """Writes one array at the end, or with ``is_stream`` one line for each complete message.

    With ``partial`` each delta of the answer is also a line. ``out`` takes bytes, because JSON is
    UTF-8 in every locale (RFC 8259 §8.1). ``max_result_bytes`` limits what is shown of
    the result of a tool.
    """

    def __init__(
        self,
        out: Output,
        *,
        is_stream: bool,
        partial: bool = False,
        max_result_bytes: int | None = None,
    ) -> None:
        self._out = out
        self._max_result_bytes = max_result_bytes
        self._is_stream = is_stream
        self._partial = partial and is_stream
        self._session_id = ""
        self._model = ""
        self._messages: list[dict[str, Any]] = []
        self._id = new_uuid()
        self._kind: str | None = None
        self._block: _Block | None = None
        self._blocks: list[_Block] = []
        self._usage: Usage | None = None
        self._finished: Finished | None = None
        self._cut: str | None = None
        self._has_started = False

    def start(self, describe: Callable[[], State] | None) -> None:
        state = describe() if describe else None
        self._session_id = state.session_id if state else new_uuid()
        self._model = state.model if state else ""
        servers = state.mcp_servers if state else {}
        self._add(
            {
                "type": "system",
                "subtype": "init",
                "cwd": str(state.cwd) if state else _cwd(),
                "tools": list(state.tools) if state else [],
                "mcp_servers": [
                    {"name": name, "status": "failed" if problem else "connected"}
                    for name, problem in servers.items()
                ],
                "model": self._model,
                "permission_mode": state.mode if state else "default",
                "slash_commands": list(state.commands) if state else [],
                "agents": list(state.agents) if state else [],
                "auth_type": state.method if state else "",
                "qwen_code_version": __version__,
            }
        )
        self._flush()

    def prompt(self, text: str) -> None:
        """The prompt itself, for a program that did not send it."""
        message = {"role": "user", "content": [{"type": "text", "text": redact(text)}]}
        self._add({"type": "user", "message": message, "parent_tool_use_id": None})
        self._flush()

    def events(self, events: Sequence[AgentEvent]) -> None:
        for event in events:
            kind = type(event)
            if kind is TextDelta or kind is RefusalDelta:
                self._piece("text", event.text)  # type: ignore[union-attr]
            elif kind is ReasoningDelta:
                self._piece("thinking", event.text)  # type: ignore[union-attr]
            elif kind is TextWasReasoning:
                self._text_was_reasoning()
            elif isinstance(event, ToolCallDelta):
                self._tool_call(event)
            elif isinstance(event, Usage):
                self._usage = event
            elif isinstance(event, Finished):
                self._finished = event
            elif isinstance(event, Cut):
                self._cut = event.reason
            elif isinstance(event, FellBack):
                self._model = event.model
            else:
                self._tool_event(event)
            if line := remark(event):
                data = {"message": line, **_details(event)}
                self._add({"type": "system", "subtype": "notice", "data": data})
        self._flush()

    def finish(self, outcome: Outcome) -> None:
        self._end_answer()
        self._add(self._result(outcome))
        if not self._is_stream:
            self._out.write(encode_line(self._messages) + b"\n")
            self._out.flush()
        self._flush()

    def _end_answer(self) -> None:
        """The answer is complete: end its messages."""
        self._end_message()
        if self._has_started:
            self._has_started = False
            self._stream_event({"type": "message_stop"})

    def _tool_event(self, event: AgentEvent) -> None:
        if isinstance(event, ToolAsked):
            self._end_answer()
        elif isinstance(event, ToolFinished):
            self._tool_result(event, None)
        elif isinstance(event, HelperEvent):
            self._helper(event)
        elif isinstance(event, MentionRead):
            self._mention(event)

    def _tool_result(self, event: ToolFinished, parent: str | None) -> None:
        limit = self._max_result_bytes
        result = {
            "type": "tool_result",
            "tool_use_id": event.call_id,
            "content": event.text if limit is None else shortened(event.text, limit),
            "is_error": event.is_error,
        }
        message = {"role": "user", "content": [result]}
        self._add({"type": "user", "message": message, "parent_tool_use_id": parent})

    def _mention(self, event: MentionRead) -> None:
        said = f"{'not read: ' if event.is_error else ''}{event.summary}"
        data = {"kind": "mention", "path": event.path, "is_error": event.is_error}
        data["message"] = f"@{event.path}: {said}"
        self._add({"type": "system", "subtype": "notice", "data": data})

    def _helper(self, helper: HelperEvent) -> None:
        """A call of a helper and its result, as messages below the call that started it."""
        event = helper.event
        if isinstance(event, ToolFinished):
            self._tool_result(event, helper.call_id)
        elif isinstance(event, ToolAsked):
            called = {
                "type": "tool_use",
                "id": event.call_id,
                "name": event.name,
                "input": _parsed(event.arguments),
            }
            message = {
                "id": new_uuid(),
                "type": "message",
                "role": "assistant",
                "model": self._model,
                "content": [called],
                "stop_reason": "tool_use",
                "usage": usage_data(None),
            }
            parent = helper.call_id
            self._add({"type": "assistant", "message": message, "parent_tool_use_id": parent})

    def _piece(self, kind: str, text: str) -> None:
        block = self._block
        if block is None or block.kind != kind:
            block = self._open(kind, {"type": kind, kind: ""})
        block.pieces.append(text)
        self._delta(block, {"type": f"{kind}_delta", kind: text})

    def _text_was_reasoning(self) -> None:
        for block in self._blocks:
            if block.kind == "text":
                block.kind, block.content = "thinking", {"type": "thinking", "thinking": ""}
        self._kind = "thinking" if self._kind == "text" else self._kind

    def _tool_call(self, piece: ToolCallDelta) -> None:
        block = next(
            (b for b in self._blocks if b.kind == "tool_use" and b.call == piece.index), None
        )
        if block is None:
            name = piece.name or ""
            start: dict[str, Any] = {"type": "tool_use", "id": piece.id, "name": name, "input": {}}
            block = self._open("tool_use", start)
            block.call = piece.index
        elif piece.name:  # few servers send it in parts
            block.content["name"] += piece.name
        block.pieces.append(piece.arguments)
        if piece.arguments:
            self._delta(block, {"type": "input_json_delta", "partial_json": piece.arguments})

    def _open(self, kind: str, content: dict[str, Any]) -> _Block:
        """Begin a block; a different kind of block begins a new message, as in Node."""
        if self._kind not in (kind, None):
            self._end_message()
        self._kind = kind
        if kind != "tool_use":
            self._close_block()
        if not self._has_started:
            self._has_started = True
            head = {"id": self._id, "role": "assistant", "model": self._model, "content": []}
            self._stream_event({"type": "message_start", "message": head})
        block = self._block = _Block(kind, len(self._blocks), content)
        self._blocks.append(block)
        self._stream_event(
            {"type": "content_block_start", "index": block.index, "content_block": content}
        )
        return block

    def _delta(self, block: _Block, delta: dict[str, Any]) -> None:
        if self._partial:
            self._stream_event(
                {"type": "content_block_delta", "index": block.index, "delta": delta}
            )

    def _close_block(self) -> None:
        for block in self._blocks:
            if block.is_open:
                block.is_open = False
                self._stream_event({"type": "content_block_stop", "index": block.index})
        self._block = None

    def _end_message(self) -> None:
        """Emit the blocks so far as one message; all blocks of a message are of one kind."""
        if not self._blocks:
            return
        self._close_block()
        finished = self._finished
        message = {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": (finished and finished.model) or self._model,
            "content": [block.whole() for block in self._blocks],
            "stop_reason": _STOP_REASONS.get(finished.reason, finished.reason)
            if finished
            else None,
            "usage": usage_data(self._usage),
        }
        self._add({"type": "assistant", "message": message, "parent_tool_use_id": None})
        self._id = new_uuid()
        self._blocks = []
        self._kind = None

    def _result(self, outcome: Outcome) -> dict[str, Any]:
        error = self._error(outcome)
        result: dict[str, Any] = {
            "type": "result",
            "subtype": _subtype(outcome, error),
            "is_error": error is not None,
            "duration_ms": outcome.duration_ms,
            "duration_api_ms": outcome.api_duration_ms,
            "num_turns": outcome.rounds,
            "result": outcome.structured or outcome.text,
            "usage": usage_data(outcome.usage),
            "permission_denials": [
                {
                    "tool_name": asked.name,
                    "tool_use_id": asked.call_id,
                    "tool_input": _parsed(asked.arguments),
                }
                for asked in outcome.denied
            ],
        }
        if outcome.usage and outcome.usage.cost is not None:
            result["total_cost_usd"] = round(outcome.usage.cost, 6)
        if outcome.quota:
            result["quota"] = quota_data(outcome.quota)
        if outcome.rate_limits:
            result["rate_limits"] = rate_limits_data(outcome.rate_limits)
        if error:
            result["error"] = error
        return result

    def _error(self, outcome: Outcome) -> dict[str, Any] | None:
        if error := outcome.error:
            return {
                "type": type(error).__name__,
                "message": error.message,
                "hint": error.hint,
                "code": error.code,
            }
        if outcome.was_stopped:
            return {"type": "Interrupted", "message": "interrupted", "hint": None, "code": None}
        if self._cut is not None:
            message = f"the answer was cut off: {self._cut}"
            return {"type": "Cut", "message": message, "hint": None, "code": "cut"}
        if outcome.ended in _ENDINGS:
            kind, message = _ENDINGS[outcome.ended]
            return {"type": kind, "message": message, "hint": None, "code": outcome.ended}
        return None

    def _stream_event(self, event: dict[str, Any]) -> None:
        if self._partial:
            self._add({"type": "stream_event", "event": event, "parent_tool_use_id": None})

    def _add(self, message: dict[str, Any]) -> None:
        self._messages.append({**message, "uuid": new_uuid(), "session_id": self._session_id})

    def _flush(self) -> None:
        """Write all lines that came from one network chunk at once."""
        if self._is_stream and self._messages:
            self._out.write(b"".join([encode_line(message) + b"\n" for message in self._messages]))
            self._out.flush()
            self._messages.clear()


def write_end(out: Output, error: QwenError | None, *, is_stream: bool) -> None:
    """The whole output of a run that ended before its conversation was open. ``error`` is ``None``
    after an interrupt."""
    renderer = JsonRenderer(out, is_stream=is_stream)
    renderer.start(None)
    renderer.finish(Outcome("", 0, 0, error=error, was_stopped=error is None, rounds=0))


class _Block(msgspec.Struct):
    """A content block that is still growing."""

    kind: str
    index: int
    content: dict[str, Any]
    pieces: list[str] = []
    call: int | None = None
    is_open: bool = True

    def whole(self) -> dict[str, Any]:
        text = "".join(self.pieces)
        value = _parsed(text) if self.kind == "tool_use" else text
        return {**self.content, "input" if self.kind == "tool_use" else self.kind: value}


def usage_data(usage: Usage | None) -> dict[str, int]:
    """Token counts, named as in these formats."""
    usage = usage or Usage(0, 0, 0)
    return {
        "input_tokens": usage.prompt_tokens,
        "output_tokens": usage.completion_tokens,
        "cache_read_input_tokens": usage.cached_tokens,
        "total_tokens": usage.total_tokens,
    }


def _subtype(outcome: Outcome, error: Mapping[str, Any] | None) -> str:
    if error is None:
        return "success"
    is_limit = isinstance(outcome.error, TurnLimitReached)
    return "error_max_turns" if is_limit else "error_during_execution"


def _cwd() -> str:
    try:
        return str(Path.cwd())
    except FileNotFoundError:
        return ""


def _details(event: AgentEvent) -> dict[str, Any]:
    """The data of an event, for programs."""
    if isinstance(event, HelperEvent):
        return {**_details(event.event), "parent_tool_use_id": event.call_id}
    if isinstance(event, Paced):
        return {"kind": "paced", "wait_s": round(event.wait_s, 3)}
    if isinstance(event, Retrying):
        return {"kind": "retry", "attempt": event.attempt, "wait_s": round(event.wait_s, 3)}
    if isinstance(event, BackgroundEnded):
        return {
            "kind": "background_ended",
            "task_id": event.task_id,
            "command": event.command,
            "pid": event.pid,
            "ending": event.ending,
        }
    if isinstance(event, FellBack):
        return {"kind": "fallback", "model": event.model, "instead_of": event.instead_of}
    return {}


def _parsed(arguments: str) -> Any:
    try:
        return decode_json(arguments or "{}")
    except msgspec.DecodeError:
        return arguments
