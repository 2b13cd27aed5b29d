"""Which hooks a session has: the user's own, and a project's that the user has agreed to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from qwen_code.base.errors import ConfigError
from qwen_code.config.load import Config
from qwen_code.config.trust import TrustStore

if TYPE_CHECKING:
    from qwen_code.agent.hooks import Hook

_KEY = "hooks"


class HookSource(msgspec.Struct, frozen=True):
    """The hooks of one file. ``folder`` is the project's, ``None`` for the user's own."""

    file: Path
    hooks: tuple[Hook, ...]
    folder: Path | None = None
    digest: str = ""
    is_trusted: bool = True


def has_hooks(config: Config) -> bool:
    """Whether anything needs to be looked at: most sessions have none."""
    return any(_KEY in layer.tree for layer in config.settings.layers)


def find_hooks(config: Config, notice: Callable[[str], None]) -> list[HookSource]:
    """The hooks by file; ``notice`` gets a line for each file of a project that cannot be used.

    Raises:
        ConfigError: the user's own cannot be used.
    """
    from qwen_code.agent.hooks import parse_hooks  # only who has some pays for it

    found = []
    for layer in config.settings.layers:
        table = layer.tree.get(_KEY)
        if not table:
            continue
        try:
            hooks = tuple(parse_hooks(table, str(layer.path)))
            if layer.project is None:
                found.append(HookSource(layer.path, hooks))
                continue
            digest = _digest(table)
            is_trusted = TrustStore.load(config.paths).is_definition_trusted(layer.project, digest)
        except ConfigError as error:
            if layer.project is None:
                raise
            notice(error.message)
            continue
        if hooks:
            found.append(HookSource(layer.path, hooks, layer.project, digest, is_trusted))
    return found


def _digest(table: Any) -> str:
    from hashlib import sha256  # only projects with hooks need it

    return sha256(b"hooks:" + msgspec.json.encode(table, order="deterministic")).hexdigest()
