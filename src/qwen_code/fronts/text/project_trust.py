"""Asks whether to trust the MCP servers and hooks that a project defines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from qwen_code.base.secret import redact
from qwen_code.base.text import safe_text
from qwen_code.config.load import Config
from qwen_code.config.trust import TrustStore
from qwen_code.mcp import any_defined
from qwen_code.wiring.hooks import find_hooks, has_hooks


def ask_for_trust(
    config: Config, read_line: Callable[[str], str], write: Callable[[str], None]
) -> None:
    """Ask about each one that is not trusted yet. No answer means no, until the next start."""
    for folder, digest, what in _untrusted(config):
        write(f"The project {folder} defines:\n  {safe_text(redact(what))}\n")
        try:
            answer = (
                read_line("Let it run on this machine, as it is defined now? [y/N] ")
                .strip()
                .lower()
            )
        except (EOFError, KeyboardInterrupt):
            write("\n")
            return
        if answer in ("y", "yes"):
            TrustStore.load(config.paths).trust_definition(folder, digest)


def _untrusted(config: Config) -> Iterator[tuple[Path, str, str]]:
    def ignore(_: str) -> None:
        """Problems are reported when the session starts."""

    if any_defined(config.paths, config.settings):
        from qwen_code.mcp.definitions import find_definitions

        for server in find_definitions(config.paths, config.settings, ignore):
            if server.folder and not server.is_trusted:
                what = f"the MCP server {server.spec.name}: {server.spec.target}"
                yield server.folder, server.digest, what
    if has_hooks(config):
        for source in find_hooks(config, ignore):
            if source.folder and not source.is_trusted:
                commands = "\n  ".join(f"{h.event} hook: {h.command}" for h in source.hooks)
                yield source.folder, source.digest, commands
