"""A model's answer as events, decoded from a stream or from one complete body."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from qwen_code.base.errors import QwenError
from qwen_code.base.ids import new_uuid
from qwen_code.models.errors import BadAnswer
from qwen_code.models.events import (
    Cut,
    Event,
    Finished,
    FinishReason,
    Notice,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from qwen_code.models.openai_wire import json_or_none
from qwen_code.models.sse import ServerSentEvent, SseDecoder

_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


_SAME_MODEL_ENDING = r"(-\d{4}-\d{2}-\d{2}|-\d{4,8}|-latest|[:@].*)"


class StreamFailed(QwenError):
    """The server reported an error inside a stream. ``body`` is its JSON."""

    def __init__(self, body: bytes) -> None:
        super().__init__("the server reported an error in the middle of its answer")
        self.body = body


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: Any = None


class _ToolCallChunk(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct):
    content: Any = None
    reasoning_content: str | None = None
    reasoning: Any = None
    refusal: str | None = None
    tool_calls: list[_ToolCallChunk] | None = None


class _ChunkChoice(msgspec.Struct):
    delta: _Delta | None = None
    message: _Delta | None = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    """The fields that are used; servers add others and omit some."""

    id: str | None = None
    model: str | None = None
    choices: list[_ChunkChoice] | None = None
    usage: Any = None
    error: Any = None


_MAX_CALLS = 1000
"""Of one answer. No model means more than that; a server that repeats itself may send them."""


class ChatDecoder:
    """Decodes one streamed answer. Feed it bytes, then close it; events come back in order."""

    def __init__(self, model: str) -> None:
        self._asked_model = model
        self._sse = SseDecoder()
        self._decode = msgspec.json.Decoder(_Chunk).decode
        self._answering_model: str | None = None
        self._id: str | None = None
        self._reason: FinishReason | None = None
        self._done = False
        self._ids: dict[int, str] = {}
        """The ids of the calls so far, by our index."""
        self._current: dict[int, int] = {}
        """The server's index of a call, mapped to ours."""
        self._last_index = 0

    def feed(self, data: bytes) -> list[Event]:
        """The events that ``data`` completes.

        Raises:
            StreamFailed: the server reported an error.
            BadAnswer: the data is not an answer of this API.
        """
        events: list[Event] = []
        for event in self._sse.feed(data):
            self._take(event, events)
        return events

    def close(self) -> list[Event]:
        """The end of the stream: `Finished`, or `Cut` if the answer was not complete."""
        events: list[Event] = []
        for event in self._sse.close():
            self._take(event, events)
        if self._reason or self._done:
            reason = self._reason or "unknown"
            events.append(Finished(reason, self._answering_model, self._id))
        else:
            events.append(Cut("the server closed the connection before the end of the answer"))
        return events

    def _take(self, event: ServerSentEvent, events: list[Event]) -> None:
        data = event.data
        if event.event == "error":
            raise StreamFailed(data)
        if data == b"[DONE]":
            self._done = True
            return
        try:
            chunk = self._decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            if not (chunk_or_none := _lenient(data)):
                raise _not_the_api(data) from error
            chunk = chunk_or_none
        if chunk.error:
            raise StreamFailed(data)
        self._chunk(chunk, events)

    def _chunk(self, chunk: _Chunk, events: list[Event]) -> None:
        if self._answering_model is None and chunk.model:
            self._answering_model = chunk.model
            self._id = chunk.id
            if not _is_same_model(self._asked_model, chunk.model):
                events.append(Notice(f"{chunk.model} answered instead of {self._asked_model}"))
        if chunk.choices:
            choice = chunk.choices[0]
            delta = choice.delta or choice.message
            if delta is not None:
                self._delta(delta, events)
            if choice.finish_reason:
                self._reason = _REASONS.get(choice.finish_reason, "unknown")
        if chunk.usage and (usage := _usage(chunk.usage)):
            events.append(usage)

    def _delta(self, delta: _Delta, events: list[Event]) -> None:
        content = delta.content
        if content and (text := content if isinstance(content, str) else _text_of(content)):
            events.append(TextDelta(text))
        if thought := delta.reasoning_content or (
            delta.reasoning if isinstance(delta.reasoning, str) else None
        ):
            events.append(ReasoningDelta(thought))
        if delta.refusal:
            events.append(RefusalDelta(delta.refusal))
        for call in delta.tool_calls or ():
            events.append(self._tool_call(call))  # noqa: PERF401 each call changes the state

    def _tool_call(self, call: _ToolCallChunk) -> ToolCallDelta:
        """Some servers omit the index or the id, some repeat id and name in every chunk, and some
        give several calls the same id or index."""
        function = call.function or _Function()
        index = self._index_of(call, has_name=bool(function.name))
        is_first = index not in self._ids
        if is_first and len(self._ids) >= _MAX_CALLS:
            raise BadAnswer(f"the model made more than {_MAX_CALLS:,} calls in one answer")
        if is_first:
            is_free = call.id and call.id not in self._ids.values()
            self._ids[index] = call.id if call.id and is_free else f"call_{new_uuid()}"
        self._last_index = index
        arguments = function.arguments
        if arguments is None:
            arguments = ""
        elif not isinstance(arguments, str):
            arguments = msgspec.json.encode(arguments).decode()
        return ToolCallDelta(
            index,
            self._ids[index] if is_first else None,
            function.name if is_first or not call.id else None,
            arguments,
        )

    def _index_of(self, call: _ToolCallChunk, *, has_name: bool) -> int:
        known = next((i for i, each in self._ids.items() if each == call.id), None)
        free = max(self._ids, default=-1) + 1
        if call.index is None:
            if known is not None:
                return known
            return free if call.id else self._last_index
        begins_another = bool(call.id) and known is None and has_name
        if call.index not in self._current or begins_another:
            self._current[call.index] = free if call.index in self._ids else call.index
        return self._current[call.index]


