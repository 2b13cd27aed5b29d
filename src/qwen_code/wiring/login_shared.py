"""Write a login where Node Qwen Code reads it, with what is known of its model."""

from __future__ import annotations

from pathlib import Path

from qwen_code.auth.shared import SharedModel, share
from qwen_code.base.secret import Secret
from qwen_code.config.paths import Paths
from qwen_code.config.providers import Provider
from qwen_code.models.facts import facts_of


def share_key(paths: Paths, provider: Provider, base_url: str, model: str, key: Secret) -> Path:
    """The file in which it is now.

    Raises:
        ConfigError: it is broken or cannot be written.
    """
    facts = facts_of(model)
    window = facts.window_tokens if facts.is_known else None
    shared = SharedModel(provider, base_url, model, window, facts.sees)
    return share(paths, shared, key.reveal())
