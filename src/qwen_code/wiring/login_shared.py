"""Write a login where Node Qwen Code reads it, with what is known of its model."""

from __future__ import annotations

from pathlib import Path

from qwen_code.auth.profiles import Profile
from qwen_code.auth.shared import SharedModel, share
from qwen_code.auth.types import Method
from qwen_code.base.errors import UsageError
from qwen_code.base.secret import Secret
from qwen_code.base.url import Origin
from qwen_code.config.paths import Paths
from qwen_code.config.providers import CUSTOM, Provider, provider_at, provider_named
from qwen_code.models.facts import facts_of


def share_login(paths: Paths, name: str, profile: Profile, key: Secret) -> Path:
    """Share the saved login ``name``; the file in which it is now.

    Raises:
        UsageError: Node Qwen Code cannot use such a login, or the login has no model.
        ConfigError: the file is broken or cannot be written.
    """
    base_url = profile.address
    if profile.method != Method.OPENAI or base_url is None:
        raise UsageError(
            f"{name} is a login by {profile.method}, which Node Qwen Code does not have",
            hint="Only an API key can be shared: qwen auth list",
        )
    named = provider_named(profile.provider or "")
    provider = named or provider_at(Origin.of(base_url), CUSTOM)
    if provider.header_style != "authorization":
        raise UsageError(
            f"Node Qwen Code cannot send a key as {provider.title} wants it",
            hint="Configure it there: qwen, then /auth",
        )
    model = profile.model or provider.default_model
    if model is None:
        raise UsageError(
            f"the login {name} names no model, and Node Qwen Code needs one",
            hint=f"Name it: qwen auth share --profile {name} -m MODEL",
        )
    return share_key(paths, provider, base_url, model, key)


def share_key(paths: Paths, provider: Provider, base_url: str, model: str, key: Secret) -> Path:
    """The file in which it is now.

    Raises:
        ConfigError: it is broken or cannot be written.
    """
    facts = facts_of(model)
    window = facts.window_tokens if facts.is_known else None
    shared = SharedModel(provider, base_url, model, window, facts.sees)
    return share(paths, shared, key.reveal())
