"""Which model answers when one cannot, and that it is said."""

from __future__ import annotations

from contextlib import closing

import pytest

from qwen_code.base.errors import CredentialRejected, QwenError, TransportError
from qwen_code.models.errors import (
    ContextLengthExceeded,
    Overloaded,
    QuotaExhausted,
    RateLimited,
    ServerFailed,
)
from qwen_code.models.events import (
    Event,
    EventStream,
    FellBack,
    Finished,
    Notice,
    Retrying,
    TextDelta,
)
from qwen_code.models.fallback import first_answer, may_fall_back

SPENT = QuotaExhausted("spent", hint=None, code=None)
FULL = Overloaded("full", hint=None, code=None)
SLOW = RateLimited("slow", retry_after_s=3600, hint=None, code=None)


class FakeModels:
    """Gives each model's scripted events, then its error if it has one."""

    def __init__(self, **scripts: tuple[list[Event], QwenError | None]) -> None:
        self.scripts = scripts
        self.asked: list[str] = []

    def ask(self, model: str) -> EventStream:
        self.asked.append(model)
        events, error = self.scripts[model]
        for event in events:
            yield [event]
        if error:
            raise error

    def answer(self) -> list[Event]:
        self.seen: list[Event] = []

        def all_events() -> None:
            with closing(first_answer(list(self.scripts), self.ask)) as answer:
                for events in answer:
                    self.seen += events

        all_events()
        return self.seen


GOOD: list[Event] = [TextDelta("hello"), Finished("stop")]


def test_the_first_that_can_answers_and_nothing_is_said() -> None:
    models = FakeModels(a=(GOOD, None), b=(GOOD, None))
    assert models.answer() == GOOD
    assert models.asked == ["a"]


@pytest.mark.parametrize("error", [SPENT, FULL, SLOW])
def test_the_next_one_answers_and_says_why(error: QwenError) -> None:
    models = FakeModels(a=([Retrying(2, 1.0, "x")], error), b=(GOOD, None), c=(GOOD, None))
    assert models.answer() == [
        Retrying(2, 1.0, "x"),
        FellBack("b", "a", error.message),
        *GOOD,
    ]
    assert models.asked == ["a", "b"]


def test_each_step_is_said_and_the_last_reason_is_the_error() -> None:
    models = FakeModels(a=([], SPENT), b=([], FULL), c=([], SLOW))
    with pytest.raises(RateLimited):
        models.answer()
    assert models.seen == [FellBack("b", "a", "spent"), FellBack("c", "b", "full")]


def test_after_the_first_words_nobody_else_is_asked() -> None:
    models = FakeModels(a=([Notice("x"), TextDelta("half")], FULL), b=(GOOD, None))
    with pytest.raises(Overloaded):
        models.answer()
    assert models.asked == ["a"]


@pytest.mark.parametrize(
    "error",
    [
        CredentialRejected("no"),
        TransportError("no", code="connect", retryable=True),
        ServerFailed("boom", hint=None, code=None),
        ContextLengthExceeded("long"),
        QuotaExhausted("the day", hint=None, code=None, is_whole_account=True),
    ],
)
def test_what_another_model_would_not_mend_ends(error: QwenError) -> None:
    assert not may_fall_back(error)
    models = FakeModels(a=([], error), b=(GOOD, None))
    with pytest.raises(type(error)):
        models.answer()
    assert models.asked == ["a"]
