"""The tool calls of one answer, and how several of them are executed in parallel."""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Protocol

import msgspec

from qwen_code.agent.errors import ToolCallsExceeded
from qwen_code.agent.events import (
    AgentEvent,
    AgentEventStream,
    ToolAsked,
    ToolFinished,
    ToolOutput,
)
from qwen_code.agent.toolbox import Prepared
from qwen_code.base.errors import QwenError
from qwen_code.base.json_text import decode_json
from qwen_code.base.secret import StreamRedactor, redact
from qwen_code.base.stop import Stop, Stopped, take
from qwen_code.tools.base import Definition, Effect, Result

STOPPED = "The user stopped this."

_MAX_NAME_LENGTH = 64

_STOP_GRACE_S = 0.15
"""How long tools may take to end after a stop; then the turn no longer waits for them."""

_MAX_WAITING_EVENTS = 64
"""How many events of a tool's output may be queued before the tool has to wait."""


class Added(msgspec.Struct, frozen=True):
    """What hooks make of the result of a call: ``text`` is appended; ``instead`` is the error that
    the model gets in its place."""

    text: str = ""
    instead: str = ""


class CallHooks(Protocol):
    """What is told of calls when they have ended."""

    def after(
        self, call_id: str, prepared: Prepared, text: str, summary: str, ran_s: float, stop: Stop
    ) -> Added: ...

    def failed(
        self, call_id: str, prepared: Prepared, error: str, ran_s: float, stop: Stop
    ) -> Added: ...


class ToolCall(msgspec.Struct):
    """A tool call as the model streams it."""

    id: str
    name: str = ""
    arguments: str = ""

    def as_message(self) -> dict[str, Any]:
        """In the format of the Chat Completions API; servers reject arguments that are not JSON."""
        arguments = acceptable_arguments(self.arguments)
        function = {"name": acceptable_name(self.name), "arguments": arguments}
        return {"id": self.id, "type": "function", "function": function}


def acceptable_name(name: str) -> str:
    """The name of a tool as servers accept it, even if the model made it up."""
    return re.sub("[^A-Za-z0-9_-]", "_", name)[:_MAX_NAME_LENGTH] or "unknown"


class Ready(msgspec.Struct):
    """A parsed call, or the problem with it that the model is told."""

    call: ToolCall
    prepared: Prepared | None
    problem: str | None = None


def run_in_parallel(
    group: Sequence[Ready], stop: Stop, hooks: CallHooks | None = None
) -> AgentEventStream:
    """Execute each call on its own thread; yields their output and their results as they come.

    When ``stop`` is set, or the iterator is closed, all calls are stopped. Every call still gets
    its `ToolFinished`, within 200 ms; a tool that does not react is abandoned.
    """
    inbox: SimpleQueue[AgentEvent | None] = SimpleQueue()
    own = Stop()
    threads = [
        threading.Thread(target=_run, args=(ready, inbox, own, hooks), daemon=True)
        for ready in group
    ]
    running = {ready.call.id: ready.call for ready in group}
    deadline = 0.0
    try:
        with stop.calling(lambda: _pass_on(stop, own, inbox)):
            for thread in threads:
                thread.start()
            while running and not own.is_set and (event := take(inbox)) is not None:
                if isinstance(event, ToolFinished):
                    del running[event.call_id]
                yield [event]
        deadline = time.monotonic() + _STOP_GRACE_S
        yield from _last_events(inbox, running, deadline, own)
    finally:
        own.set()
        deadline = deadline or time.monotonic() + _STOP_GRACE_S  # shared by both waits
        for thread in threads:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))


def told_of_stop(stop: Stop) -> str:
    """The result of a call that ``stop`` ended."""
    return STOPPED if stop.reason is None else f"This was stopped: {stop.reason.message}."


def _pass_on(stop: Stop, own: Stop, inbox: SimpleQueue[AgentEvent | None]) -> None:
    own.set(stop.reason)
    inbox.put(None)


def _last_events(
    inbox: SimpleQueue[AgentEvent | None], running: dict[str, ToolCall], deadline: float, stop: Stop
) -> AgentEventStream:
    """The last events of stopped calls. Queued output is dropped: showing it could take longer
    than printing it did."""
    while running and (left_s := deadline - time.monotonic()) > 0:
        with suppress(Empty):
            event = inbox.get(timeout=left_s)
            if isinstance(event, ToolFinished):
                del running[event.call_id]
            if event is not None and not isinstance(event, ToolOutput):
                yield [event]
    for call in running.values():
        yield [finished(call, Result(told_of_stop(stop), "stopped"), is_error=True)]


