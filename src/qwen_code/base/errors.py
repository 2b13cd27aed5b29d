"""The error tree. Every error says what happened, and what to do next.

::

    QwenError                 1   anything this program reports instead of a traceback
    ├── UsageError            2   the command line cannot be understood
    ├── AuthError            41   no usable credential
    │   ├── CredentialMissing     nothing was found to try
    │   ├── CredentialRejected    it was tried, and the server refused it
    │   └── CredentialWithheld    it was found, and this endpoint may not have it
    ├── InputError           42   no prompt, or one that cannot be read
    ├── ConfigError          52   a setting or file that cannot be used
    └── TransportError        1   the network: no connection, too slow, cut off

Errors of one room that nobody else raises live in that room (``models.errors``, ``local.errors``)
and derive from :class:`QwenError`.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process tells its caller. The numbers are Node Qwen Code's where it has them."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    AUTHENTICATION = 41
    INPUT = 42
    CONFIGURATION = 52
    TURN_LIMIT = 53
    BUDGET = 55
    INTERRUPTED = 130


class QwenError(Exception):
    """An error that a person can act on.

    ``message`` says what happened in one or two sentences, ``hint`` is the way out (usually the
    next command to type), ``code`` is the wire's own code for it (``invalid_api_key``), and
    ``retryable`` says whether the same request could work later without any change.
    """

    exit_code: ExitCode = ExitCode.FAILURE

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        code: str | None = None,
        retryable: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code
        self.retryable = retryable


class UsageError(QwenError):
    """The command line cannot be understood."""

    exit_code = ExitCode.USAGE


class AuthError(QwenError):
    """There is no credential that can be used for this request."""

    exit_code = ExitCode.AUTHENTICATION


class CredentialMissing(AuthError):
    """Nothing was found to try: no key, no sign-in."""


class CredentialRejected(AuthError):
    """A credential was tried, and the server refused it."""


class CredentialWithheld(AuthError):
    """A credential was found, but the endpoint was chosen by somebody who may not receive it."""


class InputError(QwenError):
    """There is no prompt, or it cannot be read."""

    exit_code = ExitCode.INPUT


class ConfigError(QwenError):
    """A setting, file or address that cannot be used as it is."""

    exit_code = ExitCode.CONFIGURATION


class TransportError(QwenError):
    """The network failed: no connection, no answer in time, or an answer cut off."""
