"""``qwen mcp add``: write a server into the settings, or into the project's file."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from qwen_code.base.errors import UsageError
from qwen_code.config.paths import Paths
from qwen_code.config.settings import Settings
from qwen_code.config.trust import TrustStore
from qwen_code.fronts.console import notice, refuse_model, say
from qwen_code.mcp.definitions import find_definitions, project_file, save_entry
from qwen_code.mcp.entries import parse_server

_URL = re.compile(r"https?://", re.IGNORECASE)


class _Add(click.Command):
    """``NAME [OPTIONS] COMMAND ARGS…``: everything after the command belongs to the server."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        name = [args[0]] if args and not args[0].startswith("-") else []
        # A URL takes no arguments, so options after it can only be ours.
        ctx.allow_interspersed_args = self._is_for_url(args[len(name) :], 1 - len(name))
        rest = super().parse_args(ctx, args[len(name) :])
        words = (*name, *ctx.params.get("words", ()))
        ctx.params["words"] = words[:1] + words[2:] if words[1:2] == ("--",) else words
        return rest

    def _is_for_url(self, args: list[str], before: int) -> bool:
        """Whether what follows ``before`` words that are not options is a URL, not a command."""
        options = {name: each for each in self.params for name in each.opts}
        words = iter(args)
        for word in words:
            option = options.get(word.partition("=")[0]) if word[:1] == "-" else None
            if word == "--":
                return False
            if option is None and before == 0:
                return _URL.match(word) is not None
            before -= option is None
            if option is not None and "=" not in word and not getattr(option, "is_flag", False):
                next(words, None)  # its value
        return False


@click.command(
    "add",
    cls=_Add,
    context_settings={"allow_interspersed_args": False},
    options_metavar="NAME [OPTIONS]",
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="COMMAND [ARGS]… | URL")
@click.option(
    "-t",
    "--transport",
    type=click.Choice(["stdio", "http", "sse"]),
    help="Default: for a URL what it speaks, else stdio.",
)
@click.option(
    "-e", "--env", "variables", multiple=True, metavar="KEY=VALUE", help="A variable for a command."
)
@click.option(
    "-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="A header for a URL."
)
@click.option(
    "-s",
    "--scope",
    type=click.Choice(["user", "project"]),
    default="user",
    help="project: write it to .mcp.json, for all users of the project.",
)
@click.option("--timeout", type=click.IntRange(1), metavar="MS", help="The timeout of a call.")
@click.option("--trust", is_flag=True, help="Trust it to say which of its tools only read.")
@click.option("--description", metavar="TEXT", help="What it is for.")
@click.option(
    "--include-tools", multiple=True, metavar="NAME,…", help="Offer these of its tools alone."
)
@click.option("--exclude-tools", multiple=True, metavar="NAME,…", help="Do not offer these.")
@click.option("--oauth-client-id", metavar="ID", help="The client ID of this program there.")
@click.option("--oauth-client-secret", metavar="SECRET", help="Its secret; better as $VARIABLE.")
@click.option("--oauth-redirect-uri", metavar="URL", help="Where its sign-in returns to.")
@click.option("--oauth-authorization-url", metavar="URL", hidden=True)
@click.option("--oauth-token-url", metavar="URL", hidden=True)
@click.option("--oauth-scopes", multiple=True, metavar="SCOPE,…", help="Scopes to request.")
def add(
    words: tuple[str, ...],
    transport: str | None,
    variables: tuple[str, ...],
    headers: tuple[str, ...],
    scope: str,
    **more: Any,
) -> None:
    """Add a server, or replace the one with that name.

    \b
    qwen mcp add time uvx mcp-server-time
    qwen mcp add tracker -H 'X-Key: $TRACKER_KEY' https://tracker.example/mcp
    """
    if len(words) < 2:
        raise UsageError(
            "the name, and the command or URL, must be given",
            hint="For example: qwen mcp add time uvx mcp-server-time",
        )
    name, target, *arguments = words
    is_remote = transport in ("http", "sse") or (transport is None and "://" in target)
    entry: dict[str, Any] = {"command": target, "args": arguments}
    if is_remote:
        entry = {"httpUrl": target} if transport == "http" else {"url": target}
        entry |= {"type": transport} if transport else {}
    entry |= {
        "env": _pairs(variables, "=", "-e KEY=VALUE"),
        "headers": _pairs(headers, ":", "-H 'Name: value'"),
        **_of_tools(more),
        "oauth": _oauth_entry(more),
    }
    entry = {key: value for key, value in entry.items() if value}
    if is_remote and (arguments or variables):
        raise UsageError(
            "a server with a URL takes no arguments or variables", hint="Set headers with -H."
        )
    if not is_remote and "oauth" in entry:
        raise UsageError("--oauth-… is for a server with a URL", hint="Leave it out.")
    paths = Paths.of(os.environ, Path.cwd())
    file = project_file(paths) if scope == "project" else paths.settings_file
    parse_server(name, entry, str(file))
    refuse_model("adding a server")
    was_there = save_entry(file, name, entry, is_projects=scope == "project")
    if scope == "project":
        _trust_own(paths, name)
    say(f"{'Replaced' if was_there else 'Added'} {name} in {file}. See: qwen mcp list")


def _trust_own(paths: Paths, name: str) -> None:
    """Trust what the user has just written into the project."""
    for definition in find_definitions(paths, Settings.load(paths), notice):
        if definition.spec.name == name and definition.folder is not None:
            TrustStore.load(paths).trust_definition(definition.folder, definition.digest)


def _pairs(texts: Sequence[str], mark: str, form: str) -> dict[str, str]:
    pairs = [text.partition(mark) for text in texts]
    if any(not (name and found) for name, found, _ in pairs):
        raise UsageError(f"{form} was expected", hint="See: qwen mcp add --help")
    return {name.strip(): value.strip() if mark == ":" else value for name, _, value in pairs}


def _of_tools(more: dict[str, Any]) -> dict[str, Any]:
    """What is written of a server's tools, and of the waits for them."""
    return {
        "timeout": more["timeout"],
        "trust": more["trust"],
        "description": more["description"],
        "includeTools": _names(more["include_tools"]),
        "excludeTools": _names(more["exclude_tools"]),
    }


def _oauth_entry(more: dict[str, Any]) -> dict[str, Any]:
    """
    Raises:
        UsageError: an address of the sign-in is named, which the server itself has to tell.
    """
    for name in ("authorization", "token"):
        if more[f"oauth_{name}_url"]:
            raise UsageError(
                f"--oauth-{name}-url cannot be set: qwen asks the server where its sign-in is",
                hint="Leave it out; then run: qwen mcp login NAME",
            )
    entry = {
        "clientId": more["oauth_client_id"],
        "clientSecret": more["oauth_client_secret"],
        "redirectUri": more["oauth_redirect_uri"],
        "scopes": _names(more["oauth_scopes"]),
    }
    return {key: value for key, value in entry.items() if value}


def _names(texts: Sequence[str]) -> list[str]:
    """The names in options that take several, with commas."""
    return [name for text in texts for each in text.split(",") if (name := each.strip())]
