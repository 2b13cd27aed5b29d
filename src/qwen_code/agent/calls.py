"""Tool calls of one answer: what they are, and how several are made side by side."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

import msgspec

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
from qwen_code.base.secret import redact
from qwen_code.base.stop import Stop, Stopped
from qwen_code.tools.base import Definition, Effect, Result

STOPPED = "The user stopped this."

_MAX_NAME_LENGTH = 64

_STOP_GRACE_S = 0.15
"""How long tools may take to end after a stop. What is still busy then is not waited for."""

_MAX_WAITING_EVENTS = 64
"""How far a tool may run ahead of the front that shows what it prints, before it is held back."""

After = Callable[[Prepared, str, Stop], str]
"""Given a call and its result; what it returns is added to what the model is told."""


class ToolCall(msgspec.Struct):
    """A tool call as the model writes it, in pieces."""

    id: str
    name: str = ""
    arguments: str = ""

    def as_message(self) -> dict[str, Any]:
        """As the Chat Completions API has it; servers refuse a conversation with broken JSON."""
        arguments = acceptable_arguments(self.arguments)
        function = {"name": acceptable_name(self.name), "arguments": arguments}
        return {"id": self.id, "type": "function", "function": function}


def acceptable_name(name: str) -> str:
    """The name of a tool as servers accept it, also where a model made it up."""
    return re.sub("[^A-Za-z0-9_-]", "_", name)[:_MAX_NAME_LENGTH] or "unknown"


class Ready(msgspec.Struct):
    """A call that was looked at: understood, or with a problem that the model is told."""

    call: ToolCall
    prepared: Prepared | None
    problem: str | None = None


def run_side_by_side(
    group: Sequence[Ready], stop: Stop, after: After = lambda *_: ""
) -> AgentEventStream:
    """Each call on its own thread; what they print and how they end, as it happens.

    When ``stop`` is set, or the iterator is closed, everything that still runs is stopped. Every
    call gets its end all the same, within 200 ms; a tool that does not hear is left behind.
    """
    inbox: SimpleQueue[AgentEvent | None] = SimpleQueue()
    own = Stop()
    threads = [
        threading.Thread(target=_run, args=(ready, inbox, own, after), daemon=True)
        for ready in group
    ]
    running = {ready.call.id: ready.call for ready in group}
    deadline = 0.0
    try:
        with stop.calling(lambda: _pass_on(own, inbox)):
            for thread in threads:
                thread.start()
            while running and not own.is_set and (event := inbox.get()) is not None:
                if isinstance(event, ToolFinished):
                    del running[event.call_id]
                yield [event]
        deadline = time.monotonic() + _STOP_GRACE_S
        yield from _last_events(inbox, running, deadline)
    finally:
        own.set()
        deadline = deadline or time.monotonic() + _STOP_GRACE_S  # one for both waits
        for thread in threads:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))


def _pass_on(own: Stop, inbox: SimpleQueue[AgentEvent | None]) -> None:
    own.set()
    inbox.put(None)


def _last_events(
    inbox: SimpleQueue[AgentEvent | None], running: dict[str, ToolCall], deadline: float
) -> AgentEventStream:
    """What still comes of the calls that were stopped. What they printed before is left out:
    showing it may take longer than printing it."""
    while running and (left_s := deadline - time.monotonic()) > 0:
        with suppress(Empty):
            event = inbox.get(timeout=left_s)
            if isinstance(event, ToolFinished):
                del running[event.call_id]
            if event is not None and not isinstance(event, ToolOutput):
                yield [event]
    for call in running.values():
        yield [finished(call, Result(STOPPED, "stopped"), is_error=True)]


def announced(
    call: ToolCall, definition: Definition | None, prepared: Prepared | None
) -> ToolAsked:
    """The beginning of a call. Without ``prepared`` it cannot be made."""
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
    """The end of a call; no secret that this process has met goes on from here."""
    text = redact(result.text.encode("utf-8", "replace").decode())  # file names may be no text
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


def completed(prepared: Prepared, result: Result, after: After, stop: Stop) -> Result:
    """The result as the model is told it: with what the person changed of the call, and with what
    ``after`` adds. A stop in the middle of that takes nothing back."""
    added = ""
    with suppress(Stopped):
        added = after(prepared, result.text.encode("utf-8", "replace").decode(), stop)
    return msgspec.structs.replace(result, text=prepared.note + result.text + added)


def acceptable_arguments(text: str) -> str:
    """The arguments of a call as servers accept them: a JSON object, ``{}`` for anything else."""
    try:
        return text if isinstance(decode_json(text), dict) else "{}"
    except msgspec.DecodeError:
        return "{}"


def _run(ready: Ready, inbox: SimpleQueue[AgentEvent | None], stop: Stop, after: After) -> None:
    call, prepared = ready.call, ready.prepared
    assert prepared is not None
    began, is_error = time.monotonic(), True

    def show(text: str) -> None:
        if not text:
            return
        while inbox.qsize() > _MAX_WAITING_EVENTS and not stop.is_set:
            time.sleep(0.005)  # the front is slower than the tool
        inbox.put(ToolOutput(call.id, redact(text)))

    try:
        stop.check()
        result = completed(prepared, prepared.run(show, stop), after, stop)
        is_error = False
    except Stopped:
        result = Result(STOPPED, "stopped")
    except QwenError as error:
        result = Result(error.message, "")
    except Exception as error:  # noqa: BLE001 a tool's mistake must not end the session
        result = Result(f"the tool failed: {type(error).__name__}: {error}", "")
    inbox.put(finished(call, result, is_error=is_error, ran_s=time.monotonic() - began))
