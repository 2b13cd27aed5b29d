"""``qwen auth env``: the connection as environment variables, for a shell or a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import click

from qwen_code.auth.resolver import Inputs, resolve
from qwen_code.auth.types import Connection
from qwen_code.base.json_text import pretty_json
from qwen_code.cli.auth.token import reveal
from qwen_code.cli.options import common_options
from qwen_code.fronts.console import notice, say_data
from qwen_code.wiring.launch import Launch


@click.command()
@click.option(
    "--format",
    "format_name",
    type=click.Choice(["shell", "fish", "powershell", "dotenv", "json"]),
    default="shell",
    help="The syntax of the output.",
)
@common_options
def env(launch: Launch, format_name: str) -> None:
    """Print LLAMA_* and OPENAI_* lines with the unmasked key: eval "$(qwen auth env)"."""
    inputs = launch.inputs(launch.config(notice), notice)
    connection = resolve(inputs).require()
    say_data(FORMATS[format_name](variables(inputs, connection)))


def variables(inputs: Inputs, connection: Connection) -> dict[str, str]:
    """The variables that other programs read, the canonical names first."""
    key = reveal(inputs, connection).reveal()
    pairs = {
        "LLAMA_API_KEY": key,
        "LLAMA_API_BASE_URL": connection.base_url,
        "OPENAI_API_KEY": key,
        "OPENAI_BASE_URL": connection.base_url,
    }
    if connection.model:
        pairs |= {"LLAMA_API_MODEL": connection.model, "OPENAI_MODEL": connection.model}
    return pairs


def _shell(pairs: Mapping[str, str]) -> str:
    return "\n".join(f"export {name}={_single_quoted(value)}" for name, value in pairs.items())


def _fish(pairs: Mapping[str, str]) -> str:
    return "\n".join(f"set -gx {name} {_backslashed(value)}" for name, value in pairs.items())


def _powershell(pairs: Mapping[str, str]) -> str:
    return "\n".join(
        f"$env:{name} = '{value.replace(chr(39), chr(39) * 2)}'" for name, value in pairs.items()
    )


def _dotenv(pairs: Mapping[str, str]) -> str:
    return "\n".join(f"{name}={_backslashed(value)}" for name, value in pairs.items())


def _json(pairs: Mapping[str, str]) -> str:
    return pretty_json(pairs).decode()


def _backslashed(value: str) -> str:
    """In single quotes, with backslashes and quotes escaped, for fish and dotenv files."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _single_quoted(value: str) -> str:
    escaped = value.replace("'", "'\\''")
    return f"'{escaped}'"


FORMATS: dict[str, Callable[[Mapping[str, str]], str]] = {
    "shell": _shell,
    "fish": _fish,
    "powershell": _powershell,
    "dotenv": _dotenv,
    "json": _json,
}
