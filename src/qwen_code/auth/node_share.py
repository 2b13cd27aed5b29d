"""A saved key in the user's ``settings.json``, where Node Qwen Code finds it, too.

Node knows no saved logins. It reads a model's endpoint in ``modelProviders``, the name of the key's
variable there, and that variable in ``env``; so the key is then also in that file, in plain text.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from qwen_code.auth.profiles import Profile
from qwen_code.auth.types import Method
from qwen_code.base.errors import UsageError
from qwen_code.base.secret import Secret
from qwen_code.base.url import Origin
from qwen_code.config.paths import Paths
from qwen_code.config.providers import CUSTOM, provider_at, provider_named
from qwen_code.config.settings import read_layer
from qwen_code.config.settings_edit import save_user_value, update_user_value

_PREFIX = "QWEN_CODE_LOGIN_"
"""How the variables of keys begin that have no name of their provider's."""

_ENTRIES = ("modelProviders", "openai")


def share(paths: Paths, name: str, profile: Profile, key: Secret) -> str:
    """Write the login ``name`` to the user's settings, as Node's choice; returns its variable.

    Raises:
        UsageError: Node cannot use such a login, or the login has no model.
        ConfigError: the settings are broken, or cannot be written.
    """
    base_url, model = profile.address, profile.model
    if profile.method != Method.OPENAI or base_url is None:
        raise UsageError(
            f"{name} is a login by {profile.method}, which Node Qwen Code does not have",
            hint="Only an API key can be shared: qwen auth list",
        )
    provider = provider_at(Origin.of(base_url), provider_named(profile.provider or "") or CUSTOM)
    if provider.header_style != "authorization":
        raise UsageError(
            f"Node Qwen Code cannot send a key as {provider.title} wants it",
            hint="Configure it there: qwen, then /auth",
        )
    model = model or provider.default_model
    if model is None:
        raise UsageError(
            f"the login {name} names no model, and Node Qwen Code needs one",
            hint=f"Name it: qwen auth share --profile {name} -m MODEL",
        )
    variable = provider.key_names[0] if provider.key_names else _variable(base_url)
    entry = {"id": model, "name": model, "baseUrl": base_url, "envKey": variable}
    save_user_value(paths, f"env.{variable}", key.reveal())
    update_user_value(paths, _ENTRIES, lambda entries: _with(entries, entry))
    save_user_value(paths, "model.name", model)
    save_user_value(paths, "model.baseUrl", base_url)
    save_user_value(paths, "security.auth.selectedType", Method.OPENAI.value)
    return variable


def unshare(paths: Paths, key: Secret) -> str | None:
    """Remove a key from the variables in the user's settings; returns its variable's name.

    The entries of ``modelProviders`` stay: they hold no secret, and may be the user's own.
    """
    layer = read_layer(paths.settings_file)
    variables = layer.tree.get("env") if layer else None
    for variable, value in variables.items() if isinstance(variables, dict) else ():
        if value == key.reveal():
            save_user_value(paths, f"env.{variable}", None)
            return str(variable)
    return None


def _variable(base_url: str) -> str:
    return _PREFIX + sha256(base_url.rstrip("/").encode()).hexdigest()[:12].upper()


def _with(entries: Any, entry: dict[str, str]) -> list[Any]:
    """The list with ``entry``, which keeps what else is known of that model there."""
    found: list[Any] = [*entries] if isinstance(entries, list) else []
    for index, each in enumerate(found):
        if isinstance(each, dict) and _identity(each) == _identity(entry):
            found[index] = {**each, "envKey": entry["envKey"]}
            return found
    return [*found, entry]


def _identity(entry: dict[str, Any]) -> tuple[object, str]:
    return entry.get("id"), str(entry.get("baseUrl", "")).rstrip("/")
