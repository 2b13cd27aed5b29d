"""Entries of ``mcpServers`` as people write them for this and other programs. Pure.

The keys are those of Node Qwen Code. What other clients write for the same thing is understood,
too: Claude Code, Cursor, VS Code, Cline, Windsurf, opencode and LangChain differ in names of keys
and of transports, and in what they accept as a list or a text.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from qwen_code.base.errors import ConfigError
from qwen_code.base.url import Origin
from qwen_code.mcp.servers import CALL_TIMEOUT_MS, OauthEntry, ServerSpec, Transport

_MAX_NAME_LENGTH = 100
_MAX_TIMEOUT_MS = 24 * 3600 * 1000

_OTHER_NAMES = {
    "command": ("cmd",),
    "env": ("environment",),
    "url": ("serverUrl", "server_url", "endpoint"),
    "type": ("transport", "transportType"),
    "cwd": ("workingDirectory",),
    "headers": ("requestHeaders",),
    "includeTools": ("enabledTools",),
    "excludeTools": ("disabledTools",),
}
"""What other programs call a key."""

_TRANSPORTS: Mapping[str, Transport] = {
    "stdio": "stdio",
    "local": "stdio",
    "command": "stdio",
    "http": "http",
    "https": "http",
    "streamablehttp": "http",
    "remote": "http or sse",
    "sse": "sse",
}
"""By their names without dashes and underscores, in lower case."""


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
    try:
        _check_name(name)
        spec = _read(name, entry)
        _check(spec)
    except ValueError as error:
        raise _unusable(key, str(error)) from error
    except ConfigError as error:
        raise _unusable(key, error.message) from error
    return spec


def _read(name: str, written: Any) -> ServerSpec:
    if not isinstance(written, Mapping):
        raise ValueError("it is not an object")
    raw = {key: value for key, value in written.items() if value is not None}
    for key, others in _OTHER_NAMES.items():
        found = next((other for other in others if other in raw), None)
        if key not in raw and found is not None:
            raw[key] = raw[found]
    command, args = _command(raw)
    url = _text(raw, "httpUrl") or _text(raw, "url")
    if bool(command) == bool(url):
        more = "; tcp is not supported" if "tcp" in raw else ""
        raise ValueError(f"it must have either a command or a url (httpUrl){more}")
    return ServerSpec(
        name,
        command or None,
        args,
        _texts(raw, "env"),
        _text(raw, "cwd"),
        url,
        _texts(raw, "headers"),
        _timeout_ms(raw.get("timeout")),
        transport=_transport(raw, is_remote=bool(url)),
        trust=_flag(raw, "trust", default=False),
        is_disabled=(
            _flag(raw, "disabled", default=False) or not _flag(raw, "enabled", default=True)
        ),
        include_tools=_names(raw, "includeTools"),
        exclude_tools=_names(raw, "excludeTools") or (),
        description=str(raw.get("description", "")),
        oauth=_oauth(raw.get("oauth")),
    )


def _check_name(name: str) -> None:
    if not 0 < len(name) <= _MAX_NAME_LENGTH or not name.isprintable() or name.isspace():
        raise ValueError(f"a name must have 1 to {_MAX_NAME_LENGTH} printable characters")


def _check(spec: ServerSpec) -> None:
    texts = [spec.command or "", *spec.args, *spec.env, *spec.env.values(), spec.cwd or ""]
    if any("\0" in text for text in texts):
        raise ValueError("a command must not contain a NUL character")
    if spec.url and "$" not in spec.url:
        Origin.of(spec.url)
    for name, text in spec.headers.items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or not _is_header_value(text):
            raise ValueError(
                f"{name!r} is not a valid header name, or its value has a control character"
            )


def _is_header_value(text: str) -> bool:
    return text.isascii() and all(character >= " " for character in text) and "\x7f" not in text


def _unusable(key: str, reason: str) -> ConfigError:
    return ConfigError(f"{key}: {reason}", hint="Correct the entry or remove it.")


def _command(raw: Mapping[str, Any]) -> tuple[str | None, tuple[str, ...]]:
    """The program and its arguments; the command may be a list, and the arguments one line."""
    command, args = raw.get("command"), raw.get("args", [])
    first: tuple[str, ...] = ()
    if isinstance(command, list):
        words = [_scalar(each, "command") for each in command]
        command, first = (words[0], tuple(words[1:])) if words else (None, ())
    elif command is not None and not isinstance(command, str):
        raise ValueError("command must be a text")
    if isinstance(args, str):
        try:
            args = shlex.split(args)
        except ValueError as error:
            raise ValueError(f"args cannot be split into words: {error}") from error
    if not isinstance(args, list):
        raise ValueError("args must be a list of texts")
    return command, (*first, *(_scalar(each, "args") for each in args))


def _transport(raw: Mapping[str, Any], *, is_remote: bool) -> Transport:
    named = raw.get("type")
    if named is None:
        return ("http" if "httpUrl" in raw else "http or sse") if is_remote else "stdio"
    found = _TRANSPORTS.get(re.sub(r"[-_ ]", "", str(named)).lower())
    if found is None:
        raise ValueError(f"the transport {named!r} is not supported; use stdio, http or sse")
    if (found == "stdio") == is_remote:
        raise ValueError(f"a server of type {named} has no {'url' if is_remote else 'command'}")
    return found


def _timeout_ms(value: Any) -> int:
    if value is None:
        return CALL_TIMEOUT_MS
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not 1 <= number <= _MAX_TIMEOUT_MS:
        raise ValueError(f"timeout must be 1 to {_MAX_TIMEOUT_MS:,} milliseconds")
    return int(number)


def _oauth(value: Any) -> OauthEntry:
    """How to sign in; ``false`` is for a server without a sign-in."""
    if value is None or isinstance(value, bool):
        return OauthEntry()
    if not isinstance(value, Mapping):
        raise ValueError("oauth must be an object")
    scopes = value.get("scopes", value.get("scope")) or []
    if isinstance(scopes, str):
        scopes = scopes.split()
    if not isinstance(scopes, list):
        raise ValueError("oauth.scopes must be a list of texts")
    raw = {"clientId": value.get("client_id"), "clientSecret": value.get("client_secret"), **value}
    return OauthEntry(
        client_id=_text(raw, "clientId") or None,
        client_secret=_text(raw, "clientSecret") or None,
        issuer=_text(raw, "issuer") or None,
        client_metadata_url=_text(raw, "clientMetadataUrl") or None,
        redirect_uri=_text(raw, "redirectUri") or None,
        scopes=tuple(_scalar(scope, "oauth.scopes") for scope in scopes),
    )


def _text(raw: Mapping[str, Any], key: str) -> str | None:
    value = raw.get(key)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{key} must be a text")
    return value


def _texts(raw: Mapping[str, Any], key: str) -> dict[str, str]:
    """An object of texts; ``null`` is for a variable that is not set."""
    value = raw.get(key, {})
    if not isinstance(value, Mapping):
        raise ValueError(f"{key} must be an object of texts")
    return {name: _scalar(one, f"{key}.{name}") for name, one in value.items() if one is not None}


def _names(raw: Mapping[str, Any], key: str) -> tuple[str, ...] | None:
    value = raw.get(key)
    if value is None:
        return None
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list):
        raise ValueError(f"{key} must be a list of texts")
    return tuple(_scalar(name, key) for name in listed)


def _flag(raw: Mapping[str, Any], key: str, *, default: bool) -> bool:
    value = raw.get(key, default)
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise ValueError(f"{key} must be true or false")
    return value


def _scalar(value: Any, key: str) -> str:
    """A text, also where a number or ``true`` was written for it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if not isinstance(value, str):
        raise ValueError(f"{key} must be a text")
    return value
