"""Errors of the agent's own."""

from __future__ import annotations

from qwen_code.base.errors import ExitCode, QwenError


class NotPlain(ValueError):
    """A shell command line of which one cannot say for sure what it runs."""


class WallTimeExceeded(QwenError):
    """A prompt took longer than was allowed, with everything that was done for it."""

    exit_code = ExitCode.BUDGET

    def __init__(self, seconds: float, set_by: str) -> None:
        super().__init__(
            f"it was not done within {seconds:.10g} s ({set_by})",
            hint="Allow more with --max-wall-time, or ask for less at once.",
            code="wall_time",
        )


class TurnLimitReached(QwenError):
    """The model was not done after as many answers as were allowed."""

    exit_code = ExitCode.TURN_LIMIT

    def __init__(self, rounds: int) -> None:
        super().__init__(
            f"it was not done after {rounds} rounds",
            hint="Allow more with --max-session-turns, or ask for less at once.",
        )
