"""``qwen sessions``: the saved conversations of this project."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import click
import msgspec

from qwen_code.agent.context import project_root
from qwen_code.agent.session import SessionStore, Summary
from qwen_code.agent.transcript import as_markdown
from qwen_code.base.errors import ExitCode, UsageError
from qwen_code.base.moment import moment_of_day
from qwen_code.base.text import safe_text
from qwen_code.cli.app import LazyGroup
from qwen_code.cli.options import with_config
from qwen_code.config.load import Config
from qwen_code.fronts.console import say_data, say_part
from qwen_code.wiring.agent import session_store

_DAY_S = 24 * 3600


@click.group(
    cls=LazyGroup,
    lazy={
        "list": ("qwen_code.cli.sessions:listing", "List all sessions, the latest first."),
        "search": ("qwen_code.cli.sessions:search", "List the sessions that contain a text."),
        "export": ("qwen_code.cli.sessions:export", "Print a session as Markdown or JSON."),
        "delete": ("qwen_code.cli.sessions:delete", "Delete sessions permanently."),
    },
    invoke_without_command=True,
)
@click.pass_context
def sessions(context: click.Context) -> int | None:
    """List, search, export and delete the sessions of this project.

    Continue the last one: qwen --continue. Continue another: qwen --resume ID
    """
    if context.invoked_subcommand is None:
        return context.invoke(listing)  # type: ignore[no-any-return]
    return None


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@with_config
def listing(config: Config, as_json: bool) -> int:
    """List all sessions of this project, the latest first."""
    return _print(_store(config).summaries(), as_json, "This project has no sessions yet.")


@click.command()
@click.argument("text")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@with_config
def search(config: Config, text: str, as_json: bool) -> int:
    """List the sessions that contain TEXT, in upper or lower case."""
    found = _store(config).search(text)
    _print(found, as_json, "No session contains this text.")
    return ExitCode.OK if found else ExitCode.FAILURE


@click.command()
@click.argument("session_id", metavar="ID")
@click.option("--format", "kind", type=click.Choice(["markdown", "json"]), default="markdown")
@with_config
def export(config: Config, session_id: str, kind: str) -> int:
    """Print the conversation of a session."""
    messages = _store(config).messages(session_id)
    text = as_markdown(messages) if kind == "markdown" else _json(messages)
    say_data(text.removesuffix("\n"))
    return ExitCode.OK


@click.command()
@click.argument("session_ids", metavar="[ID…]", nargs=-1)
@click.option(
    "--older-than", type=click.IntRange(min=0), metavar="DAYS", help="Delete all older ones."
)
@with_config
def delete(config: Config, session_ids: tuple[str, ...], older_than: int | None) -> int:
    """Delete sessions permanently."""
    store = _store(config)
    wanted = list(session_ids)
    if older_than is not None:
        before = time.time() - older_than * _DAY_S
        wanted += [each.id for each in store.summaries() if each.changed_at < before]
    elif not wanted:
        raise UsageError(
            "no session was named", hint="qwen sessions delete ID, or --older-than DAYS"
        )
    for each in wanted:
        say_part(f"Deleted {store.delete(each)}\n")
    return ExitCode.OK


def _store(config: Config) -> SessionStore:
    return session_store(config.paths, project_root(config.paths.cwd))


def _print(found: Sequence[Summary], as_json: bool, otherwise: str) -> int:
    if as_json:
        say_data(_json([msgspec.structs.asdict(each) for each in found]))
        return ExitCode.OK
    for each in found:
        moment = moment_of_day(each.changed_at)
        say_part(f"{each.id}  {moment}  {safe_text(each.title)}\n")
    if not found:
        say_part(f"{otherwise}\n")
    return ExitCode.OK


def _json(data: Any) -> str:
    return msgspec.json.encode(data).decode()
