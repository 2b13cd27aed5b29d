"""The configuration of a server: a command to run, or a URL. Pure.

The keys are those of Node Qwen Code (``mcpServers`` in settings), and of ``.mcp.json``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec

from qwen_code.base.errors import ConfigError
from qwen_code.base.url import Origin
from qwen_code.config.run_files import files_run

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,47}")
_VARIABLE = re.compile(
    r"\$(?:\{(?P<braced>[A-Za-z_]\w*)(?::-(?P<default>[^}]*))?\}|(?P<bare>[A-Za-z_]\w*))", re.ASCII
)
_CALL_TIMEOUT_MS = 60_000
_MAX_TIMEOUT_MS = 24 * 3600 * 1000
_TYPES = {"stdio": "command", "http": "url", "streamable-http": "url"}


class _Oauth(msgspec.Struct, frozen=True, rename="camel"):
    client_id: str | None = None
    scopes: list[str] = []


class _Written(msgspec.Struct, frozen=True, rename="camel"):
    """One entry as written in a file; other keys belong to other programs and are ignored."""

    command: str | None = None
    args: list[str] = []
    env: dict[str, str] = {}
    cwd: str | None = None
    http_url: str | None = None
    url: str | None = None
    type: str | None = None
    headers: dict[str, str] = {}
    timeout: Annotated[int, msgspec.Meta(ge=1, le=_MAX_TIMEOUT_MS)] = _CALL_TIMEOUT_MS
    trust: bool = False
    include_tools: list[str] | None = None
    exclude_tools: list[str] = []
    description: str = ""
    oauth: _Oauth = _Oauth()


class ServerSpec(msgspec.Struct, frozen=True):
    """One server. Either ``command`` or ``url`` is set.

    ``timeout_ms`` is how long one call may take. ``trust``: the user trusts what the server says
    about which tools are read-only. ``env``, ``args`` and ``headers`` still have their ``$NAMES``.
    """

    name: str
    command: str | None = None
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = {}
    cwd: str | None = None
    url: str | None = None
    headers: Mapping[str, str] = {}
    timeout_ms: int = _CALL_TIMEOUT_MS
    trust: bool = False
    include_tools: tuple[str, ...] | None = None
    exclude_tools: tuple[str, ...] = ()
    description: str = ""
    client_id: str | None = None
    scopes: tuple[str, ...] = ()

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


def is_name(text: str) -> bool:
    """Whether ``text`` is a valid name of a server; names become parts of paths."""
    return bool(_NAME.fullmatch(text))


def _raise(error: ConfigError) -> None:
    raise error


def parse_servers(
    table: Any, where: str, refuse: Callable[[ConfigError], None] = _raise
) -> list[ServerSpec]:
    """The valid servers of an ``mcpServers`` object; ``where`` is the file, for errors.

    ``refuse`` gets the error of each invalid one, whose ``message`` names the key.

    Raises:
        ConfigError: one of them is invalid, unless ``refuse`` does something else.
    """
    if not isinstance(table, dict):
        refuse(_unusable(f"mcpServers in {where}", "it is not an object"))
        return []
    found = []
    for name, entry in table.items():
        try:
            found.append(parse_server(name, entry, where))
        except ConfigError as error:
            refuse(error)
    return found


def parse_server(name: str, entry: Any, where: str) -> ServerSpec:
    """The server of one entry.

    Raises:
        ConfigError: it is invalid; ``message`` names the key.
    """
    key = f"mcpServers.{name} in {where}"
    if not is_name(name):
        raise _unusable(
            key, "a name must have 1 to 48 letters, digits, dots, dashes or underscores"
        )
    try:
        written = msgspec.convert(entry, _Written)
    except msgspec.ValidationError as error:
        raise _unusable(key, str(error)) from error
    url = written.http_url or written.url
    _check(key, written, url)
    return ServerSpec(
        name,
        written.command,
        tuple(written.args),
        written.env,
        written.cwd,
        url,
        written.headers,
        written.timeout,
        written.trust,
        None if written.include_tools is None else tuple(written.include_tools),
        tuple(written.exclude_tools),
        written.description,
        written.oauth.client_id,
        tuple(written.oauth.scopes),
    )


def expand(spec: ServerSpec, environ: Mapping[str, str]) -> ServerSpec:
    """``spec`` with each ``$NAME``, ``${NAME}`` and ``${NAME:-default}`` replaced from ``environ``.

    Raises:
        ConfigError: a variable is not set and has no default.
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

    return msgspec.structs.replace(
        spec,
        args=tuple(one(text) for text in spec.args),
        env={name: one(text) for name, text in spec.env.items()},
        headers={name: one(text) for name, text in spec.headers.items()},
    )


def files_of(spec: ServerSpec, folder: Path, cwd: Path, *, is_own: bool) -> dict[str, str]:
    """The files of the project in ``folder`` that the server runs, with their digests."""
    words = [spec.command or "", *spec.args, *spec.env.values()]
    return files_run(words, folder, cwd / (spec.cwd or ""), relative_only=is_own)


def _check(key: str, written: _Written, url: str | None) -> None:
    if written.type is not None and written.type not in _TYPES:
        raise _unusable(key, f"unknown transport {written.type!r}; use stdio or http")
    if bool(written.command) == bool(url):
        raise _unusable(key, "it must have either a command or a url (httpUrl)")
    texts = [written.command or "", *written.args, *written.env, *written.env.values()]
    if any("\0" in text for text in texts):
        raise _unusable(key, "a command must not contain a NUL character")
    if url:
        try:
            Origin.of(url)
        except ConfigError as error:
            raise _unusable(key, error.message) from error
    for name, text in written.headers.items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or not _is_header_value(text):
            raise _unusable(
                key, f"{name!r} is not a valid header name, or its value has a control character"
            )


def _is_header_value(text: str) -> bool:
    return text.isascii() and all(character >= " " for character in text) and "\x7f" not in text


def _unusable(key: str, reason: str) -> ConfigError:
    return ConfigError(f"{key}: {reason}", hint="Correct the entry or remove it.")
