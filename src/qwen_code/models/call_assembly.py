"""Tells the tool calls of a stream apart, and puts their parts together.

The API sends an index with each part, and id and name with the first one. Servers leave out the
index or the id, give several calls the same one, change the id with each part, repeat the name, or
send the arguments so far again.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import msgspec

from qwen_code.base.ids import new_uuid
from qwen_code.base.json_text import decode_json
from qwen_code.models.chunks import CallChunk
from qwen_code.models.errors import BadAnswer
from qwen_code.models.events import ToolCallDelta

_MAX_CALLS = 1000
"""Of one answer. No model means more than that; a server that repeats itself may send them."""
_MAX_CHECKS = 200
_GROWTH = 1.2


class _Call:
    """A call so far. ``held`` are parts of the arguments that may repeat what came before."""

    def __init__(self, index: int, call_id: str, name: str) -> None:
        self.index = index
        self.id = call_id
        self.name = name
        self.parts: list[str] = []
        self.held: list[str] = []
        self._length = 0
        self._checks = 0
        self._checked_length = 0

    @property
    def is_complete(self) -> bool:
        """Whether the arguments so far are a whole JSON object.

        That looks at all of them. After many times they must have grown, so that arguments in
        very many parts do not take quadratic time.
        """
        last = (self.held or self.parts or [""])[-1]
        if not last.rstrip().endswith("}"):
            return False
        self._checks += 1
        if self._checks > _MAX_CHECKS and self._length < self._checked_length * _GROWTH:
            return False
        self._checked_length = self._length
        return _is_object(self.settled()[0])

    def add(self, part: str) -> str:
        """Add a part of the arguments; returns what is certain to be new."""
        if self.held or (self.parts and part[:1] == "{" and self._may_begin_again(part)):
            self.held.append(part)
            return ""
        self.parts.append(part)
        self._length += len(part)
        return part

    def _may_begin_again(self, part: str) -> bool:
        if len(part) >= self._length:
            return part.startswith("".join(self.parts)) or self.is_complete
        return self.is_complete

    def settled(self) -> tuple[str, str]:
        """The whole arguments, and their part that :meth:`add` has not returned."""
        sent = "".join(self.parts)
        if not self.held:
            return sent, ""
        joined = sent + "".join(self.held)
        if _is_object(joined):
            return joined, joined[len(sent) :]
        again = self.held[-1]
        if again.startswith(sent) and len(again) > len(sent):
            return again, again[len(sent) :]
        return (sent, "") if _is_object(sent) else (joined, joined[len(sent) :])


class CallAssembly:
    """The calls of one answer. ``tools`` are the names of those that the model was offered."""

    def __init__(self, tools: Container[str]) -> None:
        self._tools = tools
        self._calls: list[_Call] = []
        self._of_id: dict[str, _Call] = {}
        self._of_index: dict[int, _Call] = {}
        """The latest call under a server's index."""

    @property
    def count(self) -> int:
        """How many calls there are so far."""
        return len(self._calls)

    def add(self, chunk: CallChunk) -> list[ToolCallDelta]:
        """The events of a part of a call; the first one of a call has its id and name.

        Raises:
            BadAnswer: there are more than a thousand calls.
        """
        arguments = _as_text(chunk.arguments)
        call = self._continued(chunk, arguments)
        if call is None:
            return self._begin(chunk, arguments)
        more = _rest_of_name(call.name, chunk.name)
        call.name += more
        new = call.add(arguments) if arguments else ""
        return [ToolCallDelta(call.index, None, more or None, new)]

    def close(self) -> list[ToolCallDelta]:
        """The parts that were held back because they might have been repetitions."""
        rests = ((call, call.settled()[1]) for call in self._calls)
        return [ToolCallDelta(call.index, None, None, rest) for call, rest in rests if rest]

    def _begin(self, chunk: CallChunk, arguments: str) -> list[ToolCallDelta]:
        index = len(self._calls)
        if index >= _MAX_CALLS:
            raise BadAnswer(f"the model made more than {_MAX_CALLS:,} calls in one answer")
        is_free = chunk.id and chunk.id not in self._of_id
        call_id = chunk.id if chunk.id and is_free else f"call_{new_uuid()}"
        call = self._of_id[call_id] = _Call(index, call_id, chunk.name or "")
        self._calls.append(call)
        if chunk.index is not None:
            self._of_index[chunk.index] = call
        new = call.add(arguments) if arguments else ""
        return [ToolCallDelta(index, call_id, chunk.name, new)]

    def _continued(self, chunk: CallChunk, arguments: str) -> _Call | None:
        """The call that a part belongs to; ``None`` if it begins another."""
        by_id = self._of_id.get(chunk.id) if chunk.id else None
        if chunk.index is not None:
            call = self._of_index.get(chunk.index)
            call = by_id if call and by_id else call
        elif by_id is not None or not chunk.id:
            call = by_id or (self._calls[-1] if self._calls else None)
        else:
            return None
        if call is None or self._is_another(call, chunk, arguments, has_new_id=by_id is None):
            return None
        return call

    def _is_another(
        self, call: _Call, chunk: CallChunk, arguments: str, *, has_new_id: bool
    ) -> bool:
        """Whether a part with the index or the id of ``call`` begins another call all the same."""
        if not chunk.name:
            return False
        if not self._can_continue(call.name, chunk.name):
            return True
        if chunk.id and has_new_id:
            return call.is_complete or not (call.parts or call.held)
        if not arguments.startswith("{") or not call.is_complete:
            return False
        return not _same(arguments, call.settled()[0])

    def _can_continue(self, name: str, more: str) -> bool:
        """Whether ``more`` repeats a name, or is the rest of one."""
        if more.startswith(name):
            return True
        return name not in self._tools and more not in self._tools


def _rest_of_name(name: str, more: str | None) -> str:
    if not more:
        return ""
    return more.removeprefix(name)


def _same(arguments: str, others: str) -> bool:
    """Whether arguments are the others again, or a repetition of them that goes on."""
    return arguments == others or others.startswith(arguments) or arguments.startswith(others)


def _as_text(arguments: Any) -> str:
    if arguments is None:
        return ""
    return arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()


def _is_object(text: str) -> bool:
    if not text.rstrip().endswith("}"):
        return False
    try:
        return isinstance(decode_json(text), dict)
    except msgspec.DecodeError:
        return False
