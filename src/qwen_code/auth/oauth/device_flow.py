"""The polling of the device flow as a pure state machine (RFC 8628 §3.5)."""

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
_MAX_BACKOFF_S = 60.0


class Waiting(msgspec.Struct, frozen=True):
    """Poll again later. ``trouble`` says what went wrong with the last poll, if anything did."""

    trouble: str | None = None


class DeviceFlow:
    """When to poll next, and what each answer means. All times are of one monotonic clock.

    ``ends_with_401``: the server answers 401 once a code has expired, as qwen.ai does. From any
    other server, a 401 is trouble: proxies and restarting servers send it, too.
    """

    def __init__(
        self, *, interval_s: float, deadline: float, not_before: float, ends_with_401: bool
    ) -> None:
        self.interval_s = interval_s
        self._deadline = deadline
        self._next = not_before
        self._ends_with_401 = ends_with_401
        self._troubles = 0
        self._trouble: str | None = None

    @property
    def next_poll(self) -> float:
        """The earliest time of the next poll.

        Raises:
            CodeExpired: the code expires before it.
        """
        if self._next >= self._deadline:
            raise CodeExpired(self._trouble)
        return self._next

    def answered(self, answer: Grant | ErrorAnswer | Trouble, now: float) -> Grant | Waiting:
        """What to do after ``answer``, which arrived at ``now``.

        Raises:
            SignInFailed: the flow has ended without tokens.
        """
        if isinstance(answer, Grant):
            return answer
        if isinstance(answer, Trouble):
            return self._back_off(answer, now)
        if answer.error in ("access_denied", "expired_token"):
            raise _ended(answer)
        if answer.status == 401 and not self._ends_with_401:
            return self._back_off(Trouble(str(answer), answer.retry_after_s), now)
        self._troubles, self._trouble = 0, None
        if answer.error == "slow_down":
            # For this and all later polls; RFC servers send it as 400, qwen.ai as 429.
            self.interval_s += _SLOW_DOWN_S
        elif answer.error != "authorization_pending":
            raise _ended(answer)
        self._next = now + self.interval_s
        return Waiting()

    def _back_off(self, trouble: Trouble, now: float) -> Waiting:
        self._troubles += 1
        self._trouble = trouble.reason
        backoff = min(self.interval_s * 2.0**self._troubles, _MAX_BACKOFF_S)
        backoff = max(backoff, trouble.retry_after_s or 0.0)
        soonest = now + self.interval_s
        if now + backoff >= self._deadline:  # a last try is better than none
            self._next = max(soonest, self._deadline - self.interval_s)
        else:
            self._next = max(soonest, now + backoff)
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
