"""``qwen auth explain``: the whole resolution, offline."""

from __future__ import annotations

import sys

import click
import msgspec

from qwen_code.auth.resolver import resolve
from qwen_code.base.errors import ExitCode
from qwen_code.base.json_text import pretty_json
from qwen_code.base.secret import redact
from qwen_code.cli.options import common_options
from qwen_code.fronts.console import is_interactive, notice, paint, say, say_data
from qwen_code.wiring.launch import Launch
from qwen_code.wiring.reports.explain import explain_data, explain_in_words
from qwen_code.wiring.reports.status import elsewhere


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@common_options
def explain(launch: Launch, as_json: bool) -> int:
    """Show every candidate for every field: where it was set, whether it was chosen, and the rule;
    and every place of the .env file, with the lines that were ignored.

    Nothing is sent anywhere. Exits with 0 if a connection was found, else with 41.
    """
    config = launch.config(notice)
    inputs = launch.inputs(config, notice, interactive=is_interactive())
    resolution = resolve(inputs)
    if other := elsewhere(inputs, resolution):
        resolution = msgspec.structs.replace(resolution, notices=(*resolution.notices, other))
    if as_json:
        data = pretty_json(explain_data(config, resolution))
        say_data(redact(data.decode()))
    else:
        text = explain_in_words(config, resolution, lambda t, c: paint(t, c, stream=sys.stdout))
        say(redact(text))
    return ExitCode.OK if resolution.connection else resolution.error.exit_code  # type: ignore[union-attr]
