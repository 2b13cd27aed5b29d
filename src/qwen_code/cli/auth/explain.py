"""``qwen auth explain``: the whole resolution, offline."""

from __future__ import annotations

import sys

import click

from qwen_code.auth.resolver import resolve
from qwen_code.auth.types import Candidate, Connection, FieldTrace, Method, Resolution, Status
from qwen_code.base.errors import ExitCode
from qwen_code.base.secret import redact
from qwen_code.cli.console import is_interactive, paint
from qwen_code.cli.options import Common, common_options

__all__ = ["as_data", "explain", "render"]

_MARKS = {Status.CHOSEN: ("✓", "32"), Status.WITHHELD: ("✗", "31"), Status.UNTRUSTED: ("✗", "31")}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="The same as data.")
@common_options
def explain(common: Common, as_json: bool) -> int:
    """Every candidate for every field: where it was set, what became of it, and the rule.

    Nothing is sent anywhere. Exits 0 where a connection was found, 41 where not.
    """
    resolution = resolve(common.gather(interactive=is_interactive()).inputs)
    if as_json:
        import msgspec

        data = msgspec.json.format(msgspec.json.encode(as_data(resolution)), indent=2)
        click.echo(redact(data.decode()))
    else:
        click.echo(redact(render(resolution)))
    return ExitCode.OK if resolution.connection else resolution.error.exit_code  # type: ignore[union-attr]


def render(resolution: Resolution) -> str:
    """The resolution as text, a block a field."""
    blocks = [_field(field) for field in resolution.fields]
    if resolution.connection:
        blocks.append(f"Result: {_result(resolution.connection)}")
    elif resolution.error:
        hint = f"\n{resolution.error.hint}" if resolution.error.hint else ""
        blocks.append(f"No connection: {resolution.error.message}{hint}")
    blocks += [f"Note: {text}" for text in resolution.notices]
    return "\n\n".join(blocks)


def _result(connection: Connection) -> str:
    if connection.method is Method.LOCAL:
        return " · ".join(filter(None, (connection.method, connection.model)))
    model = connection.model or "the endpoint's only model"
    return f"{connection.method} · {connection.base_url} · {model}"


def _field(field: FieldTrace) -> str:
    lines = [
        paint(field.field, "1", stream=sys.stdout),
        f"  rule: {field.rule}",
    ]
    if not field.candidates:
        lines.append("  nothing offers it")
    lines += [_candidate(candidate) for candidate in field.candidates]
    return "\n".join(lines)


def _candidate(candidate: Candidate) -> str:
    mark, colour = _MARKS.get(candidate.status, ("·", "2"))
    shown = f" = {candidate.shown}" if candidate.shown else ""
    reason = f" ({candidate.reason})" if candidate.reason else ""
    line = f"  {mark} {candidate.status:<9} {candidate.source}{shown}{reason}"
    return paint(line, colour, stream=sys.stdout)


def as_data(resolution: Resolution) -> dict[str, object]:
    """The resolution as JSON types; secrets are masked."""
    connection, error = resolution.connection, resolution.error
    return {
        "connection": connection
        and {
            "method": connection.method,
            "provider": connection.provider,
            "base_url": connection.base_url,
            "model": connection.model,
            "profile": connection.profile,
            "credential": connection.credential_shown,
        },
        "error": error
        and {"message": error.message, "hint": error.hint, "exit_code": error.exit_code},
        "fields": [
            {
                "field": field.field,
                "rule": field.rule,
                "candidates": [
                    {
                        "status": candidate.status,
                        "shown": candidate.shown,
                        "kind": candidate.source.kind,
                        "name": candidate.source.name,
                        "path": str(candidate.source.path) if candidate.source.path else None,
                        "line": candidate.source.line,
                        "project": str(candidate.source.project)
                        if candidate.source.project
                        else None,
                        "reason": candidate.reason,
                    }
                    for candidate in field.candidates
                ],
            }
            for field in resolution.fields
        ],
        "notices": resolution.notices,
    }
