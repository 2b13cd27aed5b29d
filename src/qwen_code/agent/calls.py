"""Tool calls of one answer: what they are, and how several are made side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue
from typing import Any

import msgspec

from qwen_code.agent.events import AgentEvent, ToolFinished, ToolOutput
from qwen_code.agent.toolbox import Prepared
from qwen_code.base.errors import QwenError
from qwen_code.base.secret import redact
from qwen_code.tools.base import Image

__all__ = ["CANCELLED", "Asked", "Ready", "finished", "run_side_by_side"]

CANCELLED = "The user cancelled this."

After = Callable[[Prepared, str], str]
"""Given a call and its result; what it returns is added to what the model is told."""


class Asked(msgspec.Struct):
    """A tool call as the model writes it, in pieces."""

    id: str
    name: str = ""
    arguments: str = ""

    def as_message(self) -> dict[str, Any]:
        """As the Chat Completions API has it; servers refuse a conversation with broken JSON."""
        function = {"name": self.name, "arguments": _object_or_nothing(self.arguments)}
        return {"id": self.id, "type": "function", "function": function}


class Ready(msgspec.Struct):
    """A call that was looked at: understood, or with a problem that the model is told."""

    call: Asked
    prepared: Prepared | None
    problem: str | None = None


class _Cancelled(Exception):
    """Told to a running tool through its output."""


def run_side_by_side(
    group: Sequence[Ready], after: After = lambda *_: ""
) -> Iterator[list[AgentEvent]]:
    """Each call on a thread of its own; what they print and how they end, as it happens.

    Closing the iterator, or an exception such as ``KeyboardInterrupt`` at it, cancels what still
    runs, and waits until it has ended.
    """
    inbox: SimpleQueue[AgentEvent] = SimpleQueue()
    cancelled = threading.Event()
    threads = [
        threading.Thread(target=_run, args=(ready, inbox, cancelled, after), daemon=True)
        for ready in group
    ]
    for thread in threads:
        thread.start()
    left = len(threads)
    try:
        while left:
            event = inbox.get()
            left -= isinstance(event, ToolFinished)
            yield [event]
    finally:
        cancelled.set()
        for thread in threads:
            thread.join()


def finished(
    call: Asked,
    text: str,
    summary: str | None = None,
    *,
    is_error: bool = False,
    is_denied: bool = False,
    image: Image | None = None,
) -> ToolFinished:
    """The end of a call; no secret that this process has met goes on from here."""
    text = redact(text.encode("utf-8", "replace").decode())  # names of files may be no text
    summary = redact(summary if summary is not None else text.partition("\n")[0])
    return ToolFinished(
        call.id,
        call.name,
        text,
        summary,
        is_error=is_error or is_denied,
        is_denied=is_denied,
        image=image,
    )


def _object_or_nothing(text: str) -> str:
    try:
        return text if isinstance(msgspec.json.decode(text), dict) else "{}"
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "{}"


def _run(
    ready: Ready, inbox: SimpleQueue[AgentEvent], cancelled: threading.Event, after: After
) -> None:
    call, prepared = ready.call, ready.prepared
    assert prepared is not None

    def show(text: str) -> None:
        if cancelled.is_set():
            raise _Cancelled
        if text:
            inbox.put(ToolOutput(call.id, redact(text)))

    try:
        result = prepared.run(show)
        text = result.text + after(prepared, result.text)
        end = finished(call, text, result.summary, image=result.image)
    except _Cancelled:
        end = finished(call, CANCELLED, "cancelled", is_error=True)
    except QwenError as error:
        end = finished(call, error.message, is_error=True)
    except Exception as error:  # noqa: BLE001 a tool's mistake must not end the session
        text = f"the tool failed: {type(error).__name__}: {error}"
        end = finished(call, text, is_error=True)
    inbox.put(end)
