"""``$NAME`` and ``${NAME}`` in the texts of settings, as Node Qwen Code replaces them.

Only in the user's and the machine's files: a project's could send a variable of the shell to a host
of its choice. Commands of hooks and of servers have their own ``$``. A rule counts as it is
written, and as it is with its variables replaced.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from qwen_code.base.files import read_bounded
from qwen_code.config.paths import CONFIG_DIR, CONFIG_FILE_LIMIT_BYTES, Paths

TABLES = (
    *("context", "env", "general", "mcp", "model", "modelFallbacks", "modelProviders", "network"),
    *("providerProtocol", "proxy", "security", "skills"),
)

_RULES = (
    *("permissions.allow", "permissions.ask", "permissions.deny"),
    *("tools.allowed", "tools.exclude", "tools.disabled", "allowedTools", "excludeTools"),
)
_NAME = re.compile(r"\$(?:(\w+)|\{([^}]+)\})")


def variables_for(environ: Mapping[str, str], paths: Paths) -> Mapping[str, str]:
    """What texts can name: variables of the shell, and else of the ``.env`` files at home."""
    from qwen_code.config.dotenv import parse  # few files name any variable

    found: dict[str, str] = {}
    files = (paths.qwen_home / ".env", paths.home / CONFIG_DIR / ".env", paths.home / ".env")
    for file in files:
        try:
            pairs = parse(read_bounded(file, CONFIG_FILE_LIMIT_BYTES)).pairs
        except OSError:
            continue
        found = {**{pair.name: pair.value for pair in pairs}, **found}
    return {**found, **environ}


def expanded(tree: dict[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """``tree`` with the variables of `TABLES` replaced. One that is not set stays as it is."""

    def text(value: str) -> str:
        return _NAME.sub(lambda found: environ.get(found[1] or found[2], found[0]), value)

    def walk(value: Any) -> Any:
        if isinstance(value, str):
            return text(value) if "$" in value else value
        if isinstance(value, dict):
            return {name: walk(each) for name, each in value.items()}
        return [walk(each) for each in value] if isinstance(value, list) else value

    def with_both(value: Any) -> Any:
        if not isinstance(value, list):
            return value
        return [
            each
            for text in value
            for each in (dict.fromkeys((text, walk(text))) if isinstance(text, str) else [text])
        ]

    found = {name: walk(value) if name in TABLES else value for name, value in tree.items()}
    for dotted in _RULES:
        name, _, key = dotted.partition(".")
        table = found.get(name)
        if not key and name in found:
            found[name] = with_both(table)
        elif isinstance(table, dict) and key in table:
            found[name] = {**table, key: with_both(table[key])}
    return found
