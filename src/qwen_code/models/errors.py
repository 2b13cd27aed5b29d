"""What can go wrong between a request and its answer.

::

    QwenError
    ├── ModelError
    │   ├── RateLimited            429, throttled: wait and try again
    │   ├── QuotaExhausted         429 or 403: paid or free allowance used up; never retried
    │   ├── ContextLengthExceeded  the conversation is longer than the model reads
    │   ├── UnknownModel           404: no such model; ``available`` says which there are
    │   ├── AccessDenied           403: the credential is good, this is not allowed to it
    │   ├── BadRequest             any other 4xx
    │   ├── ServerFailed           5xx: try again
    │   │   └── Overloaded         503 or 529: another model may have room
    │   └── BadAnswer              no answer of this API: HTML, a redirect, another shape
    └── CredentialRejected         401 (in ``base.errors``)
"""

from __future__ import annotations

from collections.abc import Sequence

from qwen_code.base.errors import QwenError


class ModelError(QwenError):
    """The endpoint answered, and the answer is not what was asked for."""


class RateLimited(ModelError):
    """Too many requests for now. ``retry_after_s`` is what the server asked to wait, if it did."""

    def __init__(
        self, message: str, *, retry_after_s: float | None, hint: str | None, code: str | None
    ) -> None:
        super().__init__(message, hint=hint, code=code, retryable=True)
        self.retry_after_s = retry_after_s


class QuotaExhausted(ModelError):
    """The allowance is used up: waiting a moment does not help.

    ``resets_at`` (seconds since the epoch) is when there is some again, where that is known.
    ``is_whole_account`` says that no other model of the same account has any left either.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str | None,
        code: str | None,
        resets_at: float | None = None,
        is_whole_account: bool = False,
    ) -> None:
        super().__init__(message, hint=hint, code=code)
        self.resets_at = resets_at
        self.is_whole_account = is_whole_account


class ContextLengthExceeded(ModelError):
    """The conversation is longer than the model can read."""


class UnknownModel(ModelError):
    """There is no such model here. ``available`` lists what there is, if it is known."""

    def __init__(
        self, message: str, *, hint: str | None, code: str | None, available: Sequence[str] = ()
    ) -> None:
        super().__init__(message, hint=hint, code=code)
        self.available = tuple(available)


class AccessDenied(ModelError):
    """The credential is accepted, but not for this."""


class BadRequest(ModelError):
    """The server does not accept the request as it is. ``parameter`` is the one it names."""

    def __init__(
        self, message: str, *, hint: str | None, code: str | None, parameter: str | None = None
    ) -> None:
        super().__init__(message, hint=hint, code=code)
        self.parameter = parameter


class ServerFailed(ModelError):
    """The server failed."""

    def __init__(
        self,
        message: str,
        *,
        hint: str | None,
        code: str | None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, hint=hint, code=code, retryable=True)
        self.retry_after_s = retry_after_s


class Overloaded(ServerFailed):
    """The server has no room for more just now."""


class BadAnswer(ModelError):
    """What answered does not speak the Chat Completions API."""
