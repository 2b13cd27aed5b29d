"""When one model cannot answer, the next one is asked the same, and never silently."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing

from qwen_code.base.errors import QwenError
from qwen_code.models.errors import Overloaded, QuotaExhausted, RateLimited
from qwen_code.models.events import EventStream, FellBack, holds_answer

Ask = Callable[[str], EventStream]


def may_fall_back(error: QwenError) -> bool:
    """Whether another model could do what this error kept one from doing.

    Used up (unless it is the whole account's allowance), throttled, overloaded: yes. A refused
    key, a broken network or a request that nobody accepts are no better with another model.
    """
    if isinstance(error, QuotaExhausted):
        return not error.is_whole_account
    return isinstance(error, RateLimited | Overloaded)


def first_answer(models: Sequence[str], ask: Ask) -> EventStream:
    """The answer of the first of ``models`` that gives one; `FellBack` tells of every step.

    Once anything of an answer was given out, no other model is asked.

    Raises:
        QwenError: the last model's reason, or one that no other model could fix.
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
