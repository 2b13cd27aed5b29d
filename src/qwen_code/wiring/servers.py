"""The MCP servers of a session, with the user's network and without credentials of ours."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from qwen_code import __version__
from qwen_code.base.errors import ConfigError
from qwen_code.config.load import Config

if TYPE_CHECKING:
    from qwen_code.base.stop import Stop
    from qwen_code.mcp.client import Servers
    from qwen_code.mcp.context import Refusal
    from qwen_code.mcp.definitions import ServerDefinition
    from qwen_code.mcp.elicitation import Answer, Elicitation
    from qwen_code.mcp.embedded import Exchange
    from qwen_code.mcp.host import AskPerson
    from qwen_code.mcp.servers import ServerSpec
    from qwen_code.wiring.front import Front


class GivenServers(msgspec.Struct, frozen=True):
    """The servers that the program which drives this one brings: ``entries`` as in settings, and
    ``embedded`` ones in that program, which ``exchange`` reaches."""

    entries: Mapping[str, Any]
    embedded: tuple[str, ...]
    exchange: Exchange

    @property
    def rules(self) -> tuple[str, ...]:
        """Rules that allow the tools of embedded servers: the program itself carries them out, and
        can refuse."""
        return tuple(f"mcp__{_safe(name)}" for name in self.embedded)

    def is_like_embedded(self, name: str) -> bool:
        """Whether tools of a server with this name would be covered by `rules`."""
        safe = _safe(name)
        return any(safe.startswith(f"{_safe(each)}__") for each in self.embedded) or (
            name not in self.embedded and safe in map(_safe, self.embedded)
        )

    def specs(self, say: Callable[[str], None]) -> list[ServerSpec]:
        """The valid ones; ``say`` gets what is wrong with the others."""
        from qwen_code.mcp.entries import parse_servers
        from qwen_code.mcp.servers import ServerSpec

        found = parse_servers(self.entries, "the request", lambda error: say(error.message))
        own = [ServerSpec(name, transport="embedded", trust=True) for name in self.embedded]
        return [*found, *own]


def _safe(name: str) -> str:
    """The name of a server in the names of its tools."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)


def open_servers(
    config: Config,
    say: Callable[[str], None],
    *,
    given: GivenServers | None = None,
    ask: AskPerson | None = None,
    roots: Sequence[Path] = (),
) -> Servers | None:
    """Start the MCP servers that the user defined or agreed to; ``None`` where there are none.

    ``say`` gets a line for each server that is not used, with the reason. ``ask`` puts what servers
    want to know to the person. ``roots`` are the directories of the session. The session continues
    without a server.

    Raises:
        ConfigError: a definition of the user cannot be used.
    """
    from qwen_code.mcp import any_defined  # most runs have none, and need nothing of it

    if given is None and not any_defined(config.paths, config.settings):
        return None
    from qwen_code.mcp.definitions import find_definitions

    specs = given.specs(say) if given else []
    found = find_definitions(config.paths, config.settings, say, specs)
    if given is not None:
        for name in [each.spec.name for each in found if given.is_like_embedded(each.spec.name)]:
            say(f"the MCP server {name} is not used: its name is like that of one in the program")
            found = [each for each in found if each.spec.name != name]
    for definition in found:
        if not definition.is_trusted and not definition.spec.is_disabled:
            from shlex import quote  # few servers wait to be trusted

            name = quote(definition.spec.name)
            say(
                f"{definition.file} wants the MCP server {name}; to allow it: qwen mcp trust {name}"
            )
    try:
        exchange = given.exchange if given else None
        return start_servers(config, found, say, ask=ask, roots=roots, exchange=exchange)
    except ConfigError as error:
        say(f"{error.message}. {error.hint}")
        return None


def asker_of(front: Front) -> AskPerson | None:
    """Puts what servers ask to the person at ``front``, as a form; ``None`` without a person."""
    if not front.is_attended:
        return None

    def ask(question: Elicitation, stop: Stop) -> Answer:
        from qwen_code.mcp.elicitation import Answer
        from qwen_code.wiring.front import Form

        text = f"The MCP server {question.server} asks: {question.message}"
        answers = front.question(Form(text, stop, schema=question.schema, url=question.url))
        if answers is None:
            return Answer("decline")
        return Answer("accept", None if question.url else dict(answers))

    return ask


def start_servers(
    config: Config,
    definitions: Sequence[ServerDefinition],
    say: Callable[[str], None] = lambda _line: None,
    *,
    ask: AskPerson | None = None,
    roots: Sequence[Path] = (),
    exchange: Exchange | None = None,
) -> Servers:
    """Start the trusted ones of these MCP servers, with this user's network and without this
    program's credentials.

    Raises:
        ConfigError: the package that speaks the protocol is not installed.
    """
    from qwen_code.auth.oauth.resource_tokens import ResourceTokens
    from qwen_code.auth.stored_secrets import remember_stored_secrets
    from qwen_code.mcp.client import Servers
    from qwen_code.mcp.context import ServerContext
    from qwen_code.mcp.servers import WORKSPACE_FOLDER

    remember_stored_secrets(config)
    agent = f"qwen-code/{__version__}"
    tokens = ResourceTokens(config, agent)

    def token_for(spec: ServerSpec, refusal: Refusal | None) -> str | None:
        url = spec.url or ""
        if refusal is None:
            return tokens.token(spec.name, url)
        said = (refusal.token, refusal.status, refusal.challenge)
        return tokens.after_refusal(spec.name, url, *said)

    cwd = config.paths.cwd
    used = [each for each in definitions if each.is_trusted and not each.spec.is_disabled]
    known = {each.spec.name: each for each in used}
    context = ServerContext(
        environ=config.environment.child_environment(),
        variables={**config.environment.without_provider_keys(), WORKSPACE_FOLDER: str(cwd)},
        cwd=cwd,
        logs_dir=config.paths.logs_dir,
        version=__version__,
        network=config.network,
        token_for=token_for,
        roots=roots or (cwd,),
        may_restart=lambda spec: known[spec.name].is_as_trusted(cwd),
        exchange=exchange,
    )
    return Servers([each.spec for each in used], context, say, ask=ask)
