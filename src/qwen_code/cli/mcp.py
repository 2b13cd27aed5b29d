"""``qwen mcp``: MCP servers, which provide tools of other programs."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from qwen_code.base.errors import ConfigError
from qwen_code.base.json_text import pretty_json
from qwen_code.base.secret import redact
from qwen_code.base.text import safe_text
from qwen_code.cli.mcp_add import add
from qwen_code.cli.options import with_config
from qwen_code.config.load import Config
from qwen_code.config.paths import Paths
from qwen_code.config.settings import Settings
from qwen_code.config.trust import TrustStore
from qwen_code.fronts.console import notice, refuse_model, require_person, say, say_data
from qwen_code.mcp.definitions import (
    ServerDefinition,
    find_definitions,
    project_files,
    save_entry,
)
from qwen_code.wiring.reports.trust import server_in_words
from qwen_code.wiring.servers import start_servers


@click.group()
def mcp() -> None:
    """Use tools of other programs, through the Model Context Protocol (MCP).

    A project's servers (.mcp.json) are started only after you have trusted them.
    """


mcp.add_command(add)


@mcp.command("list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@with_config
def list_command(config: Config, as_json: bool) -> None:
    """Start each server, and show its state."""
    found = find_definitions(config.paths, config.settings, notice)
    lines = _states(config, found)
    if as_json:
        say_data(pretty_json(lines).decode())
        return
    if not lines:
        say("No servers are defined. Add one: qwen mcp add NAME COMMAND | URL")
    for line in lines:
        state = line["state"]
        if state == "connected":
            state += f", {line['tools']} tools{', trusted' if line['trust'] else ''}"
        say(f"{line['name']}: {state}")
        say(f"    {safe_text(redact(line['target']))}")
        say(f"    {line['scope']}: {line['file']}")
        if line["reason"]:
            say(f"    {safe_text(redact(line['reason']))}")


@mcp.command("trust")
@click.argument("name")
def trust_command(name: str) -> None:
    """Trust the server that this project defines as NAME, as it is defined now."""
    paths = _paths()
    definition = _find(paths, name)
    if definition.folder is None:
        say(f"{name} is in your own settings ({definition.file}), and needs no trust.")
        return
    require_person("trusting a server")
    say("\n".join(server_in_words(definition)))
    if click.confirm("Let it run on this machine, as it is now?"):
        TrustStore.load(paths).trust_definition(definition.folder, definition.digest)
        say(f"Trusted in {definition.folder}.")


@mcp.command("remove")
@click.argument("name")
@click.option(
    "-s", "--scope", type=click.Choice(["user", "project"]), help="Default: wherever it is."
)
def remove_command(name: str, scope: str | None) -> None:
    """Remove a server from your settings, or from the project's .mcp.json or settings."""
    paths = _paths()
    files = [(paths.settings_file, False)] if scope != "project" else []
    files += [(file, True) for file in project_files(paths)] if scope != "user" else []
    for file, is_projects in files:
        if file.exists() and save_entry(file, name, None, is_projects=is_projects):
            say(f"Removed {name} from {file}.")
            return
    raise ConfigError(
        f"no MCP server {name} is defined in {' or '.join(str(file) for file, _ in files)}",
        hint="List all servers: qwen mcp list",
    )


@mcp.command("login")
@click.argument("name")
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@click.option(
    "--scope", "scopes", metavar="'SCOPE …'", default="", help="Ask for these permissions as well."
)
@with_config
def login_command(config: Config, name: str, no_browser: bool, scopes: str) -> None:
    """Sign in at a remote server that requires it.

    In a browser on this machine. Without one (--no-browser, SSH, no display), you get a code for
    any browser, or paste the address that yours ends at.
    """
    from qwen_code.cli.mcp_login import login

    refuse_model("signing in at a server")
    definition = _find(config.paths, name)
    login(config, definition, browser=not no_browser, scopes=tuple(scopes.split()))


@mcp.command("logout")
@click.argument("name")
@with_config
def logout_command(config: Config, name: str) -> None:
    """Revoke and delete the sign-in at a server."""
    from qwen_code.cli.mcp_login import logout

    logout(config, name)


def _states(config: Config, found: Sequence[ServerDefinition]) -> list[dict[str, Any]]:
    with start_servers(config, found) as servers:
        servers.tools()
        states = {state.name: state for state in servers.states()}
    lines = []
    for definition in found:
        spec = definition.spec
        state = states.get(spec.name)
        reason = state.reason if state else _why_unused(definition)
        lines.append(
            {
                "name": spec.name,
                "state": _state(definition, reason),
                "tools": state.tools if state else 0,
                "trust": spec.trust,
                "scope": definition.scope,
                "file": str(definition.file),
                "target": spec.target,
                "reason": reason,
            }
        )
    return lines


def _why_unused(definition: ServerDefinition) -> str | None:
    if definition.spec.is_disabled:
        return None
    return f"to trust it: qwen mcp trust {shlex.quote(definition.spec.name)}"


def _state(definition: ServerDefinition, reason: str | None) -> str:
    if definition.spec.is_disabled:
        return "disabled"
    if not definition.is_trusted:
        return "not trusted"
    return "failed" if reason else "connected"


def _find(paths: Paths, name: str) -> ServerDefinition:
    found = find_definitions(paths, Settings.load(paths), notice)
    for definition in found:
        if definition.spec.name == name:
            return definition
    names = ", ".join(definition.spec.name for definition in found) or "none"
    raise ConfigError(f"no MCP server {name} is defined", hint=f"Defined are: {names}")


def _paths() -> Paths:
    return Paths.of(os.environ, Path.cwd())
