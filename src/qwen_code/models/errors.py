"""Errors between a request and its answer.

::

    QwenError
    ├── ModelError
    │   ├── RateLimited            429, throttled: wait and try again
    │   ├── QuotaExhausted         429 or 403: paid or free allowance used up; never retried
    │   ├── ContextLengthExceeded  the conversation exceeds the context window
    │   ├── UnknownModel           404: no such model; ``available`` lists the others
    │   ├── AccessDenied           403: the credential is valid, but lacks permission
    │   ├── BadRequest             any other 4xx
    │   │   └── ToolsUnsupported   the model or server does not take tools
    │   ├── ServerFailed           5xx: try again
    │   │   └── Overloaded         503 or 529: another model may be available
    │   └── BadAnswer              not a response of this API: HTML, a redirect, other JSON
    └── CredentialRejected         401 (in ``base.errors``)
"""

from __future__ import annotations

from collections.abc import Sequence

from qwen_code.base.errors import QwenError


class ModelError(QwenError):
    """The endpoint responded with an error, or with something that is not an answer."""


class RateLimited(ModelError):
    """Too many requests. ``retry_after_s`` is the wait that the server asked for, if any."""

    def __init__(
        self, message: str, *, retry_after_s: float | None, hint: str | None, code: str | None
    ) -> None:
        super().__init__(message, hint=hint, code=code, retryable=True)
        self.retry_after_s = retry_after_s


class QuotaExhausted(ModelError):
    """The quota is used up, so retrying soon does not help.

    ``resets_at`` (seconds since the epoch) is when it is available again, if that is known.
    ``is_whole_account``: the quota covers all models of the account.
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
    """The conversation exceeds the model's context window."""


class UnknownModel(ModelError):
    """The endpoint does not have the model. ``available`` lists its models, if known."""

    def __init__(
        self, message: str, *, hint: str | None, code: str | None, available: Sequence[str] = ()
    ) -> None:
        super().__init__(message, hint=hint, code=code)
        self.available = tuple(available)


class AccessDenied(ModelError):
    """The credential is valid, but lacks permission."""


class BadRequest(ModelError):
    """The server rejected the request. ``parameter`` is the one that it names, if any."""

    def __init__(
        self, message: str, *, hint: str | None, code: str | None, parameter: str | None = None
    ) -> None:
        super().__init__(message, hint=hint, code=code)
        self.parameter = parameter


class ToolsUnsupported(BadRequest):
    """The model or its server does not take tools."""


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
    """The server is overloaded at the moment."""


class BadAnswer(ModelError):
    """The response is not one of the Chat Completions API."""
