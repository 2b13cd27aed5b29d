"""If a model cannot answer, send the request to the next one, and tell the user."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing

from qwen_code.base.errors import QwenError
from qwen_code.models.errors import Overloaded, QuotaExhausted, RateLimited
from qwen_code.models.events import EventStream, FellBack, holds_answer

AskModel = Callable[[str], EventStream]


def may_fall_back(error: QwenError) -> bool:
    """Whether another model can help after this error.

    Yes for a used-up quota (unless it is the whole account's), rate limits and overload. No for
    a rejected key, a network error or an invalid request.
    """
    if isinstance(error, QuotaExhausted):
        return not error.is_whole_account
    return isinstance(error, RateLimited | Overloaded)


def first_answer(models: Sequence[str], ask: AskModel) -> EventStream:
    """The answer of the first of ``models`` that gives one; `FellBack` reports every step.

    After the first event of an answer, no other model is tried.

    Raises:
        QwenError: the last model's error, or one that no other model can help with.
    """
    for number, model in enumerate(models, start=1):
        given = False
        try:
            with closing(ask(model)) as answer:
                for events in answer:
                    given = given or holds_answer(events)
                    yield events
            return
        except QwenError as error:
            if given or number == len(models) or not may_fall_back(error):
                raise
            yield [FellBack(models[number], model, error.message)]
