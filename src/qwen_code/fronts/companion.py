"""What a front for a person knows of a program that takes part in the conversation beside them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from qwen_code.agent.events import AgentEventStream
    from qwen_code.base.stop import Stop
    from qwen_code.wiring.conversation import Conversation
    from qwen_code.wiring.front import Front

EVENTS_KEY = "dualOutput.jsonFile"
COMMANDS_KEY = "dualOutput.inputFile"


class Companion(Protocol):
    """Follows the conversation, submits prompts, and answers requests for permission.

    Calls are in this order: `beside`, `begin`, the others, `close`. None of them blocks.
    """

    @property
    def files(self) -> tuple[Path, ...]:
        """What it reads and writes. The model's tools must not reach it."""

    @property
    def source(self) -> str:
        """Where its prompts come from, in words."""

    def beside(self, own: Front) -> Front:
        """A front that asks the person at ``own`` and the program, and takes the first answer.
        ``own`` must raise `Stopped` as soon as the stop of a question is set."""

    def begin(self, conversation: Conversation) -> None:
        """The conversation is open."""

    def follow(self, prompt: str, events: AgentEventStream, stop: Stop) -> AgentEventStream:
        """``events``, the answer to ``prompt``, which the program gets, too."""

    def has_prompt(self) -> bool:
        """Whether it has submitted a prompt that is not answered yet. Can be called by a signal
        handler."""

    def next_prompt(self) -> str | None:
        """The next prompt that it has submitted, if any."""

    def news(self) -> list[str]:
        """What the person should know of it, since the last call."""

    def close(self) -> None:
        """The conversation has ended."""
