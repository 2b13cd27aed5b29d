"""``task``: a question for a helper, a conversation of its own with tools that only read."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any

import msgspec

from qwen_code.agent.events import AgentEvent, HelperEvent, TurnEnded
from qwen_code.agent.instructions import HELPER
from qwen_code.agent.progress import words_of
from qwen_code.agent.toolbox import Toolbox
from qwen_code.agent.turn import Model, Policy, Turn
from qwen_code.tools import catalogue
from qwen_code.tools.base import OwnTool, Result
from qwen_code.tools.errors import ToolFailed

__all__ = ["Task"]

_MOST_ROUNDS = 30


class TaskArguments(msgspec.Struct):
    prompt: str


class Task(OwnTool[TaskArguments]):
    """The helper has the tools of ``toolbox`` and the same policy; ``model`` gives who answers."""

    definition = catalogue.TASK
    arguments = TaskArguments

    def __init__(
        self, model: Callable[[], Model], toolbox: Toolbox, policy: Policy, place: str
    ) -> None:
        self._model = model
        self._toolbox = toolbox
        self._policy = policy
        self._place = place

    def title(self, arguments: TaskArguments) -> str:
        return arguments.prompt

    def run(self, arguments: TaskArguments, show: Callable[[str], None]) -> Result:
        raise ToolFailed("a helper cannot be called here")

    def delegate(self, arguments: TaskArguments) -> Generator[list[AgentEvent], None, Result]:
        """Its events; returns what it answers.

        Raises:
            QwenError: the model cannot be asked.
        """
        turn = Turn(self._model(), self._toolbox, self._policy, most_rounds=_MOST_ROUNDS)
        messages: list[dict[str, Any]] = [{"role": "user", "content": arguments.prompt}]
        system = [{"role": "system", "content": f"{HELPER}\n\n{self._place}"}]
        rounds = 0
        with closing(turn.run(messages, system)) as events:
            for batch in events:
                rounds = next((e.rounds for e in batch if isinstance(e, TurnEnded)), rounds)
                yield [HelperEvent(event) for event in batch]
        text = words_of(messages[-1]) if messages[-1]["role"] == "assistant" else ""
        if not text:
            raise ToolFailed("the helper ended without an answer; ask for less at once")
        return Result(text, f"{rounds} rounds")
