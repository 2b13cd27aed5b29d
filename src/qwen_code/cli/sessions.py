"""``qwen sessions``: the saved conversations of this project, and a search in all of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import islice
from typing import Any

import click
import msgspec

from qwen_code.agent.context import project_root
from qwen_code.agent.session import SessionStore
from qwen_code.agent.session_list import (
    Match,
    Summary,
    files_of_all,
    search,
    summaries_of,
    with_chat_files,
    with_chats,
)
from qwen_code.agent.transcript import as_markdown
from qwen_code.base.errors import ExitCode, UsageError
from qwen_code.base.moment import moment_of_day
from qwen_code.base.text import safe_text
from qwen_code.cli.app import LazyGroup
from qwen_code.cli.options import with_config
from qwen_code.config.load import Config
from qwen_code.fronts.console import notice, say_data, say_part
from qwen_code.wiring.assembled import session_store

_DAY_S = 24 * 3600


@click.group(
    cls=LazyGroup,
    lazy={
        "list": ("qwen_code.cli.sessions:listing", "List all sessions, the latest first."),
        "search": ("qwen_code.cli.sessions:search_all", "Find words in all projects' sessions."),
        "export": ("qwen_code.cli.sessions:export", "Print a session as Markdown or JSON."),
        "delete": ("qwen_code.cli.sessions:delete", "Delete sessions permanently."),
    },
    invoke_without_command=True,
)
@click.pass_context
def sessions(context: click.Context) -> int | None:
    """List, search, export and delete the sessions of this project.

    Those of Node Qwen Code are listed, too; they go on as a copy.

    Continue the last one: qwen --continue. Continue another: qwen --resume ID
    """
    if context.invoked_subcommand is None:
        return context.invoke(listing)  # type: ignore[no-any-return]
    return None


@click.command()
@click.option("--all", "of_all", is_flag=True, help="Of all projects.")
@click.option(
    "--limit", type=click.IntRange(min=1), metavar="N", help="The latest N; usually all of them."
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@with_config
def listing(config: Config, of_all: bool, as_json: bool, limit: int | None) -> int:
    """List the sessions of this project, the latest first."""
    if of_all:
        projects = config.paths.projects
        found = with_chats(summaries_of(files_of_all(projects)), projects)
        otherwise = "There are no sessions yet."
    else:
        found, otherwise = _store(config).summaries(), "This project has no sessions yet."
    code = _print(found[:limit], as_json, otherwise, of_all=of_all)
    if limit is not None and len(found) > limit:
        notice(f"these are the latest {limit} of {len(found)}; for more: --limit N")
    return code


@click.command()
@click.argument("words", nargs=-1, required=True)
@click.option(
    "--limit", type=click.IntRange(min=1), default=50, metavar="N", help="At most N; usually 50."
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@with_config
def search_all(config: Config, words: tuple[str, ...], limit: int, as_json: bool) -> int:
    """Find the sessions of all projects that contain all WORDS, in upper or lower case.

    Quote words that belong together. The latest comes first.
    """
    from qwen_code.auth.stored_secrets import remember_stored_secrets

    remember_stored_secrets(config)
    files = with_chat_files(files_of_all(config.paths.projects), config.paths.projects)
    found = list(islice(search(files, words), limit))
    if as_json:
        say_data(_json([_match_data(each) for each in found]))
        return ExitCode.OK if found else ExitCode.FAILURE
    for each in found:
        say_part(f"{_line(each.session)}\n    {safe_text(each.excerpt)}\n")
    if not found:
        say_part("No session contains all of this.\n")
        return ExitCode.FAILURE
    if len(found) == limit:
        notice(f"these are the latest {limit}; for more: --limit N")
    return ExitCode.OK


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
        wanted += [
            each.id
            for each in store.summaries()
            if each.changed_at < before and each.program == "qwen"
        ]
    elif not wanted:
        raise UsageError(
            "no session was named", hint="qwen sessions delete ID, or --older-than DAYS"
        )
    for each in wanted:
        say_part(f"Deleted {store.delete(each)}\n")
    return ExitCode.OK


def _store(config: Config) -> SessionStore:
    return session_store(config, project_root(config.paths.cwd))


def _print(found: Sequence[Summary], as_json: bool, otherwise: str, *, of_all: bool = False) -> int:
    if as_json:
        say_data(_json([msgspec.structs.asdict(each) for each in found]))
        return ExitCode.OK
    for each in found:
        say_part(f"{_line(each) if of_all else _short_line(each)}\n")
    if not found:
        say_part(f"{otherwise}\n")
    return ExitCode.OK


def _short_line(found: Summary) -> str:
    return f"{found.id}  {moment_of_day(found.changed_at)}  {safe_text(found.label)}"


def _line(found: Summary) -> str:
    """With its project."""
    project = safe_text(found.project or "(unknown)").replace("\n", "\\n")
    return f"{found.id}  {moment_of_day(found.changed_at)}  {project}  {safe_text(found.label)}"


def _match_data(match: Match) -> dict[str, Any]:
    return {**msgspec.structs.asdict(match.session), "excerpt": match.excerpt}


def _json(data: Any) -> str:
    return msgspec.json.encode(data).decode()
