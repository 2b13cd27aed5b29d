"""``qwen mcp login`` and ``logout``: sign in at a remote server by the device flow."""

from __future__ import annotations

import os
import sys

import click

from qwen_code import __version__
from qwen_code.auth.oauth.resource_sign_in import sign_in_for, store_of
from qwen_code.auth.oauth.revocation import revoke
from qwen_code.auth.sources import Gathered
from qwen_code.base.clock import BlockingClock
from qwen_code.base.errors import AuthError, ConfigError
from qwen_code.base.http import HttpClient, Timeouts
from qwen_code.fronts.text.sign_in_display import display_for
from qwen_code.mcp.definitions import ServerDefinition
from qwen_code.mcp.servers import expand, is_name

_LOCK_TIMEOUT_S = 20.0
_AGENT = f"qwen-code/{__version__}"


def login(gathered: Gathered, definition: ServerDefinition, *, browser: bool) -> None:
    """Sign in at the server.

    Raises:
        ConfigError: it is not remote, not trusted, or offers no sign-in that can be done here.
        SignInFailed: denied, expired, or refused.
    """
    name = definition.spec.name
    if not definition.is_trusted:
        raise ConfigError(
            f"the MCP server {name} is a project's, and you have not trusted it",
            hint=f"Run: qwen mcp trust {name}",
        )
    if definition.spec.url is None:
        raise ConfigError(f"the MCP server {name} is a command: there is nowhere to sign in")
    spec = expand(definition.spec, gathered.environment.child_environment())
    assert spec.url is not None
    token = sign_in_for(
        name,
        spec.url,
        paths=gathered.paths,
        network=gathered.network,
        user_agent=_AGENT,
        clock=BlockingClock(),
        display=display_for(os.environ, browser=browser, write=_write),
        headers=spec.headers,
        client_id=spec.client_id,
        scopes=spec.scopes,
    )
    where = f" at {token.issuer.name}" if token.issuer else ""
    click.echo(f"Signed in{where} for {spec.url}. See: qwen mcp list")
    if token.refresh_token is None:
        click.echo("The server gave no refresh token: this sign-in ends when its token does.")


def logout(gathered: Gathered, name: str) -> None:
    """Revoke and forget the sign-in called ``name``."""
    store = store_of(gathered.paths, name)
    if not is_name(name) or not store.path.exists():
        click.echo(f"There is no sign-in at the MCP server {name}.")
        return
    with store.exclusive(_LOCK_TIMEOUT_S):
        said = "nothing to revoke: the file is damaged"
        try:
            token = store.load()
        except AuthError:
            token = None
        if token is not None:
            http = HttpClient(gathered.network, user_agent=_AGENT, timeouts=Timeouts(5, 10, 5))
            said = revoke(token, token.issuer, http)
        store.remove()
    click.echo(f"Signed out of {name}: {said}.")


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
