"""What the user is asked to trust: a project's servers and hooks, whole and verbatim."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qwen_code.agent.hooks.events import EVENTS
from qwen_code.base.secret import redact
from qwen_code.base.text import visible_text

if TYPE_CHECKING:
    from qwen_code.agent.hooks.entries import Hook
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
    """Each hook with its event, what it is for, all that it runs or sends, and the files that they
    run."""
    lines = [f"hooks, defined in {source.file}"]
    for hook in source.hooks:
        lines.append(f"  {_when(hook)}:")
        lines += [f"    {line}" for line in hook.text.split("\n")]
        lines += [f"    variable {name}={json.dumps(text)}" for name, text in hook.env.items()]
        lines += [f"    header {name}: {json.dumps(text)}" for name, text in hook.headers.items()]
        if hook.variables:
            lines.append(f"    may read from the environment: {', '.join(hook.variables)}")
    files = {path: digest for hook in source.hooks for path, digest in hook.files.items()}
    lines += _files(files, source.folder)
    return [visible_text(redact(line)) for line in lines]


def listed_hooks(sources: Sequence[HookSource]) -> str:
    """All hooks, for the user."""
    lines = []
    for source in sources:
        first, *rest = hooks_in_words(source)
        state = "" if source.is_trusted else "  (not trusted: qwen hooks trust)"
        lines += [f"{first}{state}", *rest]
    return "\n".join(lines) or "No hooks are defined."


def _when(hook: Hook) -> str:
    """``PreToolUse of edit, http, async``."""
    what = "every tool" if EVENTS[hook.event].target == "tool" else ""
    matcher = hook.matcher if EVENTS[hook.event].target else ""
    more = {"async": hook.in_background, "once": hook.once, "sequential": hook.sequential}
    words = [
        *([hook.kind] if hook.kind != "command" else []),
        *(w for w, has in more.items() if has),
    ]
    subject = f" of {matcher or what}" if matcher or what else ""
    named = f" ({hook.name})" if hook.name else ""
    return ", ".join([f"{hook.event}{subject}{named}", *words])


def _files(files: Mapping[str, str], folder: Path | None) -> Iterator[str]:
    for path, digest in files.items():
        shown = os.path.relpath(path, folder) if folder else path
        yield f"  file {shown} (sha256 {digest[:16]})"
