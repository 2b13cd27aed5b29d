"""``qwen auth status``: who is signed in, by what, and where requests go."""

from __future__ import annotations

import click
import msgspec

from qwen_code.auth.resolver import Inputs, resolve
from qwen_code.auth.types import Method, Resolution
from qwen_code.base.errors import ExitCode, QwenError
from qwen_code.base.stop import Stop
from qwen_code.cli.options import common_options
from qwen_code.config.load import Config
from qwen_code.fronts.console import is_interactive, notice, report
from qwen_code.wiring.launch import Launch
from qwen_code.wiring.reports.status import (
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
        click.echo(status_in_words(config, inputs, resolution.connection))
        if answer:
            click.echo(f"{'Server:':<12}{answer}")
    else:
        click.echo(unusable_sign_in(inputs, resolution) or "Not signed in.")
    if other := _elsewhere(inputs, resolution):
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
    click.echo(msgspec.json.format(msgspec.json.encode(data), indent=2).decode())


def _elsewhere(inputs: Inputs, resolution: Resolution) -> str | None:
    """A notice if runs of the other kind use another connection: with a terminal, a saved choice
    comes first; without one, a configured API."""
    other = resolve(msgspec.structs.replace(inputs, interactive=not inputs.interactive)).connection
    here = resolution.connection
    if other is None or here is None:
        return None
    if (other.method, other.base_url, other.credential_source) == (
        here.method,
        here.base_url,
        here.credential_source,
    ):
        return None
    run = "qwen -p, and a run without a terminal, use" if inputs.interactive else "a terminal uses"
    where = "" if other.method is Method.LOCAL else f" at {other.base_url}"
    return f"{run} {other.method}{where} instead: {other.credential_source or 'the saved choice'}"


def _ask(config: Config, resolution: Resolution) -> tuple[str | None, QwenError | None]:
    from qwen_code.wiring.link import open_link

    if resolution.connection is None:
        return None, None
    try:
        with open_link(config, resolution.connection) as link:
            models = link.client.models(Stop())
    except QwenError as error:
        return None, error
    return f"accepts it, and offers {len(models)} model{'' if len(models) == 1 else 's'}", None
