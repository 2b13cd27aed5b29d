"""Tools of other programs: servers of the Model Context Protocol, and what they offer."""

from __future__ import annotations

from qwen_code.config.paths import Paths
from qwen_code.config.settings import Settings, folders_of_project

PROJECT_FILE = ".mcp.json"
"""What other programs, too, read of a project's servers."""

SERVERS_KEY = "mcpServers"


def any_defined(paths: Paths, settings: Settings) -> bool:
    """Whether anything needs to be imported: most runs have no servers."""
    return any(SERVERS_KEY in layer.tree for layer in settings.layers) or any(
        (folder / PROJECT_FILE).exists() for folder in folders_of_project(paths.cwd)
    )
