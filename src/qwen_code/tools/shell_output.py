"""``shell_output`` and ``shell_stop``: what background commands print, and their end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Self

import msgspec

from qwen_code.base.stop import Stop
from qwen_code.tools import catalogue
from qwen_code.tools.background import BackgroundCommands
from qwen_code.tools.base import BuiltInTool, Result
from qwen_code.tools.context import ToolContext

_MAX_WAIT_S = 600


class OutputArguments(msgspec.Struct):
    id: str
    wait_s: Annotated[int, msgspec.Meta(ge=0, le=_MAX_WAIT_S)] = 0


class ShellOutput(BuiltInTool[OutputArguments]):
    """Gives out what a background command has printed since the last call."""

    definition = catalogue.SHELL_OUTPUT
    arguments = OutputArguments

    def __init__(self, background: BackgroundCommands) -> None:
        self._background = background

    @classmethod
    def create(cls, context: ToolContext) -> Self:
        return cls(context.background)

    def title(self, arguments: OutputArguments) -> str:
        return arguments.id

    def run(self, arguments: OutputArguments, show: Callable[[str], None], stop: Stop) -> Result:
        found = self._background.find(arguments.id)
        found.wait(arguments.wait_s, stop, for_output=True)
        return Result(found.news(), found.ending or "running")


class StopArguments(msgspec.Struct):
    id: str


class ShellStop(BuiltInTool[StopArguments]):
    """Ends a background command with everything that it has started."""

    definition = catalogue.SHELL_STOP
    arguments = StopArguments

    def __init__(self, background: BackgroundCommands) -> None:
        self._background = background

    @classmethod
    def create(cls, context: ToolContext) -> Self:
        return cls(context.background)

    def title(self, arguments: StopArguments) -> str:
        return arguments.id

    def run(self, arguments: StopArguments, show: Callable[[str], None], stop: Stop) -> Result:
        found = self._background.find(arguments.id)
        stop.run_beside(found.stop)
        return Result(found.news(), found.ending)
