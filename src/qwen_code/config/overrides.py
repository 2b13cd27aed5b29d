"""What the command line says in place of settings, for one run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from qwen_code.base.http import Network, ProxySetting
from qwen_code.config.load import Config
from qwen_code.config.settings import Layer

COMMAND_LINE = Path("the command line")
"""The name of the layer in messages."""


def overridden(config: Config, tree: Mapping[str, Any], proxy: str | None = None) -> Config:
    """``config`` in which ``tree`` counts before the user's and the project's settings, and after
    those of the machine. ``proxy`` is used instead of that of the environment and settings."""
    settings, network = config.settings, config.network
    if tree:
        layers = list(settings.layers)
        is_managed = bool(layers) and layers[0].path == config.paths.system_settings
        layers.insert(int(is_managed), Layer(COMMAND_LINE, b"{}", dict(tree)))
        settings = msgspec.structs.replace(settings, layers=tuple(layers))
    if proxy is not None:
        network = _through(network, proxy)
    return msgspec.structs.replace(config, settings=settings, network=network)


def _through(network: Network, url: str) -> Network:
    proxy = ProxySetting(url if "://" in url else f"http://{url}", "--proxy")
    return msgspec.structs.replace(network, http_proxy=proxy, https_proxy=proxy)
