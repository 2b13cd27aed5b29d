"""Options that several commands share, and how they are interpreted."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from qwen_code.agent.rules.types import AUTO, Mode
from qwen_code.auth.api import Flags
from qwen_code.auth.types import Method
from qwen_code.base.errors import UsageError
from qwen_code.base.secret import Secret
from qwen_code.base.url import Origin
from qwen_code.config.generation import EFFORT_LEVELS
from qwen_code.config.load import Config
from qwen_code.config.providers import PROVIDERS
from qwen_code.fronts.console import notice, say, say_error_part
from qwen_code.wiring.launch import CHOOSE, LATEST, Launch

if TYPE_CHECKING:
    from qwen_code.wiring.agent import AgentOptions

F = TypeVar("F", bound=Callable[..., Any])


_DEBUG = click.option(
    "-d", "--debug", is_flag=True, help="Write a log, without secrets, to QWEN_HOME/logs."
)

_PROVIDERS = [name for each in PROVIDERS if each.base_url for name in (each.name, *each.aliases)]

_CONNECTION = [
    click.option(
        "--auth-type",
        type=click.Choice([method.value for method in Method]),
        help="Use this method instead of the configured one.",
    ),
    click.option("--profile", metavar="NAME", help="Use this saved login."),
    click.option(
        "--provider",
        type=click.Choice(_PROVIDERS, case_sensitive=False),
        metavar="NAME",
        help="Use this provider's address: deepseek, coding-plan, ollama, …",
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
        help="API key. Other users can see it in the process list: prefer LLAMA_API_KEY.",
    ),
    click.option("-m", "--model", metavar="MODEL", help="Model to ask."),
    click.option(
        "--trust-endpoint",
        metavar="ORIGIN",
        multiple=True,
        help="Allow sending your key to a project's endpoint, as https://host.",
    ),
    _DEBUG,
]

_PROMPT = [
    click.option(
        "-p", "--prompt", "prompt_option", metavar="TEXT", help="Answer this prompt and exit."
    ),
    click.option(
        "-o",
        "--output-format",
        type=click.Choice(["text", "json", "stream-json"]),
        metavar="FORMAT",
        default="text",
        help="Format of the answer: text, json, stream-json.",
    ),
    click.option(
        "--input-format",
        type=click.Choice(["text", "stream-json"]),
        metavar="FORMAT",
        default="text",
        help="Format of standard input: text, or stream-json with one message in each line, until "
        "it closes.",
    ),
    click.option(
        "--include-partial-messages",
        is_flag=True,
        help="With stream-json: also the deltas, as they arrive.",
    ),
    click.option(
        "--system-prompt", metavar="TEXT", help="Instructions in place of the built-in ones."
    ),
    click.option(
        "--append-system-prompt", metavar="TEXT", help="Instructions after the built-in ones."
    ),
]


MODES = click.Choice([*(mode.value for mode in Mode), AUTO, "auto_edit"])
"""What ``--approval-mode`` takes: also the names of other versions."""

_AGENT = [
    click.option(
        "--approval-mode",
        type=MODES,
        metavar="MODE",
        help="plan: change nothing. default: ask before edits and commands. auto-edit: ask before "
        "commands. yolo: never ask.",
    ),
    click.option("-y", "--yolo", is_flag=True, help="The same as --approval-mode yolo."),
    click.option(
        "--allowed-tools",
        metavar="RULE",
        multiple=True,
        help="Allow this too, as 'run_shell_command(git log)' (separated by commas, or repeat the "
        "option).",
    ),
    click.option(
        "-s",
        "--sandbox",
        is_flag=True,
        help="Run commands without network; they can write to the workspace only.",
    ),
    click.option(
        "--include-directories",
        "--add-dir",
        metavar="DIR",
        multiple=True,
        help="Let tools use these directories too (separated by commas, or repeat the option).",
    ),
    click.option(
        "--max-session-turns",
        type=click.IntRange(min=-1),
        metavar="N",
        help="Stop after this many answers of the model, with exit code 53. -1: no limit.",
    ),
    click.option(
        "--max-wall-time",
        metavar="TIME",
        help="End a prompt after this time (90, 90s, 5m, 1h), with exit code 55.",
    ),
    click.option(
        "--max-cost",
        type=click.FloatRange(min=0, min_open=True),
        metavar="USD",
        help="End before the next request once the answers have cost this much, with exit code 55.",
    ),
    click.option(
        "--effort",
        type=click.Choice(EFFORT_LEVELS),
        metavar="LEVEL",
        help=f"How much the model reasons: {', '.join(EFFORT_LEVELS)}.",
    ),
    click.option(
        "-c", "--continue", "go_on", is_flag=True, help="Continue this project's last session."
    ),
    click.option(
        "-r",
        "--resume",
        is_flag=False,
        flag_value=CHOOSE,
        metavar="[ID]",
        help="Continue an earlier session.",
    ),
    click.option(
        "--undo",
        is_flag=False,
        flag_value=LATEST,
        metavar="[ID]",
        help="Restore the files as they were before the last turn, or a checkpoint, and exit.",
    ),
    click.option(
        "--redo",
        is_flag=False,
        flag_value=LATEST,
        metavar="[ID]",
        help="Reverse the last --undo, or that of a checkpoint, and exit.",
    ),
    click.option(
        "--json-schema",
        metavar="SCHEMA",
        help="Answer with JSON that matches this JSON Schema, or that in @FILE.",
    ),
]


def _show_help(context: click.Context, _parameter: click.Parameter, is_wanted: bool) -> None:
    if is_wanted and not context.resilient_parsing:
        say(context.get_help())
        context.exit()


_HELP = click.option(
    *("-h", "--help"),
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_help,
    help="Show this message and exit.",
)
"""Like click's own, which would look for translations of its text (1 ms)."""


