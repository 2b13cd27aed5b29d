"""``qwen mcp login`` and ``logout``: sign in at a remote server."""

from __future__ import annotations

import os
import shlex
import sys

from qwen_code import __version__
from qwen_code.auth.oauth.registration import ClientSettings
from qwen_code.auth.oauth.resource_sign_in import ResourceSignIn
from qwen_code.auth.oauth.resource_tokens import sign_out_of
from qwen_code.base.clock import BlockingClock
from qwen_code.base.errors import ConfigError
from qwen_code.base.secret import Secret
from qwen_code.config.load import Config
from qwen_code.fronts.console import say, say_part
from qwen_code.fronts.text.login_display import display_for
from qwen_code.mcp.definitions import ServerDefinition
from qwen_code.mcp.servers import expand

_AGENT = f"qwen-code/{__version__}"


def login(
    config: Config, definition: ServerDefinition, *, browser: bool, scopes: tuple[str, ...] = ()
) -> None:
    """Sign in at the server; ``scopes`` are requested beside the others.

    Raises:
        ConfigError: it is not remote, not trusted, or offers no supported sign-in.
        SignInFailed: the sign-in was denied, refused, or has expired.
    """
    name = definition.spec.name
    if not definition.is_trusted:
        raise ConfigError(
            f"the MCP server {name} is defined by the project, and you have not trusted it",
            hint=f"Trust it: qwen mcp trust {shlex.quote(name)}",
        )
    if definition.spec.url is None:
        raise ConfigError(f"the MCP server {name} is a command, which needs no sign-in")
    spec = expand(definition.spec, config.environment.without_provider_keys())
    assert spec.url is not None
    secret = spec.oauth.client_secret
    sign_in = ResourceSignIn(
        name,
        spec.url,
        config=config,
        user_agent=_AGENT,
        clock=BlockingClock(),
        display=display_for(os.environ, browser=browser, write=_write),
        headers=spec.headers,
        settings=ClientSettings(
            spec.oauth.client_id,
            Secret(secret) if secret else None,
            spec.oauth.issuer,
            spec.oauth.client_metadata_url,
            spec.oauth.redirect_uri,
            tuple(spec.oauth.scopes),
        ),
        extra_scopes=scopes,
    )
    token = sign_in.run()
    where = f" at {token.issuer.name}" if token.issuer else ""
    say(f"Signed in{where} for {spec.url}. See: qwen mcp list")
    if token.refresh_token is None:
        say("The server sent no refresh token: the sign-in ends when its token expires.")


def logout(config: Config, name: str) -> None:
    """Revoke and delete the sign-in called ``name``.

    Raises:
        ConfigError: it cannot be removed.
    """
    said = sign_out_of(name, config, user_agent=_AGENT)
    if said is None:
        say(f"You are not signed in at the MCP server {name}.")
    else:
        say(f"Signed out of {name}: {said}.")


def _write(text: str) -> None:
    say_part(text)
    sys.stdout.flush()
