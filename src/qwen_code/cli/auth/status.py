"""``qwen auth status``: who is signed in, by what, and where requests go."""

from __future__ import annotations

from collections.abc import Sequence

import click

from qwen_code.auth.resolver import Inputs, resolve
from qwen_code.auth.types import Connection, Method, Resolution
from qwen_code.base.errors import ExitCode, QwenError
from qwen_code.base.json_text import pretty_json
from qwen_code.base.stop import Stop
from qwen_code.cli.options import common_options
from qwen_code.config.load import Config
from qwen_code.fronts.console import is_interactive, notice, report, say, say_data
from qwen_code.wiring.launch import Launch
from qwen_code.wiring.reports.status import (
    elsewhere,
    ended,
    quota_of,
    status_data,
    status_in_words,
    unusable_sign_in,
)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--check", is_flag=True, help="Ask the server whether it accepts the credential.")
@common_options
def status(launch: Launch, as_json: bool, check: bool) -> int:
    """Show the method, endpoint, model and key in use. Exits with 0 if signed in, else with 1."""
    config = launch.config(notice)
    inputs = launch.inputs(config, notice, interactive=is_interactive())
    resolution = resolve(inputs)
    answer, error = _ask(config, resolution) if check else (None, None)
    problem = resolution.error or ended(inputs, resolution) or error
    if as_json:
        _print_json(config, inputs, resolution, {"check": answer} if check else {}, problem)
        return ExitCode.FAILURE if problem else ExitCode.OK
    if resolution.connection:
        say(status_in_words(config, inputs, resolution.connection))
        if answer:
            say(f"{'Server:':<12}{answer}")
    else:
        say(unusable_sign_in(inputs, resolution) or "Not signed in.")
        if names := sorted(inputs.api.profiles.profiles):
            notice(f"saved logins: {', '.join(names)}; to use one: qwen auth switch NAME")
    if other := elsewhere(inputs, resolution):
        notice(other)
    if problem:
        report(problem)
    return ExitCode.FAILURE if problem else ExitCode.OK


def _print_json(
    config: Config,
    inputs: Inputs,
    resolution: Resolution,
    more: dict[str, object],
    problem: QwenError | None,
) -> None:
    from qwen_code.wiring.reports.quota import quota_data

    quota = quota_of(config, resolution.connection)
    data = status_data(inputs, resolution) | more
    data["quota"] = quota_data(quota) if quota else None
    if problem:
        data["error"] = {"message": problem.message, "hint": problem.hint, "code": problem.code}
    say_data(pretty_json(data).decode())


def _ask(config: Config, resolution: Resolution) -> tuple[str | None, QwenError | None]:
    if resolution.connection is None:
        return None, None
    try:
        return _accepted(config, resolution.connection), None
    except QwenError as error:
        return None, error


def _accepted(config: Config, connection: Connection) -> str:
    """That the endpoint accepts the credential: shown by its list of models, or by an answer of one
    token where anyone gets the list."""
    from qwen_code.wiring.link import open_link
    from qwen_code.wiring.login_check import Probe

    stop = Stop()
    if connection.method is Method.LOCAL:
        with open_link(config, connection) as link:
            models: Sequence[str] = [each.id for each in link.client.models(stop)]
    else:
        probe = Probe(connection, config)
        models = probe.models(stop) or ()
        model = connection.model or (models[0] if models else None)
        if model is None:
            return "does not list its models, and none is named: name one to check the key"
        probe.prove(models, model, stop)
    if not models:
        return "accepts it"
    return f"accepts it, and offers {len(models)} model{'' if len(models) == 1 else 's'}"
