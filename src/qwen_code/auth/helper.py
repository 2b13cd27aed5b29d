"""A key that a command of the user prints (``security.auth.apiKeyHelper``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from qwen_code.base.clock import Clock
from qwen_code.base.errors import AuthError, ConfigError
from qwen_code.base.secret import Secret
from qwen_code.base.stop import Stop


class HelperSpec(msgspec.Struct, frozen=True):
    """A command that prints a key on stdout, run without a shell. Times are in seconds."""

    command: tuple[str, ...]
    timeout_s: float = 30.0
    ttl_s: float = 300.0


class _Detailed(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    command: list[str]
    timeout_seconds: float = 30.0
    ttl_seconds: float = 300.0


def parse_helper(value: object, where: str) -> HelperSpec:
    """The helper in a settings value: a list, or ``{command, timeoutSeconds, ttlSeconds}``.

    Raises:
        ConfigError: it is neither, or names no command; ``where`` says which setting.
    """
    try:
        if isinstance(value, dict):
            detailed = msgspec.convert(value, _Detailed)
            spec = HelperSpec(
                tuple(detailed.command), detailed.timeout_seconds, detailed.ttl_seconds
            )
        else:
            spec = HelperSpec(tuple(msgspec.convert(value, list[str])))
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {error}", hint=_EXAMPLE) from error
    if not spec.command or not spec.command[0] or spec.timeout_s <= 0:
        raise ConfigError(f"{where} does not name a command with a timeout above 0", hint=_EXAMPLE)
    return spec


_EXAMPLE = 'Write it as a list, without a shell: "apiKeyHelper": ["pass", "show", "llm-key"].'

RunCommand = Callable[[Sequence[str], float, Stop], str]


def run_helper(
    command: Sequence[str], timeout_s: float, stop: Stop, environ: Mapping[str, str]
) -> str:
    """What ``command`` prints. Its errors never quote its output, which may hold the key.

    Raises:
        AuthError: it cannot start, takes longer than ``timeout_s``, or fails.
    """
    from subprocess import TimeoutExpired  # few runs use a helper

    from qwen_code.base import process

    try:
        done = process.run(command, env=environ, timeout_s=timeout_s, stop=stop, keep_stderr=False)
    except TimeoutExpired:
        raise AuthError(
            f"the key helper {command[0]} printed nothing within {timeout_s:.0f} s",
            hint="Run it by hand; it must not ask for anything.",
        ) from None
    except OSError as error:
        raise AuthError(
            f"the key helper {command[0]} cannot be started: {error.strerror}",
            hint="Fix security.auth.apiKeyHelper in your settings.json.",
        ) from error
    if done.returncode != 0:
        raise AuthError(
            f"the key helper {command[0]} failed with exit code {done.returncode}",
            hint="Run it by hand to see why.",
        )
    return done.stdout.decode("utf-8", "replace")


class HelperKey:
    """The helper's key. It is kept for its time to live, or until a server refuses it."""

    def __init__(self, spec: HelperSpec, *, run_command: RunCommand, clock: Clock) -> None:
        self._spec = spec
        self._run_command = run_command
        self._clock = clock
        self._key: Secret | None = None
        self._expires_at = 0.0

    def current(self, stop: Stop) -> Secret:
        if self._key is None or self._clock.monotonic() >= self._expires_at:
            self._key = self._fetch(stop)
            self._expires_at = self._clock.monotonic() + self._spec.ttl_s
        return self._key

    def replace(self, rejected: Secret, stop: Stop) -> bool:
        if self._key == rejected:
            self._key = None
        return self.current(stop) != rejected

    def _fetch(self, stop: Stop) -> Secret:
        key = self._run_command(self._spec.command, self._spec.timeout_s, stop).strip()
        if not key or any(character.isspace() or not character.isprintable() for character in key):
            raise AuthError(
                f"the key helper {self._spec.command[0]} did not print a key",
                hint="It must print the key alone, on one line.",
            )
        return Secret(key)
