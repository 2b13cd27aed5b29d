"""Several helpers at once: each on its own thread, their events one after the other.

Whatever a person has to answer is asked on the thread of the turn, so that no two questions are
open, and no event is shown while one is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, suppress
from queue import Empty, SimpleQueue
from typing import Any, TypeVar, cast

import msgspec

from qwen_code.agent.calls import CallHooks, Ready, ended
from qwen_code.agent.errors import HelperUnanswered
from qwen_code.agent.events import AgentEvent, AgentEventStream
from qwen_code.agent.turn import Helping
from qwen_code.base.errors import QwenError
from qwen_code.base.stop import Stop, Stopped, take
from qwen_code.tools.base import Result

T = TypeVar("T")

_STOP_GRACE_S = 0.12
"""How long helpers may take to end after a stop; then they are no longer waited for."""

_LOOK_S = 0.5
"""How often a helper that waits for an answer looks whether the turn is over."""

_MAX_WAITING = 64
"""How many events may be queued before a helper has to wait."""

Work = Generator[list[AgentEvent], None, Result]


class _Asked(msgspec.Struct):
    """Something to be done on the thread of the turn."""

    work: Callable[[], Any]
    answer: SimpleQueue[tuple[Any, BaseException | None]]


class _Ended(msgspec.Struct):
    call_id: str
    result: Result | BaseException


def run_helpers(group: Sequence[Ready], stop: Stop, hooks: CallHooks | None) -> AgentEventStream:
    """Run the calls of helpers side by side. One that fails costs itself.

    Raises:
        QwenError: the endpoint answered none of them, so it would not answer the agent either.
        Stopped: ``stop`` was set; helpers that did not react at once are abandoned.
    """
    began = time.monotonic()
    unanswered: list[QwenError] = []

    def end_of(call_id: str, result: Result | BaseException) -> list[AgentEvent]:
        ready = next(each for each in group if each.call.id == call_id)
        if isinstance(result, Stopped) and stop.is_set:
            return []  # the turn says that it was stopped
        ran_s = time.monotonic() - began
        if isinstance(result, HelperUnanswered):
            unanswered.append(result.error)
        is_error = not isinstance(result, Result)
        told = result if isinstance(result, Result) else _failed(result)
        return [ended(ready, told, hooks, stop, ran_s=ran_s, is_error=is_error)]

    side = SideBySide(end_of)
    yield from side.run({each.call.id: _work_of(each, side) for each in group}, stop)
    if len(unanswered) == len(group):
        raise unanswered[0]


def _work_of(ready: Ready, side: SideBySide) -> Callable[[Stop], Work]:
    call, prepared = ready.call, ready.prepared
    assert prepared is not None
    tool = prepared.tool
    assert isinstance(tool, Helping)
    return lambda stop: tool.help(call.id, prepared.arguments, stop, side.ask)


def _failed(error: BaseException) -> Result:
    if isinstance(error, Stopped):
        return Result("The user stopped this helper.", "stopped")
    if isinstance(error, QwenError):
        return Result(error.message, "")
    return Result(f"the helper failed: {type(error).__name__}: {error}", "")


class SideBySide:
    """Runs helpers. `ask` is called on their threads. ``ended`` returns the events that tell how
    one ended."""

    def __init__(self, ended: Callable[[str, Result | BaseException], list[AgentEvent]]) -> None:
        self._ended = ended
        self._left = 0
        self._inbox: SimpleQueue[list[AgentEvent] | _Asked | _Ended | None] = SimpleQueue()
        self._stops: dict[str, Stop] = {}
        self._is_over = False

    def ask(self, work: Callable[[], T]) -> T:
        """Do ``work`` on the thread of the turn, when everything before it is shown.

        Raises:
            Stopped: the turn has ended.
        """
        asked = _Asked(work, SimpleQueue())
        self._inbox.put(asked)
        while not self._is_over:
            with suppress(Empty):
                result, error = asked.answer.get(timeout=_LOOK_S)
                if error is not None:
                    raise error
                return cast("T", result)
        raise Stopped

    def run(self, works: dict[str, Callable[[Stop], Work]], stop: Stop) -> AgentEventStream:
        """Run all of them, by their calls; yields their events as they come.

        Raises:
            Stopped: ``stop`` was set.
        """
        self._stops = {call_id: Stop() for call_id in works}
        self._left = len(works)
        try:
            with stop.calling(lambda: self._end(stop)):
                for call_id, work in works.items():
                    arguments = (call_id, work, self._stops[call_id])
                    threading.Thread(target=self._work, args=arguments, daemon=True).start()
                while self._left and not stop.is_set:
                    yield from self._take(take(self._inbox))
            yield from self._last()
        finally:
            self._is_over = True
            self._end(stop)
        stop.check()

    def _take(self, item: list[AgentEvent] | _Asked | _Ended | None) -> AgentEventStream:
        if isinstance(item, _Asked):
            try:
                item.answer.put((item.work(), None))
            except BaseException as error:
                item.answer.put((None, error))
                if not isinstance(error, Exception | Stopped):
                    raise
        elif isinstance(item, _Ended):
            self._left -= 1
            yield self._ended(item.call_id, item.result)
        elif item is not None:
            yield item

    def _last(self) -> AgentEventStream:
        """What comes in the short time that helpers have to end."""
        deadline = time.monotonic() + _STOP_GRACE_S
        while self._left and (left_s := deadline - time.monotonic()) > 0:
            with suppress(Empty):
                item = self._inbox.get(timeout=left_s)
                if isinstance(item, _Asked):
                    item.answer.put((None, Stopped()))
                else:
                    yield from self._take(item)

    def _end(self, stop: Stop) -> None:
        for each in self._stops.values():
            each.set(stop.reason)
        self._inbox.put(None)

    def _work(self, call_id: str, work: Callable[[Stop], Work], stop: Stop) -> None:
        result: Result | BaseException
        try:
            with closing(work(stop)) as events:
                while True:
                    try:
                        batch = next(events)
                    except StopIteration as end:
                        result = end.value
                        break
                    while self._inbox.qsize() > _MAX_WAITING and not stop.is_set:
                        time.sleep(0.005)  # the front is slower than the helpers
                    self._inbox.put(batch)
        except BaseException as error:  # noqa: BLE001 it is the result of the call
            result = error
        self._inbox.put(_Ended(call_id, result))
