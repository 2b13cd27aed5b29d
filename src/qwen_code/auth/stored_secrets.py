"""Makes every stored secret known, so that what tools and other programs print can be redacted."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from qwen_code.base.files import read_bounded
from qwen_code.base.json_text import decode_json
from qwen_code.base.secret import Secret
from qwen_code.config.load import Config
from qwen_code.config.paths import Paths
from qwen_code.config.search import unread_env_files

_MAX_BYTES = 1 << 20
_MAX_FILES = 1000
_NODE_MCP_TOKENS = "mcp-oauth-tokens.json"
_OPAQUE = r"(?=.*\d)\w[\w.+/=-]{15,}"

_OF_OTHER_PROGRAMS = ("env", "mcpServers")
"""Settings with values for other programs, which those are meant to have."""

_NAMES = frozenset(
    (
        *("accesstoken", "refreshtoken", "idtoken", "token", "apikey", "key", "secret", "password"),
        *("clientsecret", "devicecode", "codeverifier", "authorization", "xapikey"),
    )
)
"""Names of fields that hold a secret, in lower case and without ``_`` and ``-``."""


def remember_stored_secrets(config: Config) -> None:
    """Register the keys and tokens of all saved logins, of sign-ins at MCP servers, of Node Qwen
    Code, of settings and of ``.env`` files, used in this run or not.

    Files are read as they are: one that is damaged elsewhere still has its secrets redacted.
    """
    key_names = config.environment.key_names
    for name in key_names:
        for candidate in config.environment.candidates(name):
            if candidate.value.source.project is None or _is_opaque(candidate.value.text):
                Secret(candidate.value.text)
    for layer in config.settings.layers:
        if layer.project is None:
            from qwen_code.config import jsonc  # loaded by now

            tree = jsonc.loads(layer.data)  # all of it, not only what can be used
            _remember({n: each for n, each in tree.items() if n not in _OF_OTHER_PROGRAMS})
            _remember_clients(tree.get("mcpServers"))
    for file in _files(config.paths):
        with suppress(OSError, msgspec.DecodeError):
            _remember(decode_json(read_bounded(file, _MAX_BYTES)))
    for file in unread_env_files(config.paths):
        from qwen_code.config.dotenv import parse  # few have several such files

        with suppress(OSError):
            for pair in parse(read_bounded(file, _MAX_BYTES)).pairs:
                if pair.name.upper() in key_names and _is_opaque(pair.value):
                    Secret(pair.value)


def _remember_clients(servers: Any) -> None:
    """Of what is written for servers, the secrets that they do not get. ``$NAME`` is not one."""
    for entry in servers.values() if isinstance(servers, dict) else ():
        oauth = entry.get("oauth") if isinstance(entry, dict) else None
        secret = oauth.get("clientSecret") if isinstance(oauth, dict) else None
        if isinstance(secret, str) and not secret.startswith("$"):
            Secret(secret)


def _is_opaque(text: str) -> bool:
    """Whether it looks like a key. A project could else have any words masked, and so hide them
    from a person who approves a change."""
    return re.fullmatch(_OPAQUE, text) is not None


def _files(paths: Paths) -> Iterator[Path]:
    """The files of the user's directory that may hold secrets, with copies beside them."""
    yield from (paths.local_server_file, paths.qwen_home / _NODE_MCP_TOKENS)
    beginnings = {
        paths.qwen_home: (
            paths.oauth_creds_file.name,
            paths.profiles_file.name,
            paths.oauth_pending_dir.name,
        ),
        paths.accounts_dir: ("",),
        paths.mcp_dir: ("",),
        paths.oauth_pending_dir: ("",),
    }
    count = 0
    for folder, beginning in beginnings.items():
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(beginning) and entry.is_file():
                    count += 1
                    if count > _MAX_FILES:
                        return
                    yield Path(entry.path)


def _remember(tree: Any) -> None:
    """Register the texts below names of `_NAMES`, at any depth. A header may be ``Bearer X``."""
    waiting = [tree]
    while waiting:
        each = waiting.pop()
        if isinstance(each, list):
            waiting += each
        elif isinstance(each, dict):
            for name, value in each.items():
                if not isinstance(value, str):
                    waiting.append(value)
                elif name.replace("_", "").replace("-", "").lower() in _NAMES:
                    Secret(value.rpartition(" ")[2])
