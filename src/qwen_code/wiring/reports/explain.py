"""The whole resolution: every candidate for every field, as data and in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qwen_code.auth.types import Candidate, Connection, FieldTrace, Method, Resolution, Status
from qwen_code.config.load import Config
from qwen_code.config.search import env_places, is_env_file

Paint = Callable[[str, str], str]

_MARKS = {Status.CHOSEN: ("✓", "32"), Status.WITHHELD: ("✗", "31"), Status.UNTRUSTED: ("✗", "31")}
_PLACES = {
    "taken": ("✓", "32", "the first one that exists, so the only one that is read"),
    "skipped": ("✗", "33", "exists, and is not read: nothing is merged"),
    "absent": ("·", "2", ""),
}
_COUNTS = "usable"


def _plainly(text: str, _code: str) -> str:
    return text


def explain_in_words(config: Config, resolution: Resolution, paint: Paint = _plainly) -> str:
    """The resolution as text, a block a field; ``paint`` gives a text an ANSI style."""
    blocks = [_field(field, paint) for field in resolution.fields]
    blocks.append(_env_files(config, paint))
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
        lines.append("  nothing sets it")
    lines += [_candidate(candidate, paint) for candidate in field.candidates]
    return "\n".join(lines)


def _candidate(candidate: Candidate, paint: Paint) -> str:
    mark, colour = _MARKS.get(candidate.status, ("·", "2"))
    shown = f" = {candidate.shown}" if candidate.shown else ""
    reason = f" ({candidate.reason})" if candidate.reason else ""
    line = f"  {mark} {candidate.status:<9} {candidate.source}{shown}{reason}"
    return paint(line, colour)


def _env_files(config: Config, paint: Paint) -> str:
    """Every place of the ``.env`` file, and each line of the one that is read."""
    data = env_data(config)
    lines = [paint(".env", "1"), "  rule: the first file found, from here upward, then at home"]
    for place in data["places"]:
        mark, colour, reason = _PLACES[place["status"]]
        more = f" ({reason})" if reason else ""
        lines.append(paint(f"  {mark} {place['status']:<9} {place['path']}{more}", colour))
        if place["status"] == "taken":
            lines += [_env_line(each, paint) for each in data["variables"]]
            lines += [paint(f"      ✗ {text}", "31") for text in data["problems"]]
    return "\n".join(lines)


def _env_line(each: dict[str, Any], paint: Paint) -> str:
    is_good = each["status"] == _COUNTS
    status = "read" if is_good else "dropped" if each["status"] == "excluded" else each["status"]
    more = f" ({each['reason']})" if each["reason"] else ""
    line = f"      {status:<10} {each['name']}, line {each['line']}{more}"
    return paint(line, "2" if is_good else "33")


def env_data(config: Config) -> dict[str, Any]:
    """The places of the ``.env`` file in order, and of the one that is read every variable with
    what happened to it. No values: they may be secrets."""
    found = config.environment.env_file
    taken = found.path if found else None
    places = []
    for path in dict.fromkeys(env_places(config.paths)):
        status = "taken" if path == taken else "skipped" if is_env_file(path) else "absent"
        places.append({"path": str(path), "status": status})
    return {
        "places": places,
        "variables": [
            {"name": v.name, "line": v.line, "status": v.status, "reason": v.reason}
            for v in config.environment.variables_of_file()
        ],
        "problems": found.warnings() if found else [],
    }


def explain_data(config: Config, resolution: Resolution) -> dict[str, object]:
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
                "candidates": [_candidate_data(candidate) for candidate in field.candidates],
            }
            for field in resolution.fields
        ],
        "env_files": env_data(config),
        "notices": resolution.notices,
    }


def _candidate_data(candidate: Candidate) -> dict[str, object]:
    source = candidate.source
    return {
        "status": candidate.status,
        "shown": candidate.shown,
        "kind": source.kind,
        "name": source.name,
        "path": str(source.path) if source.path else None,
        "line": source.line,
        "project": str(source.project) if source.project else None,
        "reason": candidate.reason,
    }
