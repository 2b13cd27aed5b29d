"""Errors of the agent."""

from __future__ import annotations

from qwen_code.base.errors import ExitCode, QwenError
from qwen_code.tools.errors import ToolFailed


class NotPlain(ValueError):
    """It cannot be told for sure what a shell command line runs."""


class WallTimeExceeded(QwenError):
    """A prompt, with everything that was done for it, took longer than allowed."""

    exit_code = ExitCode.BUDGET

    def __init__(self, seconds: float, set_by: str) -> None:
        super().__init__(
            f"it was not done within {seconds:.10g} s ({set_by})",
            hint="Allow more with --max-wall-time, or give smaller tasks.",
            code="wall_time",
        )


class SessionTooLarge(QwenError):
    """The conversation is larger than the user allows."""

    exit_code = ExitCode.BUDGET

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(
            f"the conversation has about {size:,} tokens, and model.sessionTokenLimit is {limit:,}",
            hint="Shorten it with /compress, or start a new one.",
            code="session_tokens",
        )


class ToolCallsExceeded(QwenError):
    """For one prompt, the model called more tools than allowed."""

    exit_code = ExitCode.BUDGET

    def __init__(self, limit: float, set_by: str) -> None:
        super().__init__(
            f"the model called more than {limit:.0f} tools ({set_by})",
            hint="Allow more with --max-tool-calls, or give smaller tasks.",
            code="tool_calls",
        )


class TurnLimitReached(QwenError):
    """The model was not done after the maximum number of answers."""

    exit_code = ExitCode.TURN_LIMIT

    def __init__(self, rounds: int) -> None:
        super().__init__(
            f"the turn reached its limit of {rounds} rounds",
            hint="Allow more with --max-session-turns, or give smaller tasks.",
        )


class HelperUnanswered(ToolFailed):
    """A helper failed because of ``error`` of the endpoint, which is the agent's, too."""

    def __init__(self, message: str, error: QwenError) -> None:
        super().__init__(message)
        self.error = error
