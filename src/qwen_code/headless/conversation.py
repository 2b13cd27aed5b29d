"""A conversation: its messages, and one answer after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import Any

from qwen_code.models.client import ModelClient
from qwen_code.models.events import Cut, Event, RefusalDelta, TextDelta, Usage

__all__ = ["Conversation"]

_INSTRUCTIONS = (
    "You are Qwen Code, a coding assistant in a terminal. Answer directly and briefly. "
    "Put code in fenced blocks with their language. Say so where you do not know."
)
_SMALL_INSTRUCTIONS = "You are a coding assistant. Answer briefly, with code in fenced blocks."


class Conversation:
    """Messages that outlive the client which answers them: a switch of method keeps them.

    After an answer ``last_text``, ``usage``, ``was_cut`` and ``api_duration_ms`` tell about it.
    """

    def __init__(self, system_prompt: str | None = None, append: str | None = None) -> None:
        self._system_prompt = system_prompt
        self._append = append
        self._messages: list[dict[str, Any]] = []
        self.is_small = False
        self.last_text = ""
        self.usage: Usage | None = None
        self.was_cut = False
        self.api_duration_ms = 0

    async def ask(
        self, prompt: str, client: ModelClient, show: Callable[[Sequence[Event]], None]
    ) -> None:
        """Send ``prompt`` with all that came before; ``show`` gets the events as they arrive.

        However it ends, the conversation stays one that the API accepts: an answer that was cut
        or interrupted is kept as far as it came, a prompt without any answer is taken back.
        """
        self.last_text, self.usage, self.was_cut = "", None, False
        pieces: list[str] = []
        started = time.monotonic()
        self._messages.append({"role": "user", "content": prompt})
        try:
            async with aclosing(client.complete(self._system() + self._messages)) as answer:
                async for events in answer:
                    self._note(events, pieces)
                    show(events)
        finally:
            self.api_duration_ms = round((time.monotonic() - started) * 1000)
            self.last_text = "".join(pieces)
            if self.last_text:
                self._messages.append({"role": "assistant", "content": self.last_text})
            else:
                self._messages.pop()

    @property
    def turns(self) -> int:
        """How many prompts were answered."""
        return len(self._messages) // 2

    def _note(self, events: Sequence[Event], pieces: list[str]) -> None:
        for event in events:
            kind = type(event)
            if kind is TextDelta or kind is RefusalDelta:
                pieces.append(event.text)  # type: ignore[union-attr]
            elif kind is Usage:
                self.usage = event  # type: ignore[assignment]
            elif kind is Cut:
                self.was_cut = True

    def _system(self) -> list[dict[str, Any]]:
        built_in = _SMALL_INSTRUCTIONS if self.is_small else _INSTRUCTIONS
        first = built_in if self._system_prompt is None else self._system_prompt
        text = "\n\n".join(part for part in (first, self._append) if part)
        return [{"role": "system", "content": text}] if text else []
