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
    """``ask`` gets the question and the options, and returns the user's answer.

    Only interactive sessions offer it.
    """

    definition = catalogue.ASK_USER
    arguments = AskArguments

    def __init__(self, ask: Callable[[str, Sequence[str], Stop], str | None]) -> None:
        self._ask = ask

    @classmethod
    def create(cls, context: ToolContext) -> Self:
        assert context.ask_user is not None, "only interactive sessions offer it"
        return cls(context.ask_user)

    def title(self, arguments: AskArguments) -> str:
        return arguments.question

    def run(self, arguments: AskArguments, show: Callable[[str], None], stop: Stop) -> Result:
        answer = self._ask(arguments.question, arguments.options, stop)
        if not answer:
            raise ToolFailed(
                "the user did not answer; use your best judgement, and say that you did"
            )
        return Result(f"The user answered: {answer}", answer)

    def delegate(
        self, call_id: str, arguments: AskArguments, stop: Stop
    ) -> Generator[Any, None, Result]:
        """As ``run``, but on the thread that owns the terminal."""
        return self.run(arguments, lambda _: None, stop)
        yield  # makes this function a generator
