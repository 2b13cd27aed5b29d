"""Errors of the agent's own."""

from __future__ import annotations

from qwen_code.base.errors import ExitCode, QwenError


class NotPlain(ValueError):
    """A shell command line of which one cannot say for sure what it runs."""


class TurnLimitReached(QwenError):
    """The model was not done after as many answers as were allowed."""

    exit_code = ExitCode.TURN_LIMIT

    def __init__(self, rounds: int) -> None:
        super().__init__(
            f"it was not done after {rounds} rounds",
            hint="Allow more with --max-session-turns, or ask for less at once.",
        )
