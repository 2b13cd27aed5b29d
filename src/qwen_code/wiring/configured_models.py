"""The models in ``modelProviders`` of the user, and which of them is chosen for later runs, too."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from qwen_code.auth.offers import ProviderEntry, provider_entries
from qwen_code.auth.types import Connection, Method
from qwen_code.config.load import Config
from qwen_code.config.settings import Settings
from qwen_code.config.settings_edit import save_user_value
from qwen_code.wiring.launch import Launch


class Configured(msgspec.Struct, frozen=True):
    """A model, and the host that has it."""

    name: str
    host: str


def elsewhere(settings: Settings, base_url: str) -> list[Configured]:
    """The configured models that another endpoint than ``base_url`` has, in the order written."""
    own = [entry for entry in _own(settings) if entry.converses]
    there = [e for e in own if e.base_url and not _is_at(e, base_url)]
    return [Configured(e.model, urlsplit(e.base_url or "").netloc) for e in there]


def launch_for(
    launch: Launch, settings: Settings, connection: Connection, name: str
) -> Launch | None:
    """How to connect for a configured model that another endpoint than the present one has;
    ``None`` if there is none, or if options of this run chose the endpoint."""
    flags = launch.flags
    if flags.profile or flags.api_key or flags.base_url or flags.provider:
        return None
    entries = [entry for entry in _own(settings) if entry.model == name]
    if not any(e.base_url for e in entries) or any(_is_at(e, connection.base_url) for e in entries):
        return None
    flags = msgspec.structs.replace(flags, model=name)
    return msgspec.structs.replace(launch, flags=flags, auth_type=Method.OPENAI)


def remember(config: Config, connection: Connection) -> bool:
    """Make the model of ``connection`` the one of later runs, of Node Qwen Code as well, if it is a
    configured one. Returns whether anything was changed.

    Raises:
        ConfigError: the settings cannot be written.
    """
    wanted = (connection.model, connection.base_url)
    entry = next(
        (e for e in _own(config.settings) if e.model == wanted[0] and _is_at(e, wanted[1])), None
    )
    if connection.method is not Method.OPENAI or entry is None:
        return False
    values = {"model.name": entry.model, "model.baseUrl": entry.base_url}
    changed = {
        key: value for key, value in values.items() if config.settings.first(key, str) != value
    }
    for key, value in changed.items():
        save_user_value(config.paths, key, value)
    return bool(changed)


def _own(settings: Settings) -> list[ProviderEntry]:
    return [entry for entry in provider_entries(settings) if entry.source.project is None]


def _is_at(entry: ProviderEntry, base_url: str) -> bool:
    return entry.base_url is not None and entry.base_url.rstrip("/") == base_url.rstrip("/")
