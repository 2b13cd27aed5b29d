"""What defines a server: a command to run, or a URL. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from qwen_code.base.errors import ConfigError
from qwen_code.base.url import Origin
from qwen_code.config.run_files import files_run

Transport = Literal["stdio", "http", "sse", "http or sse", "embedded"]
"""``http`` is the streamable one; ``http or sse`` asks the server which of them it speaks.
``embedded``: in the program that drives this one."""

CALL_TIMEOUT_MS = 60_000
WORKSPACE_FOLDER = "workspaceFolder"
"""The variable that stands for the current directory, as in VS Code and Cursor."""

_VARIABLE = re.compile(
    r"\$(?:\{(?:env:)?(?P<braced>[A-Za-z_]\w*)(?::-(?P<default>[^}]*))?\}"
    r"|(?P<bare>[A-Za-z_]\w*))",
    re.ASCII,
)


class OauthEntry(msgspec.Struct, frozen=True):
    """How to sign in at a remote server, as written; ``$NAMES`` are replaced in the secret."""

    client_id: str | None = None
    client_secret: str | None = None
    issuer: str | None = None
    client_metadata_url: str | None = None
    redirect_uri: str | None = None
    scopes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"OauthEntry({self.client_id})"


class ServerSpec(msgspec.Struct, frozen=True):
    """One server. Either ``command`` or ``url`` is set, unless it is embedded.

    ``timeout_ms`` is how long one call may take. ``trust``: the user trusts what the server says
    about which tools are read-only. Texts still have their ``$NAMES``.
    """

    name: str
    command: str | None = None
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = {}
    cwd: str | None = None
    url: str | None = None
    headers: Mapping[str, str] = {}
    timeout_ms: int = CALL_TIMEOUT_MS
    transport: Transport = "stdio"
    trust: bool = False
    is_disabled: bool = False
    include_tools: tuple[str, ...] | None = None
    exclude_tools: tuple[str, ...] = ()
    description: str = ""
    oauth: OauthEntry = OauthEntry()

    @property
    def target(self) -> str:
        """The command or the URL on one line, as written."""
        return self.url or " ".join([self.command or "", *self.args])

    def allows(self, tool: str) -> bool:
        """Whether the user allows this tool of the server."""
        # In Node Qwen Code an entry is "name" or "name(arguments)".
        wanted = (
            None if self.include_tools is None else [t.split("(")[0] for t in self.include_tools]
        )
        return tool not in self.exclude_tools and (wanted is None or tool in wanted)

    def __repr__(self) -> str:
        return f"ServerSpec({self.name})"  # variables and headers can be secrets


def expand(spec: ServerSpec, environ: Mapping[str, str]) -> ServerSpec:
    """``spec`` with each ``$NAME``, ``${NAME}``, ``${NAME:-default}`` and ``${env:NAME}`` replaced
    from ``environ``.

    Raises:
        ConfigError: a variable is not set and has no default, or the address is not valid then.
    """

    def one(text: str) -> str:
        def value(match: re.Match[str]) -> str:
            name = match["braced"] or match["bare"]
            found = environ.get(name, match["default"])
            if found is None:
                raise ConfigError(
                    f"the MCP server {spec.name} needs the variable {name}, which is not set",
                    hint=f"Set the variable, or use ${{{name}:-default}}.",
                )
            return found

        return _VARIABLE.sub(value, text)

    url = spec.url and one(spec.url)
    if url:
        Origin.of(url)
    secret = spec.oauth.client_secret
    return msgspec.structs.replace(
        spec,
        url=url,
        args=tuple(one(text) for text in spec.args),
        env={name: one(text) for name, text in spec.env.items()},
        headers={name: one(text) for name, text in spec.headers.items()},
        oauth=msgspec.structs.replace(spec.oauth, client_secret=one(secret) if secret else None),
    )


def files_of(spec: ServerSpec, folder: Path, cwd: Path, *, is_own: bool) -> dict[str, str]:
    """The files of the project in ``folder`` that the server runs, with their digests."""
    words = [spec.command or "", *spec.args, *spec.env.values()]
    words = [word.replace(f"${{{WORKSPACE_FOLDER}}}", str(cwd)) for word in words]
    return files_run(words, folder, cwd / (spec.cwd or ""), relative_only=is_own)
