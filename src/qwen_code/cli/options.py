"""Options that several commands share, and what they become."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from qwen_code import __version__
from qwen_code.auth.api import Flags
from qwen_code.auth.presets import PRESETS
from qwen_code.auth.sources import Gathered, gather
from qwen_code.auth.types import Method
from qwen_code.base.errors import ConfigError
from qwen_code.base.secret import Secret
from qwen_code.base.url import Origin
from qwen_code.cli.console import notice

__all__ = ["Common", "common_options", "prompt_options", "take_common"]

F = TypeVar("F", bound=Callable[..., Any])


class Common(msgspec.Struct, frozen=True):
    """The shared options of one invocation."""

    flags: Flags
    auth_type: str | None

    def gather(self, *, interactive: bool = False) -> Gathered:
        """Read what the resolution depends on, and print the warnings of that."""
        try:
            cwd = Path.cwd()
        except FileNotFoundError as error:
            raise ConfigError(
                "the current directory no longer exists", hint="cd somewhere else, and try again."
            ) from error
        gathered = gather(
            os.environ,
            cwd,
            version=__version__,
            flags=self.flags,
            auth_type=self.auth_type,
            interactive=interactive,
            notice=notice,
        )
        for warning in gathered.warnings:
            notice(warning)
        return gathered


_CONNECTION = [
    click.option(
        "--auth-type",
        type=click.Choice([method.value for method in Method]),
        help="Sign in by this method, whatever is set up.",
    ),
    click.option("--profile", metavar="NAME", help="Use this saved login."),
    click.option(
        "--provider",
        type=click.Choice([preset.name for preset in PRESETS if preset.base_url]),
        help="Use this provider's address.",
    ),
    click.option(
        "--base-url",
        "--openai-base-url",
        metavar="URL",
        help="Address of an OpenAI-compatible API.",
    ),
    click.option(
        "--api-key",
        "--openai-api-key",
        metavar="KEY",
        help="API key. Other users can see it in the process list; LLAMA_API_KEY is better.",
    ),
    click.option("-m", "--model", metavar="MODEL", help="Model to ask."),
    click.option(
        "--trust-endpoint",
        metavar="ORIGIN",
        multiple=True,
        help="Let a project's own endpoint have your key, as https://host.",
    ),
    click.option(
        "-d", "--debug", is_flag=True, help="Write a log, without secrets, to QWEN_HOME/logs."
    ),
]

_PROMPT = [
    click.option(
        "-p", "--prompt", "prompt_option", metavar="TEXT", help="Answer this prompt and end."
    ),
    click.option(
        "-o",
        "--output-format",
        type=click.Choice(["text", "json", "stream-json"]),
        default="text",
        help="How the answer is written.",
    ),
    click.option(
        "--include-partial-messages",
        is_flag=True,
        help="With stream-json: the pieces, as they come.",
    ),
    click.option(
        "--system-prompt", metavar="TEXT", help="Instructions in place of the built-in ones."
    ),
    click.option(
        "--append-system-prompt", metavar="TEXT", help="Instructions after the built-in ones."
    ),
]


def prompt_options(function: F) -> F:
    """All options of a run that asks the model."""
    for option in reversed([*_PROMPT, *_CONNECTION]):
        function = option(function)
    return function


def common_options(function: F) -> F:
    """The options that choose a connection, passed to the command as one ``common`` argument."""
    import functools

    @functools.wraps(function)
    def wrapper(**values: Any) -> Any:
        return function(common=take_common(values), **values)

    for option in reversed(_CONNECTION):
        wrapper = option(wrapper)
    return wrapper  # type: ignore[return-value]


def take_common(values: dict[str, Any]) -> Common:
    """Remove the shared options from ``values``, and give them as one."""
    api_key = values.pop("api_key")
    flags = Flags(
        api_key=Secret(api_key) if api_key else None,
        base_url=values.pop("base_url"),
        model=values.pop("model"),
        provider=values.pop("provider"),
        profile=values.pop("profile"),
        trusted=tuple(Origin.of(text) for text in values.pop("trust_endpoint")),
    )
    common = Common(flags, values.pop("auth_type"))
    if values.pop("debug"):
        _start_debug_log()
    return common


def _start_debug_log() -> None:
    from qwen_code.base.log import enable_debug_log
    from qwen_code.config.paths import Paths

    paths = Paths.of(os.environ, Path.cwd())
    path = enable_debug_log(paths.logs_dir)
    sys.stderr.write(f"qwen: writing a log to {path}\n")