def decode_completion(body: bytes, model: str) -> list[Event]:
    """The events of a complete answer, the same as a stream would give.

    Raises:
        StreamFailed: it is an error.
        BadAnswer: it is not an answer of this API.
    """
    decoder = ChatDecoder(model)
    events: list[Event] = []
    chunk = _lenient(body)
    if chunk is None or (chunk.choices is None and not chunk.error):
        raise _not_the_api(body)
    decoder._take(ServerSentEvent(body), events)
    decoder._done = True
    return events + decoder.close()


def _lenient(data: bytes) -> _Chunk | None:
    """The chunk in ``data`` without fields of wrong types; ``None`` if it is not an object."""
    raw = json_or_none(data)
    if not isinstance(raw, dict):
        return None
    choices = raw.get("choices")
    return _Chunk(
        id=_str(raw.get("id")),
        model=_str(raw.get("model")),
        choices=None if not isinstance(choices, list) else [_lenient_choice(c) for c in choices],
        usage=raw.get("usage"),
        error=raw.get("error"),
    )


def _lenient_choice(raw: Any) -> _ChunkChoice:
    raw = raw if isinstance(raw, dict) else {}
    delta = raw.get("delta") or raw.get("message")
    if not isinstance(delta, dict):
        return _ChunkChoice(finish_reason=_str(raw.get("finish_reason")))
    calls = delta.get("tool_calls")
    return _ChunkChoice(
        delta=_Delta(
            content=delta.get("content"),
            reasoning_content=_str(delta.get("reasoning_content")),
            reasoning=delta.get("reasoning"),
            refusal=_str(delta.get("refusal")),
            tool_calls=[_lenient_call(c) for c in calls] if isinstance(calls, list) else None,
        ),
        finish_reason=_str(raw.get("finish_reason")),
    )


def _lenient_call(raw: Any) -> _ToolCallChunk:
    raw = raw if isinstance(raw, dict) else {}
    function = raw.get("function")
    function = function if isinstance(function, dict) else {}
    index = raw.get("index")
    return _ToolCallChunk(
        index if isinstance(index, int) else None,
        _str(raw.get("id")),
        _Function(_str(function.get("name")), function.get("arguments")),
    )


def _str(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _text_of(content: Any) -> str:
    """The text of a content that is a list of parts."""
    parts = content if isinstance(content, list) else [content]
    texts = (part.get("text") if isinstance(part, dict) else part for part in parts)
    return "".join(text for text in texts if isinstance(text, str))


def _usage(raw: Any) -> Usage | None:
    if not isinstance(raw, dict):
        return None

    def count(table: Any, name: str) -> int:
        value = table.get(name) if isinstance(table, dict) else None
        return int(value) if isinstance(value, int | float) else 0

    prompt, completion = count(raw, "prompt_tokens"), count(raw, "completion_tokens")
    return Usage(
        prompt,
        completion,
        count(raw, "total_tokens") or prompt + completion,
        count(raw.get("prompt_tokens_details"), "cached_tokens"),
        count(raw.get("completion_tokens_details"), "reasoning_tokens"),
    )


def _is_same_model(asked: str, answering: str) -> bool:
    """Whether two names mean one model: vendors add a path before it, servers a date after it."""
    a, b = (name.lower().rpartition("/")[2].removesuffix(".gguf") for name in (asked, answering))
    if a == b:  # the usual case, without compiling the pattern
        return True
    shorter, longer = sorted((a, b), key=len)
    return longer.startswith(shorter) and bool(
        re.fullmatch(_SAME_MODEL_ENDING, longer[len(shorter) :])
    )


def _not_the_api(data: bytes) -> BadAnswer:
    start = data[:200].decode("utf-8", "replace")
    return BadAnswer(
        f"the server's response is not one of the Chat Completions API: {start!r}",
        hint="Check the base URL; it usually ends in /v1 (qwen auth explain shows who set it).",
    )
