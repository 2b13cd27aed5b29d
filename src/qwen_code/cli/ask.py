"""``qwen [PROMPT]``: answers one prompt, runs the prompt loop, or talks to another program."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from qwen_code.base.errors import UsageError
from qwen_code.cli.options import PROMPT_PARAMS, take_agent, take_launch
from qwen_code.fronts.console import is_interactive, notice
from qwen_code.wiring.launch import CHOOSE

if TYPE_CHECKING:
    from collections.abc import Callable

    from qwen_code.config.load import Config
    from qwen_code.fronts.companion import Companion
    from qwen_code.fronts.renderer import Renderer
    from qwen_code.wiring.agent import AgentOptions
    from qwen_code.wiring.launch import Launch


class _DefaultCommand(click.Command):
    """The default command. The usage line does not show its name."""

    def get_usage(self, ctx: click.Context) -> str:
        return super().get_usage(ctx).replace(f" {ctx.info_name}", "", 1)

    def get_help(self, ctx: click.Context) -> str:
        from qwen_code.cli.help_page import page  # only for --help

        return page(self, ctx)


@click.command(cls=_DefaultCommand, hidden=True, add_help_option=False, params=[*PROMPT_PARAMS])
@click.argument("prompt", nargs=-1)
def ask(prompt: tuple[str, ...], **values: Any) -> int:
    """Answer a prompt, or start a conversation in the terminal."""
    launch = take_launch(values)
    if values.get("worktree") is None:
        return _answer(launch, prompt, values)
    from qwen_code.cli.worktree import in_worktree  # few runs are in one

    return in_worktree(launch, values, lambda there: _answer(there, prompt, values))


def _answer(launch: Launch, prompt: tuple[str, ...], values: dict[str, Any]) -> int:
    if values["undo"] is not None or values["redo"] is not None:
        from qwen_code.cli.checkpoints import step

        return step(launch.config(notice), undo=values["undo"], redo=values["redo"])
    argument = values["prompt_option"]
    if argument is not None and prompt:
        raise UsageError(
            f"there are two prompts: -p {argument!r} and {' '.join(prompt)!r}",
            hint="Put the whole prompt in quotes after -p.",
        )
    if argument is None and prompt:
        argument = " ".join(prompt)
    is_json = values["output_format"] != "text"
    first = values.get("prompt_interactive")
    if first is not None:
        _check_can_go_on(argument, values)
        from qwen_code.fronts.text.talk import run_loop

        return run_loop(launch, take_agent(values), partial(_companion, values), first)
    if argument is None and is_interactive() and values["json_schema"] is None and not is_json:
        from qwen_code.fronts.text.talk import run_loop

        return run_loop(launch, take_agent(values), partial(_companion, values))
    _check_has_no_companion(values)
    if values["input_format"] == "stream-json":
        from qwen_code.fronts.stream_json.session import run_stream

        if values["output_format"] != "stream-json" or argument is not None:
            raise UsageError(
                "--input-format stream-json needs --output-format stream-json, and takes no prompt"
            )
        take_options = partial(_headless_options, values)
        return run_stream(
            launch,
            take_options,
            partial=values["include_partial_messages"],
            is_sdk=values.get("channel") == "SDK",
        )
    from qwen_code.fronts.one_prompt import run_prompt
    from qwen_code.fronts.prompt_input import read_stdin, take_prompt

    return run_prompt(
        launch,
        partial(_headless_options, values),
        _renderer(values),
        lambda stop: take_prompt(argument, read_stdin(sys.stdin, argument, notice, stop)),
        wants_limits=is_json,
    )


def _check_can_go_on(argument: str | None, values: dict[str, Any]) -> None:
    """
    Raises:
        UsageError: ``-i`` cannot be used with the other options, or without a terminal.
    """
    if argument is not None:
        raise UsageError(f"there are two prompts: that of -i, and {argument!r}", hint="Use one.")
    others = {"--json-schema": values["json_schema"] is not None}
    for name in ("output_format", "input_format"):
        others[f"--{name.replace('_', '-')}"] = values[name] != "text"
    for option in (option for option, is_given in others.items() if is_given):
        raise UsageError(f"-i and {option} contradict each other", hint="Use -p for scripts.")
    if not is_interactive():
        raise UsageError(
            "-i needs a terminal: standard input or output is not one",
            hint='Answer one prompt instead: qwen -p "…"',
        )


def _companion(values: dict[str, Any], config: Config) -> Companion | None:
    """The program that takes part in the conversation; few have one."""
    from qwen_code.fronts.companion import COMMANDS_KEY, EVENTS_KEY

    descriptor = values.get("json_fd")
    if descriptor is None and not any(map(config.settings.usable, (EVENTS_KEY, COMMANDS_KEY))):
        return None
    from qwen_code.fronts.stream_json.companion import open_companion

    return open_companion(config, descriptor, notice)


def _check_has_no_companion(values: dict[str, Any]) -> None:
    """
    Raises:
        UsageError: an option is for a conversation, and this is none.
    """
    for name in ("json_fd", "json_file", "input_file"):
        if values.get(name) is not None:
            is_input = name == "input_file"
            raise UsageError(
                f"--{name.replace('_', '-')} is for a conversation in a terminal",
                hint=f"Use --{'input' if is_input else 'output'}-format stream-json.",
            )


def _headless_options(values: dict[str, Any]) -> AgentOptions:
    if values["resume"] == CHOOSE:
        raise UsageError("--resume needs the id of a session", hint="List them: qwen sessions")
    return take_agent(values)


def _renderer(values: dict[str, Any]) -> Callable[[], Renderer]:
    output_format = values["output_format"]
    if output_format == "text":
        from qwen_code.fronts.text.renderer import text_renderer

        if values["json_schema"] is None:
            return lambda: text_renderer(sys.stdout)
        # Standard output is only for the answer.
        return lambda: text_renderer(sys.stderr, sys.stdout)
    from qwen_code.fronts.stream_json.renderer import JsonRenderer

    is_stream = output_format == "stream-json"
    pieces = is_stream and values["include_partial_messages"]
    return lambda: JsonRenderer(sys.stdout.buffer, is_stream=is_stream, partial=pieces)
