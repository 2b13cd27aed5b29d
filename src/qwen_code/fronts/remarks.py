"""What is worth a line beside the answer, in one sentence."""

from __future__ import annotations

from qwen_code.agent.events import AgentEvent, BackgroundEnded, Compacted, HelperEvent, TurnEnded
from qwen_code.base.moment import duration_in_words
from qwen_code.models.events import Cut, FellBack, Finished, Notice, Paced, Retrying

_ENDINGS = {
    "length": "the answer ends here because it reached the longest that is allowed",
    "content_filter": "the provider's content filter ended the answer",
}
_TURN_ENDINGS = {
    "loop": "stopped: the model made the same call again and again",
    "stopped": "stopped",
    "empty": "the model gave no answer",
}


_OF_A_HELPER = (Retrying, Paced, FellBack, Notice, Cut)
"""What a helper waits for, the person waits for."""


def remark(event: AgentEvent) -> str | None:
    """What is worth a line beside the answer, in one sentence."""
    if isinstance(event, HelperEvent):
        return remark(event.event) if isinstance(event.event, _OF_A_HELPER) else None
    if isinstance(event, Retrying):
        return f"{event.reason}; retrying in {event.wait_s:.1f} s"
    if isinstance(event, Paced):
        return f"waiting {duration_in_words(event.wait_s)}: {event.reason}"
    if isinstance(event, FellBack):
        return f"{event.instead_of} cannot answer: {event.reason}; {event.model} is asked instead"
    if isinstance(event, Notice):
        return event.text
    if isinstance(event, Cut):
        return f"the answer was cut off: {event.reason}"
    if isinstance(event, Finished):
        return _ENDINGS.get(event.reason)
    if isinstance(event, Compacted):
        return (
            "the conversation was made shorter: from about "
            f"{event.tokens_before:,} to {event.tokens_after:,} tokens"
        )
    if isinstance(event, BackgroundEnded):
        from qwen_code.wiring.reports.tasks import ended_in_words  # few sessions have any

        return ended_in_words(event.task_id, event.command, event.ending)
    if isinstance(event, TurnEnded):
        return _TURN_ENDINGS.get(event.reason)
    return None
