"""What an API key may be used for, and the credential source that it becomes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from qwen_code.auth.bearer import StaticKey
from qwen_code.auth.errors import EndpointUntrusted
from qwen_code.auth.offers import Offer, ProviderEntry
from qwen_code.auth.types import CredentialSource, Status
from qwen_code.base.errors import ConfigError
from qwen_code.base.secret import Secret
from qwen_code.base.url import Origin
from qwen_code.config.providers import KEY_NAMES, HeaderStyle, Provider
from qwen_code.config.settings import Settings

if TYPE_CHECKING:
    from qwen_code.auth.helper import HelperSpec

HELPER = "security.auth.apiKeyHelper"
ENTRA = "Microsoft Entra ID (azure-identity)"


class Credential(msgspec.Struct, frozen=True):
    """A source to sign with, if one is needed; how it is shown; and the header that carries it."""

    source: CredentialSource | None
    shown: str
    style: HeaderStyle


def credential_for(
    key: Offer | None,
    provider: Provider,
    settings: Settings,
    make_helper: Callable[[HelperSpec], CredentialSource],
) -> Credential:
    """The credential that ``key`` means.

    Raises:
        ConfigError: it is not a valid key, or the helper's setting cannot be used.
    """
    style = provider.header_style
    if key is None:
        return Credential(None, "none needed", style)
    if key.source.name == ENTRA:
        from qwen_code.auth.azure import EntraToken

        return Credential(EntraToken(), "Microsoft Entra ID token", HeaderStyle.BEARER)
    if key.source.name == HELPER:
        from qwen_code.auth.helper import parse_helper

        value = next(c.value for c in settings.lookup(HELPER) if c.source == key.source)
        spec = parse_helper(value, str(key.source))
        return Credential(make_helper(spec), f"printed by {spec.command[0]}", style)
    if any(not 0x20 < ord(character) < 0x7F for character in key.text.strip()):
        raise ConfigError(
            f"the key from {key.source} contains a space, or a character that keys do not have",
            hint="Copy it again: a key is one word of printable ASCII.",
        )
    secret = Secret(key.text.strip())
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
