"""``task``: a helper with a separate conversation and read-only tools."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any, Self

import msgspec

from qwen_code.agent.events import AgentEvent, HelperEvent, TurnEnded
from qwen_code.agent.instructions import HELPER
from qwen_code.agent.permission import Permission
from qwen_code.agent.progress import words_of
from qwen_code.agent.tool_context import AgentToolContext
from qwen_code.agent.toolbox import Toolbox
from qwen_code.agent.turn import ChatModel, Turn
from qwen_code.base.stop import Stop
from qwen_code.tools import catalogue
from qwen_code.tools.base import BuiltInTool, Result
from qwen_code.tools.errors import ToolFailed

_MAX_ROUNDS = 30
_KIND = "general-purpose"
"""What hooks know the helper as."""


class TaskArguments(msgspec.Struct):
    prompt: str


class Task(BuiltInTool[TaskArguments]):
    """The helper has the tools of ``toolbox`` and the permissions of the agent."""

    definition = catalogue.TASK
    arguments = TaskArguments

    def __init__(
        self, model: Callable[[], ChatModel], toolbox: Toolbox, permission: Permission, place: str
    ) -> None:
        self._model = model
        self._toolbox = toolbox
        self._permission = permission
        self._place = place

    @classmethod
    def create(cls, context: AgentToolContext) -> Self:
        agent = context.agent
        toolbox = agent.toolbox.offered_to("helpers")
        return cls(lambda: agent.model, toolbox, agent.permission, context.place)

    def title(self, arguments: TaskArguments) -> str:
        return arguments.prompt

    def run(self, arguments: TaskArguments, show: Callable[[str], None], stop: Stop) -> Result:
        raise ToolFailed("helpers are not available here")

    def delegate(
        self, call_id: str, arguments: TaskArguments, stop: Stop
    ) -> Generator[list[AgentEvent], None, Result]:
        """Yields the helper's events; returns its answer.

        Raises:
            QwenError: the request failed.
            Stopped: the turn was stopped.
        """
        hooks, prompt = self._permission.hooks, arguments.prompt
        if hooks is not None and (told := hooks.subagent_started(call_id, _KIND, stop)):
            prompt += f"\n\n{told}"
        turn = Turn(
            self._model(),
            self._toolbox,
            self._permission,
            stop,
            max_rounds=_MAX_ROUNDS,
            before_end=lambda text: (
                hooks.subagent_ended(call_id, _KIND, text, stop) if hooks else None
            ),
        )
        messages: list[dict[str, Any]] = [{"role": "user", "content": prompt}]
        system = [{"role": "system", "content": f"{HELPER}\n\n{self._place}"}]
        rounds = 0
        with closing(turn.run(messages, lambda: system)) as events:
            for batch in events:
                rounds = next((e.rounds for e in batch if isinstance(e, TurnEnded)), rounds)
                yield [HelperEvent(call_id, event) for event in batch]
        stop.check()
        text = words_of(messages[-1]) if messages[-1]["role"] == "assistant" else ""
        if not text:
            raise ToolFailed("the helper ended without an answer; give it a smaller task")
        return Result(text, f"{rounds} rounds")
