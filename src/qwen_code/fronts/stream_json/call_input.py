"""The arguments of a call for a program: also under the names that they have in Node Qwen Code."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

_NODES_NAMES = {"path": "file_path", "background": "is_background"}


def shown(arguments: Any) -> Any:
    """The arguments, as a program gets them."""
    if not isinstance(arguments, dict):
        return arguments
    known = dict(arguments)
    for ours, nodes in _NODES_NAMES.items():
        if ours in arguments:
            value = arguments[ours]
            known[nodes] = os.path.abspath(value) if ours == "path" else value  # noqa: PTH100 links stay
    return known


def taken_back(changed: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """What the program has made of what it was `shown`, in our names: of two names for the same
    thing, the one that was changed counts."""
    found = dict(changed)
    for ours, nodes in _NODES_NAMES.items():
        if nodes in before and nodes in found:
            value = found.pop(nodes)
            if value != before[nodes] or ours not in found:
                found[ours] = value
    return found