def announced(
    call: ToolCall, definition: Definition | None, prepared: Prepared | None
) -> ToolAsked:
    """The start of a call. Without ``prepared`` it cannot be executed."""
    return ToolAsked(
        call.id,
        call.name,
        prepared.title if prepared else "",
        call.arguments,
        definition.verb if definition else "",
        prepared.definition.effect if prepared else Effect.NONE,
        takes_long=prepared is not None and prepared.definition.takes_long,
    )


def finished(
    call: ToolCall,
    result: Result,
    *,
    is_error: bool = False,
    is_denied: bool = False,
    ran_s: float = 0.0,
) -> ToolFinished:
    """The end of a call, with all secrets that are known to this process redacted."""
    text = redact(
        result.text.encode("utf-8", "replace").decode()
    )  # file names may not be valid text
    return ToolFinished(
        call.id,
        call.name,
        text,
        redact(result.summary) if result.summary else text.partition("\n")[0],
        is_error=is_error,
        is_denied=is_denied,
        image=result.image,
        change=result.change,
        todos=result.todos,
        ran_s=ran_s,
    )


def ended(
    ready: Ready,
    result: Result,
    hooks: CallHooks | None,
    stop: Stop,
    *,
    ran_s: float,
    is_error: bool = False,
) -> ToolFinished:
    """The end of a call that was executed, as `completed` makes it."""
    call, prepared = ready.call, ready.prepared
    assert prepared is not None
    result, is_error = completed(
        call.id, prepared, result, hooks, stop, ran_s=ran_s, is_error=is_error
    )
    return finished(call, result, is_error=is_error, ran_s=ran_s)


def completed(
    call_id: str,
    prepared: Prepared,
    result: Result,
    hooks: CallHooks | None,
    stop: Stop,
    *,
    ran_s: float,
    is_error: bool = False,
) -> tuple[Result, bool]:
    """The result for the model, with a note if the call was changed, and with what hooks add; and
    whether it is an error. If hooks are stopped, the result is kept."""
    added = Added()
    if hooks is not None:
        text = redact(result.text.encode("utf-8", "replace").decode())
        with suppress(Stopped):
            if is_error:
                added = hooks.failed(call_id, prepared, text, ran_s, stop)
            else:
                added = hooks.after(call_id, prepared, text, result.summary, ran_s, stop)
    if added.instead:
        replaced = msgspec.structs.replace(result, text=added.instead, summary="", image=None)
        return replaced, True
    note = "" if is_error else prepared.note
    return msgspec.structs.replace(result, text=note + result.text + added.text), is_error


def acceptable_arguments(text: str) -> str:
    """The arguments of a call as servers accept them: a JSON object, else ``{}``."""
    try:
        return text if isinstance(decode_json(text), dict) else "{}"
    except msgspec.DecodeError:
        return "{}"


def _run(
    ready: Ready, inbox: SimpleQueue[AgentEvent | None], stop: Stop, hooks: CallHooks | None
) -> None:
    call, prepared = ready.call, ready.prepared
    assert prepared is not None
    began, is_error = time.monotonic(), True
    redactor = StreamRedactor()

    def show(text: str) -> None:
        put(redactor.feed(text))

    def put(text: str) -> None:
        if not text:
            return
        while inbox.qsize() > _MAX_WAITING_EVENTS and not stop.is_set:
            time.sleep(0.005)  # the front is slower than the tool
        inbox.put(ToolOutput(call.id, text))

    try:
        stop.check()
        result = prepared.run(show, stop)
        is_error = False
    except Stopped:
        result, hooks = Result(told_of_stop(stop), "stopped"), None
    except QwenError as error:
        result = Result(error.message, "")
    except Exception as error:  # noqa: BLE001 a tool's mistake must not end the session
        result = Result(f"the tool failed: {type(error).__name__}: {error}", "")
    put(redactor.flush())
    ran_s = time.monotonic() - began
    inbox.put(ended(ready, result, hooks, stop, ran_s=ran_s, is_error=is_error))


FINAL_ANSWER = "structured_output"
"""The tool that takes an answer with a schema. It is not work, so it does not count."""


class CallBudget:
    """Counts the calls of the agent and of its helpers for one prompt, failed ones included.

    The first call beyond ``limit`` sets the `Stop`, and is not made. ``set_by`` is for the error.
    """

    def __init__(self, limit: float = math.inf, set_by: str = "") -> None:
        self._limit = limit
        self._set_by = set_by
        self._count = 0

    def begin(self) -> None:
        """Count from 0, for the next prompt."""
        self._count = 0

    def count(self, name: str, stop: Stop) -> None:
        """Count a call of the tool ``name`` that is about to be made."""
        if name == FINAL_ANSWER:
            return
        self._count += 1
        if self._count > self._limit:
            stop.set(ToolCallsExceeded(self._limit, self._set_by))