def built(options: Sequence[Callable[[Any], Any]]) -> tuple[click.Parameter, ...]:
    def bare() -> None: ...

    for option in options:
        option(bare)
    return tuple(bare.__click_params__)  # type: ignore[attr-defined]


PROMPT_PARAMS = built([*_PROMPT, *_AGENT, *_CONNECTION, _HELP])
"""All options of a prompt, for a command without click's own ``--help``. They are built once for
two commands, to start faster."""


def common_options(function: F) -> F:
    """Add the options that choose a connection; the command gets them as ``launch``."""
    import functools

    @functools.wraps(function)
    def wrapper(**values: Any) -> Any:
        return function(launch=take_launch(values), **values)

    for option in reversed(_CONNECTION):
        wrapper = option(wrapper)
    return wrapper  # type: ignore[return-value]


def with_config(function: F) -> F:
    """For commands that need no login: pass the configuration as one ``config`` argument."""
    import functools

    @functools.wraps(function)
    def wrapper(**values: Any) -> Any:
        if values.pop("debug"):
            _start_debug_log()
        return function(config=load_config(), **values)

    return _DEBUG(wrapper)  # type: ignore[return-value]


def load_config() -> Config:
    """The configuration of this directory; its warnings go to standard error.

    Raises:
        ConfigError: a settings file is broken.
    """
    return Launch().config(notice)


def take_launch(values: dict[str, Any]) -> Launch:
    """Remove the connection options from ``values``, and return them as one object."""
    for name in ("api_key", "base_url", "model", "profile"):
        if values[name] is not None and not values[name].strip():
            raise UsageError(
                f"--{name.replace('_', '-')} is empty", hint="Give it a value, or leave it out."
            )
    api_key = values.pop("api_key")
    flags = Flags(
        api_key=Secret(api_key) if api_key else None,
        base_url=values.pop("base_url"),
        model=values.pop("model"),
        provider=values.pop("provider"),
        profile=values.pop("profile"),
        trusted=tuple(Origin.of(text) for text in values.pop("trust_endpoint")),
    )
    launch = Launch(flags, values.pop("auth_type"))
    if values.pop("debug"):
        _start_debug_log()
    if "mcp_config" in values:
        from qwen_code.cli.run_options import with_run_options  # few runs have one of them

        return with_run_options(launch, values)
    return launch


def take_agent(values: dict[str, Any]) -> AgentOptions:
    """The agent's options in ``values``.

    Raises:
        UsageError: they contradict each other.
    """
    from qwen_code.wiring.agent import AgentOptions

    mode = values["approval_mode"]
    if values["yolo"] and mode not in (None, "yolo"):
        raise UsageError(f"--yolo and --approval-mode {mode} contradict each other")
    if values["go_on"] and values["resume"]:
        raise UsageError("--continue and --resume contradict each other", hint="Use one.")
    session_id = values.get("session_id")
    if session_id is not None:
        from qwen_code.cli.session_id import take_session_id  # only programs give one

        session_id = take_session_id(session_id, values)
    if values.get("fork_session") and values["resume"] is None and not values["go_on"]:
        raise UsageError(
            "--fork-session needs a session to copy", hint="Add --continue or --resume ID."
        )
    return AgentOptions(
        mode="yolo" if values["yolo"] else mode,
        rules=values["allowed_tools"],
        denied=values.get("exclude_tools", ()),
        only=values.get("core_tools", ()),
        max_rounds=values["max_session_turns"],
        max_wall_time_s=_wall_time(values["max_wall_time"]),
        directories=tuple(named_directories(values)),
        resume=LATEST if values["go_on"] else values["resume"],
        session_id=session_id,
        channel=values.get("channel"),
        sandbox=values["sandbox"],
        sandbox_network=values.get("sandbox_network", False),
        sandbox_image=values.get("sandbox_image"),
        system_prompt=values["system_prompt"],
        append=values["append_system_prompt"],
        schema=_schema(values["json_schema"]),
        effort=values["effort"],
        max_cost=values["max_cost"],
        disabled_commands=values.get("disabled_slash_commands", ()),
        max_tool_calls=values.get("max_tool_calls"),
        fork=values.get("fork_session", False),
    )


def named_directories(values: dict[str, Any]) -> list[str]:
    """The directories of ``--include-directories``, which takes lists and can be repeated."""
    return [each for text in values["include_directories"] for each in text.split(",") if each]


def _wall_time(text: str | None) -> float | None:
    if text is None:
        return None
    from qwen_code.base.moment import parse_duration

    seconds = parse_duration(text)
    if seconds is None or seconds < 1:
        raise UsageError(
            f"--max-wall-time: {text!r} is not a time of a second or more",
            hint="Write seconds, or as 90s, 5m, 1h.",
        )
    return seconds


def _schema(text: str | None) -> str | None:
    if text is None or not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--json-schema: {text[1:]} cannot be read: {error}") from error


def _start_debug_log() -> None:
    from qwen_code.base.log import enable_debug_log
    from qwen_code.config.paths import Paths

    paths = Paths.of(os.environ, Path.cwd())
    path = enable_debug_log(paths.logs_dir)
    say_error_part(f"qwen: writing a log to {path}\n")
    from qwen_code.wiring.reports.without_effect import without_effect_in_words

    for line in without_effect_in_words(Launch().config(lambda _: None), all_=True):
        notice(line)
