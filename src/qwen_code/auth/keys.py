"""Where an API key may be sent, and the credential source for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from qwen_code.auth.bearer import StaticKey
from qwen_code.auth.errors import EndpointUntrusted
from qwen_code.auth.offers import Offer, ProviderEntry, environment_offers
from qwen_code.auth.types import CredentialSource, Status
from qwen_code.base.errors import ConfigError
from qwen_code.base.secret import Secret, fits_header
from qwen_code.base.url import Origin
from qwen_code.config import env_names
from qwen_code.config.environment import Environment
from qwen_code.config.providers import (
    KEY_NAMES,
    PROVIDERS,
    HeaderStyle,
    Provider,
    provider_of_key,
    regions_of,
)
from qwen_code.config.settings import Settings
from qwen_code.config.values import Source, SourceKind

if TYPE_CHECKING:
    from qwen_code.auth.helper import HelperSpec

HELPER = "security.auth.apiKeyHelper"
NO_KEY = "none-needed"
"""Saved as the key of a server that needs none, so that no key meant for another one is sent there;
other programs insist on a key."""

ENTRA = "Microsoft Entra ID (azure-identity)"


class Credential(msgspec.Struct, frozen=True):
    """A source to sign with, if one is needed; how it is shown; and the header that carries it."""

    source: CredentialSource | None
    shown: str
    style: HeaderStyle


def credential_for(
    key: Offer | None,
    provider: Provider,
    origin: Origin,
    settings: Settings,
    make_helper: Callable[[HelperSpec], CredentialSource],
) -> Credential:
    """The credential that ``key`` means at ``origin``.

    Raises:
        ConfigError: it is not a valid key, or the helper's setting cannot be used.
    """
    style = provider.header_style
    if key is None:
        return Credential(None, "none needed", style)
    if key.source.name == ENTRA:
        from qwen_code.auth.azure import EntraToken

        return Credential(EntraToken(origin), "Microsoft Entra ID token", "authorization")
    if key.source.name == HELPER:
        from qwen_code.auth.helper import parse_helper

        value = next(c.value for c in settings.lookup(HELPER) if c.source == key.source)
        spec = parse_helper(value, str(key.source))
        return Credential(make_helper(spec), f"printed by {spec.command[0]}", style)
    text = key.text.strip()
    if not fits_header(text):
        raise ConfigError(
            f"the key from {key.source} contains a space, or a character that keys do not have",
            hint="Copy it again: a key is one word of printable ASCII.",
        )
    if text == NO_KEY:
        return Credential(StaticKey(Secret(text)), "none needed", style)
    secret = Secret(text)
    return Credential(StaticKey(secret), secret.masked, style)


def within_project(key: Offer, entry: ProviderEntry | None) -> Offer:
    """``key``, rejected if a project's entry names a variable that the project does not set."""
    if entry is None or entry.source.project is None:
        return key
    if key.source.name != entry.env_key or key.source.name in KEY_NAMES:
        return key
    if key.status is not None or key.source.project == entry.source.project:
        return key
    return key.refused(Status.UNTRUSTED, f"{entry.source} is not allowed to name your variables")


def withheld(base: Offer, origin: Origin, key: Offer) -> EndpointUntrusted:
    """The error of a key that must not be sent to an untrusted endpoint."""
    assert base.source.project is not None
    return EndpointUntrusted(
        f"{base.source} sends requests to {origin}, but your key ({key.source}) comes from outside "
        "that project, so it was not sent.",
        hint=f"If you trust that endpoint with your key: --trust-endpoint {origin}\n"
        "Otherwise take that line out, or put the endpoint's own key beside it.",
        folder=base.source.project,
        origin=origin,
    )


def not_for_choice(key: Offer, entry: ProviderEntry | None, provider: Provider) -> Offer:
    """A chosen provider that names the variable of its key gets no key that is meant for others."""
    assert entry is not None
    name = key.source.name
    is_alias = name in env_names.API_KEY[1:] and name not in provider.key_names
    if not is_alias or name == entry.env_key or key.status is not None:
        return key
    return key.refused(Status.EXCLUDED, f"{entry.source} takes its key from {entry.env_key}")


