"""Tools of other programs: servers of the Model Context Protocol."""

from __future__ import annotations

from qwen_code.config.paths import Paths
from qwen_code.config.settings import Settings, folders_of_project

PROJECT_FILE = ".mcp.json"
"""The file for a project's servers, which other programs read, too."""

SERVERS_KEY = "mcpServers"

RUN_SERVERS_KEY = "qwen_code.runServers"
"""The servers that one run uses of those that are defined: names, from the command line."""


def any_defined(paths: Paths, settings: Settings) -> bool:
    """Whether a server may be defined. If not, nothing else needs to be imported."""
    return any(SERVERS_KEY in layer.tree for layer in settings.layers) or any(
        (folder / PROJECT_FILE).exists() for folder in folders_of_project(paths.cwd)
    )
