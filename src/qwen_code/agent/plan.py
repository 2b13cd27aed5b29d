"""``exit_plan_mode``: shows the plan to a person, who accepts or rejects it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import msgspec

from qwen_code.agent.rules.judge import Judge
from qwen_code.agent.rules.types import Mode
from qwen_code.agent.tool_context import AgentToolContext
from qwen_code.base.stop import Stop
from qwen_code.tools import catalogue
from qwen_code.tools.base import BuiltInTool, Preview, Result
from qwen_code.tools.errors import ToolFailed


class PlanArguments(msgspec.Struct):
    plan: str


class ExitPlanMode(BuiltInTool[PlanArguments]):
    """A person approves the call as any other; when it is executed, they have accepted the plan."""

    definition = catalogue.EXIT_PLAN_MODE
    arguments = PlanArguments

    def __init__(self, judge: Judge) -> None:
        self._judge = judge

    @classmethod
    def create(cls, context: AgentToolContext) -> Self:
        return cls(context.agent.permission.judge)

    def title(self, arguments: PlanArguments) -> str:
        return "the plan is ready"

    def preview(self, arguments: PlanArguments) -> Preview:
        if self._judge.mode is not Mode.PLAN:
            raise ToolFailed("you are not in plan mode; continue with the work")
        return Preview(arguments.plan)

    def run(self, arguments: Any, show: Callable[[str], None], stop: Stop) -> Result:
        mode = self._judge.mode
        return Result(f"The user accepted the plan. You are in {mode} mode now: execute it.", mode)
