"""``qwen auth status``: who is signed in, by what, and where requests go."""

from __future__ import annotations

import click

from qwen_code.auth.resolver import resolve
from qwen_code.auth.types import Resolution
from qwen_code.base.errors import ExitCode, QwenError
from qwen_code.base.stop import Stop
from qwen_code.cli.options import common_options
from qwen_code.fronts.console import is_interactive, notice, report
from qwen_code.wiring.launch import Launch
from qwen_code.wiring.reports.status import ended, quota_of, status_data, status_in_words


@click.command()
@click.option("--json", "as_json", is_flag=True, help="The same as data.")
@click.option("--check", is_flag=True, help="Ask the server whether it accepts the credential.")
@common_options
def status(launch: Launch, as_json: bool, check: bool) -> int:
    """Method, endpoint, model and key in use. Exits 0 where signed in, 1 where not."""
    gathered = launch.load(notice, interactive=is_interactive())
    resolution = resolve(gathered.inputs)
    answer, error = _ask(launch, resolution) if check else (None, None)
    problem = resolution.error or ended(gathered, resolution) or error
    if as_json:
        import msgspec

        from qwen_code.wiring.reports.quota import quota_data

        quota = quota_of(gathered, resolution.connection)
        data = status_data(gathered, resolution) | ({"check": answer} if check else {})
        data["quota"] = quota_data(quota) if quota else None
        if problem:
            data["error"] = {"message": problem.message, "hint": problem.hint, "code": problem.code}
        click.echo(msgspec.json.format(msgspec.json.encode(data), indent=2).decode())
    elif resolution.connection:
        click.echo(status_in_words(gathered, resolution.connection))
        if answer:
            click.echo(f"{'Server:':<10}{answer}")
    else:
        click.echo("Not signed in.")
    if problem and not as_json:
        report(problem)
    return ExitCode.FAILURE if problem else ExitCode.OK


def _ask(launch: Launch, resolution: Resolution) -> tuple[str | None, QwenError | None]:
    from qwen_code.wiring.link import open_link

    if resolution.connection is None:
        return None, None
    try:
        with open_link(launch.load(notice), resolution.connection) as link:
            models = link.client.models(Stop())
    except QwenError as error:
        return None, error
    return f"accepts it, and offers {len(models)} model{'' if len(models) == 1 else 's'}", None
