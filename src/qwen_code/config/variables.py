"""``$NAME`` and ``${NAME}`` in the texts of settings, as Node Qwen Code replaces them.

Only in the user's and the machine's files: a project's could send a variable of the shell to a host
of its choice. And only in these tables: rules and commands have their own ``$``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

TABLES = ("env", "model", "modelProviders", "network", "proxy", "security")

_NAME = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})")


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

    return {name: walk(value) if name in TABLES else value for name, value in tree.items()}
