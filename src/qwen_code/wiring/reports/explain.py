"""The whole resolution: every candidate for every field, as data and in words."""

from __future__ import annotations

from collections.abc import Callable

from qwen_code.auth.types import Candidate, Connection, FieldTrace, Method, Resolution, Status

Paint = Callable[[str, str], str]

_MARKS = {Status.CHOSEN: ("✓", "32"), Status.WITHHELD: ("✗", "31"), Status.UNTRUSTED: ("✗", "31")}


def _plainly(text: str, _code: str) -> str:
    return text


def explain_in_words(resolution: Resolution, paint: Paint = _plainly) -> str:
    """The resolution as text, a block a field; ``paint`` gives a text an ANSI style."""
    blocks = [_field(field, paint) for field in resolution.fields]
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


def _field(field: FieldTrace, paint: Paint) -> str:
    lines = [
        paint(field.field, "1"),
        f"  rule: {field.rule}",
    ]
    if not field.candidates:
        lines.append("  nothing offers it")
    lines += [_candidate(candidate, paint) for candidate in field.candidates]
    return "\n".join(lines)


def _candidate(candidate: Candidate, paint: Paint) -> str:
    mark, colour = _MARKS.get(candidate.status, ("·", "2"))
    shown = f" = {candidate.shown}" if candidate.shown else ""
    reason = f" ({candidate.reason})" if candidate.reason else ""
    line = f"  {mark} {candidate.status:<9} {candidate.source}{shown}{reason}"
    return paint(line, colour)


def explain_data(resolution: Resolution) -> dict[str, object]:
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
