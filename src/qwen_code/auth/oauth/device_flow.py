"""The polling of the device flow as a pure machine (RFC 8628 §3.5): answers in, decisions out."""

from __future__ import annotations

import msgspec

from qwen_code.auth.oauth.errors import (
    SIGN_IN,
    CodeExpired,
    SignInDenied,
    SignInFailed,
)
from qwen_code.auth.oauth.wire import ErrorAnswer, Grant, Trouble

_SLOW_DOWN_S = 5.0
_LONGEST_BACKOFF_S = 60.0


class Waiting(msgspec.Struct, frozen=True):
    """Poll again later. ``trouble`` says what went wrong on the way, if something did."""

    trouble: str | None = None


class DeviceFlow:
    """When to poll next, and what each answer means. All times are of one monotonic clock."""

    def __init__(self, *, interval_s: float, deadline: float, not_before: float) -> None:
        self.interval_s = interval_s
        self._deadline = deadline
        self._next = not_before
        self._troubles = 0

    @property
    def next_poll(self) -> float:
        """The earliest time of the next poll.

        Raises:
            CodeExpired: it would be after the code's end.
        """
        if self._next >= self._deadline:
            raise CodeExpired
        return self._next

    def answered(self, answer: Grant | ErrorAnswer | Trouble, now: float) -> Grant | Waiting:
        """What to do after ``answer``, which came at ``now``.

        Raises:
            SignInFailed: it is over, without tokens.
        """
        if isinstance(answer, Grant):
            return answer
        if isinstance(answer, Trouble):
            return self._back_off(answer, now)
        self._troubles = 0
        if answer.error == "slow_down":
            # For this and all later polls; RFC servers send it as 400, qwen.ai as 429.
            self.interval_s += _SLOW_DOWN_S
        elif answer.error != "authorization_pending":
            raise _ended(answer)
        self._next = now + self.interval_s
        return Waiting()

    def failed(self, reason: str, now: float) -> Waiting:
        """What to do after a poll that got no answer."""
        return self._back_off(Trouble(reason), now)

    def _back_off(self, trouble: Trouble, now: float) -> Waiting:
        self._troubles += 1
        backoff = min(self.interval_s * 2.0**self._troubles, _LONGEST_BACKOFF_S)
        soonest = now + self.interval_s
        if now + backoff >= self._deadline:  # a last try is better than none
            self._next = max(soonest, self._deadline - self.interval_s)
        else:
            self._next = max(soonest, now + backoff)
        self._next = max(self._next, now + (trouble.retry_after_s or 0.0))
        return Waiting(trouble.reason)


def _ended(answer: ErrorAnswer) -> SignInFailed:
    if answer.error == "access_denied":
        return SignInDenied()
    if answer.error == "expired_token" or (
        answer.status == 401 and answer.error != "invalid_client"
    ):
        return CodeExpired()
    failed = SignInFailed(f"the sign-in failed: {answer}", hint=SIGN_IN)
    failed.code = answer.error
    return failed
