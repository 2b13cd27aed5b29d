"""``qwen auth status``: who is signed in, by what, and where requests go."""

from __future__ import annotations

import click

from qwen_code.auth.resolver import resolve
from qwen_code.auth.types import Connection, Method, Resolution
from qwen_code.base.errors import ExitCode, QwenError
from qwen_code.cli.console import is_interactive, report
from qwen_code.cli.options import Common, common_options
from qwen_code.config.values import SourceKind

__all__ = ["as_data", "render", "status"]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="The same as data.")
@click.option("--check", is_flag=True, help="Ask the server whether it accepts the credential.")
@common_options
def status(common: Common, as_json: bool, check: bool) -> int:
    """Method, endpoint, model and key in use. Exits 0 where signed in, 1 where not."""
    gathered = common.gather(interactive=is_interactive())
    resolution = resolve(gathered.inputs)
    answer, error = _ask(common, resolution) if check else (None, None)
    problem = resolution.error or error
    if as_json:
        import msgspec

        data = as_data(resolution) | ({"check": answer} if check else {})
        if problem:
            data["error"] = {"message": problem.message, "hint": problem.hint, "code": problem.code}
        click.echo(msgspec.json.format(msgspec.json.encode(data), indent=2).decode())
    elif resolution.connection:
        click.echo(render(resolution.connection))
        if answer:
            click.echo(_row("Server", answer))
    else:
        click.echo("Not signed in.")
    if problem and not as_json:
        report(problem)
    return ExitCode.FAILURE if problem else ExitCode.OK


def _ask(common: Common, resolution: Resolution) -> tuple[str | None, QwenError | None]:
    from qwen_code import wiring
    from qwen_code.base import blocking

    if resolution.connection is None:
        return None, None
    try:
        with wiring.open_session(common.gather(), resolution.connection) as session:
            models = blocking.run(session.client.models())
    except QwenError as error:
        return None, error
    return f"accepts it, and offers {len(models)} model{'' if len(models) == 1 else 's'}", None


def render(connection: Connection) -> str:
    """The connection for a person: a line a fact, each with its source."""
    rows = [_row("Method", _method(connection)), _row("Provider", connection.provider)]
    if connection.method is Method.LOCAL:
        rows.append(_row("Endpoint", "this machine, started with each run"))
    else:
        chosen = "" if connection.base_url_source.project is None else "  ← chosen by this project"
        rows.append(_row("Endpoint", connection.base_url, f"{connection.base_url_source}{chosen}"))
    source = str(connection.model_source) if connection.model_source else ""
    rows.append(_row("Model", connection.model or _unnamed(connection), source))
    if connection.method is not Method.LOCAL:
        rows.append(
            _row("Key", connection.credential_shown, str(connection.credential_source or ""))
        )
        rows.append(_row("Kept in", _kept_in(connection)))
    return "\n".join(rows)


def _row(name: str, value: str, source: str = "") -> str:
    return f"{name + ':':<10}{value}" + (f"  ({source})" if source else "")


def _method(connection: Connection) -> str:
    return connection.method + (f", profile {connection.profile}" if connection.profile else "")


def _unnamed(connection: Connection) -> str:
    return "Qwen2.5-Coder" if connection.method is Method.LOCAL else "the endpoint's only model"


def _kept_in(connection: Connection) -> str:
    source = connection.credential_source
    if source is None:
        return "nowhere: none is needed"
    if source.kind is SourceKind.SHELL:
        return "the environment of this shell"
    if source.path is not None:
        return f"{source.path}, as plain text"
    return str(source)


def as_data(resolution: Resolution) -> dict[str, object]:
    """The same facts as JSON types."""
    connection = resolution.connection
    if connection is None:
        return {"signed_in": False}
    source = connection.credential_source
    return {
        "signed_in": True,
        "method": connection.method,
        "provider": connection.provider,
        "profile": connection.profile,
        "base_url": None if connection.method is Method.LOCAL else connection.base_url,
        "base_url_source": str(connection.base_url_source),
        "chosen_by_project": str(connection.base_url_source.project or "") or None,
        "model": connection.model,
        "model_source": str(connection.model_source) if connection.model_source else None,
        "credential": connection.credential_shown or None,
        "credential_source": str(source) if source else None,
        "expires_at": None,
        "store": str(source.path) if source and source.path else source.kind if source else None,
    }
