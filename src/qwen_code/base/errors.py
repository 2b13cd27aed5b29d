"""The error tree. Every error says what happened and what to do next.

::

    QwenError                 1   every error that is reported without a traceback
    ├── UsageError            2   the command line cannot be understood
    ├── AuthError            41   no usable credential
    │   ├── CredentialMissing     none was found
    │   ├── CredentialRejected    one was tried, and the server refused it
    │   └── CredentialWithheld    one was found, but it must not go to this endpoint
    ├── InputError           42   no prompt, or one that cannot be read
    ├── ConfigError          52   a setting or file that cannot be used
    └── TransportError        1   the network: no connection, too slow, cut off

An error that only one package raises is defined there (``models.errors``) and derives from
:class:`QwenError`.
"""

from __future__ import annotations


class ExitCode:
    """The exit codes of the process. Codes that Node Qwen Code has too have the same numbers."""

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
    """An error that the user can act on.

    ``message`` says what happened in one or two sentences, ``hint`` is how to fix it (usually the
    next command to type), ``code`` is the server's code for it (``invalid_api_key``), and
    ``retryable`` says whether the same request can succeed later.
    """

    exit_code: int = ExitCode.FAILURE

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
    """No credential can be used for this request."""

    exit_code = ExitCode.AUTHENTICATION


class CredentialMissing(AuthError):
    """No credential was found: no key and no sign-in."""


class CredentialRejected(AuthError):
    """A credential was tried, and the server refused it."""


class CredentialWithheld(AuthError):
    """A credential was found, but the endpoint was chosen by a source that must not receive it."""


class InputError(QwenError):
    """The prompt is missing, or it cannot be read."""

    exit_code = ExitCode.INPUT


class ConfigError(QwenError):
    """A setting, file or address cannot be used."""

    exit_code = ExitCode.CONFIGURATION


class TransportError(QwenError):
    """The network failed: no connection, no answer in time, or an incomplete answer."""
