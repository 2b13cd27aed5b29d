"""What the user is asked to trust: a project's servers and hooks, whole and verbatim."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from qwen_code.base.secret import redact
from qwen_code.base.text import visible_text

if TYPE_CHECKING:
    from qwen_code.mcp.definitions import ServerDefinition
    from qwen_code.wiring.hooks import HookSource


def server_in_words(definition: ServerDefinition) -> list[str]:
    """All that a server's definition says about what runs, and the files that it runs."""
    spec = definition.spec
    lines = [f"the MCP server {spec.name}, defined in {definition.file}"]
    if spec.url:
        lines.append(f"  address: {spec.url}")
    else:
        lines.append(f"  command: {shlex.join([spec.command or '', *spec.args])}")
    if spec.cwd:
        lines.append(f"  directory: {spec.cwd}")
    lines += [f"  variable {name}={json.dumps(text)}" for name, text in spec.env.items()]
    lines += [f"  header {name}: {json.dumps(text)}" for name, text in spec.headers.items()]
    lines += _files(definition.files, definition.folder)
    return [visible_text(redact(line)) for line in lines]


def hooks_in_words(source: HookSource) -> list[str]:
    """Each hook with its event, its tools and its command, and the files that they run."""
    lines = [f"hooks, defined in {source.file}"]
    for hook in source.hooks:
        lines.append(f"  {hook.event} of {hook.matcher or 'every tool'}:")
        lines += [f"    {line}" for line in hook.command.split("\n")]
    files = {path: digest for hook in source.hooks for path, digest in hook.files.items()}
    lines += _files(files, source.folder)
    return [visible_text(redact(line)) for line in lines]


def _files(files: Mapping[str, str], folder: Path | None) -> Iterator[str]:
    for path, digest in files.items():
        shown = os.path.relpath(path, folder) if folder else path
        yield f"  file {shown} (sha256 {digest[:16]})"
