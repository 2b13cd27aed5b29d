"""A run without what the user or a project has added to the program: ``--safe-mode``, ``--bare``.

What is given to this run counts, and so does what forbids: rules that deny or ask, a sandbox, the
machine's own files. Node Qwen Code drops those too; here, no option of one run opens what settings
close.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from qwen_code.config import env_names
from qwen_code.config.load import Config
from qwen_code.config.paths import Paths
from qwen_code.config.settings import FLAT_NAMES, Layer, Reduction, value_at

BARE_TOOLS = ("read_file", "edit", "run_shell_command")
"""The built-in tools of a bare run."""

_LEFT_OUT = (
    "hooks",
    "mcpServers",
    "agents.directories",
    "context.fileName",
    "context.includeDirectories",
    "context.loadFromIncludeDirectories",
    "general.outputStyle",
    "permissions.allow",
    "qwen_code.permissions.projects",
    "skills.directories",
    "tools.allowed",
)
_MODE = "tools.approvalMode"
_STRICT_MODES = ("plan", "default")
"""These stay: a mode of the machine's defaults may be more open."""
_TRUE = ("1", "true", "yes", "on")


def reduced(config: Config, wanted: Reduction | None) -> Config:
    """``config`` without the customizations, if the command line (``wanted``) or a variable says
    so; a variable is told of in the warnings. Definitions in directories are left out by those who
    look for them."""
    reduction, warnings = wanted, config.warnings
    if reduction is None:
        reduction, source = _of_variables(config)
        if reduction is None:
            return config
        left_out = "notes, hooks, servers, skills, agents, commands and rules that allow"
        warnings += (f"{source} is set: {left_out} are left out",)
    layers = tuple(_reduced(layer, config.paths) for layer in config.settings.layers)
    settings = msgspec.structs.replace(config.settings, layers=layers, reduction=reduction)
    return msgspec.structs.replace(config, settings=settings, warnings=warnings)


def _of_variables(config: Config) -> tuple[Reduction | None, str]:
    """The values that mean yes are those of Node Qwen Code."""
    for name, reduction in env_names.REDUCING.items():
        value = config.environment.first(name)
        if value is not None and value.text.strip().lower() in _TRUE:
            return reduction, str(value.source)
    return None, ""


def _reduced(layer: Layer, paths: Paths) -> Layer:
    if layer.path in (paths.system_settings, paths.system_defaults):
        return layer
    tree = layer.tree
    for dotted in (*_LEFT_OUT, _MODE):
        for path in (dotted.split("."), [FLAT_NAMES.get(dotted, "")]):
            if dotted != _MODE or value_at(tree, path) not in _STRICT_MODES:
                tree = _without(tree, path)
    return msgspec.structs.replace(layer, tree=tree)


def _without(tree: dict[str, Any], path: Sequence[str]) -> dict[str, Any]:
    name, *below = path
    if name not in tree:
        return tree
    if not below:
        return {key: value for key, value in tree.items() if key != name}
    inner = tree[name]
    return {**tree, name: _without(inner, below)} if isinstance(inner, dict) else tree
