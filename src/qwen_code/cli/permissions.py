"""``qwen permissions``: the rules that are in force, and what they say of a command."""

from __future__ import annotations

import functools
from typing import Any

import click
import msgspec

from qwen_code.base.errors import ExitCode, UsageError
from qwen_code.base.text import safe_text
from qwen_code.cli.options import MODES, F, with_config
from qwen_code.config.load import Config
from qwen_code.fronts.console import notice, say_part


def _with_judge(function: F) -> F:
    """Pass what decides about calls as ``judge``, and whether JSON is wanted as ``as_json``."""

    @click.option("--json", "as_json", is_flag=True, help="For programs.")
    @click.option(
        "--approval-mode",
        type=MODES,
        metavar="MODE",
        help="As it would be in this mode.",
    )
    @click.option(
        "--allowed-tools",
        metavar="RULE",
        multiple=True,
        help="As if this were allowed, too: to try a rule.",
    )
    @with_config
    @functools.wraps(function)
    def wrapper(
        config: Config, *, approval_mode: str | None, allowed_tools: tuple[str, ...], **values: Any
    ) -> Any:
        from qwen_code.wiring.agent import AgentOptions, find_judge

        options = AgentOptions(mode=approval_mode, rules=allowed_tools)
        return function(judge=find_judge(config, options, notice), **values)

    return wrapper  # type: ignore[return-value]


@click.group()
def permissions() -> None:
    """The rules for tools: which are in force, and what they say of a command.

    They are in the settings, under permissions.allow, permissions.ask and permissions.deny.
    """


@permissions.command()
@click.argument("command")
@click.option(
    "--directory", metavar="DIR", default="", help="Where it would run, from here. Default: here."
)
@_with_judge
def explain(*, judge: Any, command: str, directory: str, as_json: bool) -> int:
    """Say whether COMMAND would run without a question, and why. It does not run now."""
    from qwen_code.wiring.reports.permissions import explain_command, explained_in_words

    if not command.strip():
        raise UsageError("the command is empty", hint="qwen permissions explain 'git status'")
    found = explain_command(judge, command, directory)
    _say(found if as_json else explained_in_words(found))
    return ExitCode.OK


@permissions.command("list")
@_with_judge
def list_command(*, judge: Any, as_json: bool) -> int:
    """List the rules that are in force, each with its place."""
    from qwen_code.wiring.reports.permissions import rules_as_data, rules_in_words

    _say(rules_as_data(judge) if as_json else rules_in_words(judge))
    return ExitCode.OK


def _say(found: object) -> None:
    text = safe_text(found) if isinstance(found, str) else msgspec.json.encode(found).decode()
    say_part(f"{text}\n")
