"""Save a key as a login: check what was typed, name it, make it the one in use."""

from __future__ import annotations

from qwen_code.auth.api import Flags
from qwen_code.auth.presets import OPENAI, preset_at, preset_named
from qwen_code.auth.profiles import Profile, ProfileStore
from qwen_code.auth.types import Method
from qwen_code.base.errors import ConfigError, InputError
from qwen_code.base.secret import Secret
from qwen_code.base.url import Origin, normalise_base_url
from qwen_code.config.paths import Paths
from qwen_code.config.settings import save_user_value


def clean_key(text: str) -> Secret:
    """The key in what was typed, pasted or piped: without blanks and quotes around it.

    Raises:
        InputError: nothing is left, or it cannot be a key (it would break a header).
    """
    key = text.strip().strip("'\"").strip()
    if not key:
        raise InputError(
            "no key was given", hint="Copy it from your provider's page, and try again."
        )
    if any(not 0x20 < ord(character) < 0x7F for character in key):
        raise InputError(
            "that is not a key: it has a space, a line break or a special character in it",
            hint="Copy the key alone; it is one word of plain ASCII.",
        )
    return Secret(key)


def save_key(paths: Paths, flags: Flags, key_text: str) -> str:
    """Save the key with the flags' provider, address and model; returns the profile's name.

    Raises:
        InputError: what was given is no key.
        ConfigError: the address cannot be used, or the file not written.
    """
    key = clean_key(key_text)
    preset = preset_named(flags.provider or "")
    base_url = normalise_base_url(flags.base_url)[0] if flags.base_url else None
    if preset is None:
        preset = preset_at(Origin.of(base_url)) if base_url else OPENAI
    if base_url is None and preset.base_url is None:
        raise ConfigError(f"{preset.title} needs an address", hint="Give --base-url as well.")
    host = Origin.of(base_url).host if base_url else ""
    name = flags.profile or (preset.name if preset.name != "custom" else host)
    profile = Profile(Method.OPENAI, preset.name, base_url, flags.model, key.reveal())
    ProfileStore(paths.profiles_file).save(name, profile)
    save_method(paths, Method.OPENAI)
    return name


def save_method(paths: Paths, method: Method) -> None:
    """Make ``method`` the saved choice, in the user's own settings."""
    save_user_value(paths, "security.auth.selectedType", method.value)