def set_keys(environment: Environment) -> list[Offer]:
    """The variables with keys that are set, each of which can choose a provider."""
    of_providers = (name for provider in PROVIDERS for name in provider.key_names)
    names = list(dict.fromkeys([*env_names.API_KEY, *of_providers]))
    return [offer for offer in environment_offers(environment, names) if offer.status is None]


def several_keys(environment: Environment) -> list[str]:
    """The notice where a key alone chose the provider, and another one could have."""
    names = [offer.source.name for offer in set_keys(environment)]
    chosen = provider_of_key(names[0]) if names and names[0] != env_names.API_KEY[0] else None
    others = [n for n in names[1:] if (p := provider_of_key(n)) and p is not chosen]
    if chosen is None or not others:
        return []
    way = "To choose: --provider NAME, or LLAMA_API_BASE_URL"
    return [f"{names[0]} chooses {chosen.title}; also set: {', '.join(others)}. {way}"]


def not_for_server(key: Offer, provider: Provider) -> Offer:
    """A server that needs no key gets none that is meant for other programs."""
    is_alias = key.source.name in env_names.API_KEY[1:]
    if provider.needs_key or not is_alias or key.status is not None:
        return key
    return key.refused(Status.EXCLUDED, f"{provider.title} needs no key, and this is for others")


def how_to_set_key(variable: str | None, provider: Provider) -> str:
    """What to do where there is no key: its variable, and the page that makes keys."""
    name = variable or next(iter(provider.key_names), env_names.API_KEY[0])
    page = f" (keys: {provider.key_page})" if provider.key_page else ""
    option = f" --provider {provider.name}" if provider.is_offered and provider.key_names else ""
    return f"Set {name}{page}, or run: qwen auth login{option}"


def hint_on_refusal(provider: Provider, key: Offer | None) -> str:
    """What to check if the server refuses ``key``: its kind, and the region that it is for."""
    if key is None or not key.text:
        return ""
    lines = []
    prefixes = [row.key_prefix for row in PROVIDERS if row.key_prefix]
    is_of_plan = key.text.startswith(tuple(prefixes))
    if provider.key_prefix and not is_of_plan:
        lines.append(
            f"Keys of {provider.title} begin with {provider.key_prefix}. "
            "An ordinary key is for: --provider bailian"
        )
    elif is_of_plan and provider.key_names == ("DASHSCOPE_API_KEY",):
        lines.append("This is the key of a plan, for: --provider coding-plan or token-plan")
    others = [each for each in regions_of(provider) if each.name != provider.name]
    if others:
        names = ", ".join(f"{each.region}: --provider {each.name}" for each in others)
        lines.append(
            f"A key works in its own region or plan only; this is {provider.region}. {names}"
        )
    return "\n".join(lines)


def for_its_login(key: Offer, base: Offer, origin: Origin, own: Origin | None) -> Offer:
    """``key``, set aside if it is a saved login's, for the endpoint ``own``, and a variable that is
    meant for other programs (``OPENAI_BASE_URL``) leads to another one."""
    is_of_others = base.source.name in env_names.BASE_URL[1:]
    if key.status is not None or own == origin or not (is_of_login(key.source) and is_of_others):
        return key
    return key.refused(Status.EXCLUDED, f"it is for {own}, not for {origin}")


def is_of_login(source: Source) -> bool:
    """Whether a saved login gave the value: the one in use, or the one that ``--profile`` names."""
    return source.kind is SourceKind.LOGIN or source.name.startswith("--profile ")


def mixed_logins(base: Offer, key: Offer | None) -> str | None:
    """The notice where key and address come from different logins, which is allowed."""
    if key is None:
        return None
    kinds = {key.source.kind, base.source.kind}
    elsewhere = {SourceKind.SHELL, SourceKind.DOTENV, SourceKind.SETTINGS}
    if SourceKind.LOGIN in kinds and kinds & elsewhere:
        return f"the key is {key.source}, the endpoint {base.source}"
    return None
