"""``skill``: reads one of the skills that the model was told of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import msgspec

from qwen_code.agent.session_skills import SessionSkills
from qwen_code.agent.tool_context import AgentToolContext
from qwen_code.base.stop import Stop
from qwen_code.tools import catalogue
from qwen_code.tools.base import BuiltInTool, Result
from qwen_code.tools.text import counted


class SkillArguments(msgspec.Struct):
    skill: str


class SkillTool(BuiltInTool[SkillArguments]):
    """Returns the instructions of a skill."""

    definition = catalogue.SKILL
    arguments = SkillArguments

    def __init__(self, skills: SessionSkills) -> None:
        self._skills = skills

    @classmethod
    def create(cls, context: AgentToolContext) -> Self:
        return cls(context.skills)

    def title(self, arguments: SkillArguments) -> str:
        return arguments.skill

    def subject(self, arguments: SkillArguments) -> str:
        return self._skills.full_name(arguments.skill)

    def run(self, arguments: SkillArguments, show: Callable[[str], None], stop: Stop) -> Result:
        text = self._skills.read(arguments.skill)
        return Result(text, counted(text.count("\n") + 1, "line"))
