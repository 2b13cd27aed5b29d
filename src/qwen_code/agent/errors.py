"""Errors of the agent."""

from __future__ import annotations

from qwen_code.base.errors import ExitCode, QwenError


class NotPlain(ValueError):
    """It cannot be told for sure what a shell command line runs."""


class TurnLimitReached(QwenError):
    """The model was not done after the maximum number of answers."""

    exit_code = ExitCode.TURN_LIMIT

    def __init__(self, rounds: int) -> None:
        super().__init__(
            f"the turn reached its limit of {rounds} rounds",
            hint="Allow more with --max-session-turns, or give smaller tasks.",
        )
