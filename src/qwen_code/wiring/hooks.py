"""Which hooks a session has: the user's own, and a project's that the user has agreed to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from qwen_code.agent.context import project_root
from qwen_code.config.load import Config
from qwen_code.config.trust import TrustStore

if TYPE_CHECKING:
    from qwen_code.agent.hooks.entries import Hook
    from qwen_code.config.settings import Layer

_KEY = "hooks"
_OFF = "disableAllHooks"
"""In the user's settings: no hook runs."""


class HookSource(msgspec.Struct, frozen=True):
    """The hooks of one file. ``folder`` is the project whose files they are or run, ``None`` for
    the user's own."""

    file: Path
    hooks: tuple[Hook, ...]
    folder: Path | None = None
    digest: str = ""
    is_trusted: bool = True


def has_hooks(config: Config) -> bool:
    """Whether anything needs to be looked at: most sessions have none."""
    return not are_off(config) and any(layer.tree.get(_KEY) for layer in config.settings.layers)


def are_off(config: Config) -> bool:
    """Whether no hook runs, whatever defines it."""
    return bool(config.settings.first(_OFF, bool))


def find_hooks(config: Config, notice: Callable[[str], None]) -> list[HookSource]:
    """The hooks by file; ``notice`` gets a line for what is not used as it is written."""
    from qwen_code.agent.hooks.entries import parse_hooks  # only who has some pays for it

    found: list[HookSource] = []
    if are_off(config):
        return found
    machines = (config.paths.system_settings, config.paths.system_defaults)

    def rank(layer: Layer) -> int:
        """Those of a project are called first, then the user's, then the machine's."""
        return (layer.project is None) + (layer.path in machines)

    for layer in sorted(config.settings.layers, key=rank):
        table = layer.tree.get(_KEY)
        if not table:
            continue
        # What a project's may mean is said by those that run, once they are trusted.
        say = notice if layer.project is None else _ignore
        hooks = parse_hooks(table, str(layer.path), say)
        found += _sources(config, layer.path, layer.project, table, hooks)
    return [source for source in found if source.hooks]


def _ignore(_: str) -> None:
    pass


def _sources(
    config: Config, file: Path, project: Path | None, table: Any, hooks: Sequence[Hook]
) -> list[HookSource]:
    """The hooks of one file. The user's hooks that run files of the project are apart: like the
    project's hooks, they need trust."""
    from qwen_code.config.run_files import digest_of, files_run  # only who has hooks pays for it

    cwd, is_own = config.paths.cwd, project is None
    folder = project or project_root(cwd)
    with_files = [
        msgspec.structs.replace(
            hook,
            files=files_run([hook.command], folder, cwd, relative_only=is_own),
            of_project=not is_own,
        )
        for hook in hooks
    ]
    of_project = tuple(hook for hook in with_files if hook.files or not is_own)
    digest = digest_of("hooks", table, {f: d for h in of_project for f, d in h.files.items()})
    own = tuple(hook for hook in with_files if is_own and not hook.files)
    if not of_project:
        return [HookSource(file, own)]
    is_trusted = TrustStore.load(config.paths).is_definition_trusted(folder, digest)
    return [HookSource(file, own), HookSource(file, of_project, folder, digest, is_trusted)]
