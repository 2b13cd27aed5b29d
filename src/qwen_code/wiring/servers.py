"""The MCP servers of a session, with the user's network and without credentials of ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from qwen_code import __version__
from qwen_code.base.errors import ConfigError
from qwen_code.config.load import Config

if TYPE_CHECKING:
    from qwen_code.mcp.client import Servers
    from qwen_code.mcp.servers import ServerSpec


def open_servers(config: Config, say: Callable[[str], None]) -> Servers | None:
    """Start the MCP servers that the user defined or agreed to; ``None`` where there are none.

    ``say`` gets a line for each server that is not used, with the reason. The session continues.

    Raises:
        ConfigError: a definition of the user cannot be used.
    """
    from qwen_code.mcp import any_defined  # most runs have none, and need nothing of it

    if not any_defined(config.paths, config.settings):
        return None
    from qwen_code.mcp.definitions import find_definitions

    found = find_definitions(config.paths, config.settings, say)
    for definition in found:
        if not definition.is_trusted:
            name = definition.spec.name
            say(
                f"{definition.file} wants the MCP server {name}; to allow it: qwen mcp trust {name}"
            )
    try:
        return start_servers(config, [d.spec for d in found if d.is_trusted], say)
    except ConfigError as error:
        say(f"{error.message}. {error.hint}")
        return None


def start_servers(
    config: Config,
    specs: Sequence[ServerSpec],
    say: Callable[[str], None] = lambda _line: None,
) -> Servers:
    """Start these MCP servers, with this user's network and without this program's credentials.

    Raises:
        ConfigError: the package that speaks the protocol is not installed.
    """
    from qwen_code.auth.oauth.resource_tokens import ResourceTokens
    from qwen_code.auth.stored_secrets import remember_stored_secrets
    from qwen_code.mcp.client import Servers

    remember_stored_secrets(config)
    agent = f"qwen-code/{__version__}"
    tokens = ResourceTokens(config, agent)
    return Servers(
        specs,
        config.environment.child_environment(),
        say,
        config.paths.cwd,
        variables=config.environment.without_provider_keys(),
        logs_dir=config.paths.logs_dir,
        version=__version__,
        network=config.network,
        token_for=lambda spec, refused: tokens.token(spec.name, spec.url or "", refused),
    )
