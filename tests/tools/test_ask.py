from __future__ import annotations

from collections.abc import Callable

import pytest

from qwen_code.base.stop import Stop
from qwen_code.tools.ask import AskUser
from qwen_code.tools.base import Result
from qwen_code.tools.errors import ToolFailed


def test_the_answer_goes_to_the_model(call: Callable[..., Result]) -> None:
    asked: list[object] = []

    def ask(question: str, options: object, stop: Stop) -> str:
        asked.append((question, options))
        return "blue"

    result = call(AskUser(ask), question="Which?", options=["red", "blue"])
    assert asked == [("Which?", ["red", "blue"])]
    assert result.text == "The user answered: blue"


def test_no_answer_is_said(call: Callable[..., Result]) -> None:
    with pytest.raises(ToolFailed, match="did not answer"):
        call(AskUser(lambda *_: None), question="Which?")
