"""``ask_user``: a question that only the user can answer."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, Self

import msgspec

from qwen_code.base.stop import Stop
from qwen_code.tools import catalogue
from qwen_code.tools.base import BuiltInTool, Result
from qwen_code.tools.context import ToolContext
from qwen_code.tools.errors import ToolFailed


class AskArguments(msgspec.Struct):
    question: str
    options: list[str] = []


class AskUser(BuiltInTool[AskArguments]):
    """``ask`` gets the question and the options, and returns what the user says.

    It is there in interactive sessions alone.
    """

    definition = catalogue.ASK_USER
    arguments = AskArguments

    def __init__(self, ask: Callable[[str, Sequence[str], Stop], str | None]) -> None:
        self._ask = ask

    @classmethod
    def create(cls, context: ToolContext) -> Self:
        assert context.ask_user is not None, "it is offered in interactive sessions alone"
        return cls(context.ask_user)

    def title(self, arguments: AskArguments) -> str:
        return arguments.question

    def run(self, arguments: AskArguments, show: Callable[[str], None], stop: Stop) -> Result:
        answer = self._ask(arguments.question, arguments.options, stop)
        if not answer:
            raise ToolFailed("the user gave no answer; go on with what you think best, and say so")
        return Result(f"The user answered: {answer}", answer)

    def delegate(
        self, call_id: str, arguments: AskArguments, stop: Stop
    ) -> Generator[Any, None, Result]:
        """As ``run``, and on the thread that the terminal belongs to."""
        return self.run(arguments, lambda _: None, stop)
        yield  # what makes it a generator
