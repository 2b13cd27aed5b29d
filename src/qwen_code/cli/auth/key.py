"""``qwen auth login --with-api-key``: a key from standard input, checked and saved."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from shlex import quote

from qwen_code.auth.api import Flags
from qwen_code.auth.enrolment import Address, clean_address, save_login, usual_address
from qwen_code.auth.keys import NO_KEY
from qwen_code.auth.profiles import Profile, ProfileStore
from qwen_code.auth.types import Method
from qwen_code.base.errors import ConfigError, CredentialRejected, InputError, UsageError
from qwen_code.base.secret import Secret
from qwen_code.base.stop import Stop
from qwen_code.base.url import Origin
from qwen_code.cli.auth.profiles import is_first
from qwen_code.config.load import Config
from qwen_code.config.providers import CUSTOM, OPENAI, Provider, provider_for, provider_named
from qwen_code.fronts.console import notice, say
from qwen_code.fronts.signals import waking_for_signals
from qwen_code.wiring.launch import Launch

_MAX_KEY_BYTES = 64 * 1024
_MAX_LISTED_MODELS = 20


def read_key() -> str:
    """What is piped in.

    Raises:
        InputError: that is a terminal, or too much to be a key.
    """
    if sys.stdin is None or sys.stdin.isatty():
        raise InputError(
            "--with-api-key reads the key from standard input, which is a terminal",
            hint="Omit the option to enter the key without echo.",
        )
    with waking_for_signals():
        data = sys.stdin.buffer.read(_MAX_KEY_BYTES + 1)
    if len(data) > _MAX_KEY_BYTES:
        raise InputError("standard input is too long to be a key", hint="Pipe only the key.")
    return data.decode("utf-8", "replace")


def save_key(
    launch: Launch, config: Config, key: Secret | None, *, check: bool, for_node: bool = False
) -> None:
    """Save the key, or that none is needed, with the flags' provider, address and model, once the
    endpoint accepts it.

    Raises:
        CredentialRejected, AccessDenied: the endpoint refuses the key.
        Unreachable: the endpoint cannot be reached.
        UsageError: the endpoint offers several models, and none was chosen.
    """
    from qwen_code.wiring.login_check import unencrypted

    flags = launch.flags
    provider, address = _endpoint(flags, config)
    base_url = address.text
    if warning := unencrypted(base_url):
        notice(warning)
    if check:
        _check_key(launch, config, provider, address, key)
    usual = provider.name if provider is not CUSTOM else Origin.of(base_url).host
    name, replaced = _name(config, flags.profile, usual, base_url)
    secret = (key or Secret(NO_KEY)).reveal()
    profile = Profile(Method.OPENAI, provider.name, base_url, flags.model, secret)
    if said := save_login(config.paths, name, profile):
        notice(said)
    model = flags.model or provider.default_model
    if for_node and key is not None and model is not None:
        from qwen_code.wiring.login_shared import share_key

        where = share_key(config.paths, provider, base_url, model, key)
        say(f"For Node Qwen Code, it is also in {where}, in clear.")
    what = f"the key as profile {name}" if key else f"the login {name}, which needs no key"
    is_used = is_first(launch.without_login(), name)
    used = " It is used from now on; see qwen auth status." if is_used else ""
    say(f"Saved {what}.{replaced}{used}")
    if not for_node and any(config.paths.projects.glob("*/chats")):  # Node Qwen Code is used here
        say(f"To let Node Qwen Code use it, too: qwen auth share --profile {quote(name)}")


def _endpoint(flags: Flags, config: Config) -> tuple[Provider, Address]:
    """
    Raises:
        ConfigError: the provider has no usual address, or the address cannot be used.
    """
    provider = provider_named(flags.provider or "")
    text = flags.base_url
    if not text:
        provider = provider or OPENAI
        text = usual_address(provider, config.environment)
        if not text:
            raise ConfigError(f"{provider.title} needs an address", hint="Add --base-url URL.")
    address = clean_address(text, provider or CUSTOM, config.environment)
    return provider or provider_for(address.text), address


def _name(config: Config, wanted: str | None, usual: str, base_url: str) -> tuple[str, str]:
    """The name of the login, and what to say of the key that it replaces."""
    from qwen_code.wiring.login_names import free_name, is_same_endpoint

    store = ProfileStore(config.paths)
    profiles = store.load().profiles
    name = wanted or usual
    known = profiles.get(name)
    if known is not None and wanted is None and not is_same_endpoint(known, base_url):
        return free_name(name, profiles), ""  # another endpoint: both logins are kept
    if known is None or known.method != Method.OPENAI:
        return name, ""
    before = store.replaced_key(name, known)
    return name, f" It replaces the previous one ({before.masked})." if before else ""


def _check_key(
    launch: Launch, config: Config, provider: Provider, address: Address, key: Secret | None
) -> None:
    """Ask the endpoint once whether it accepts the key, and for a model that can be used."""
    from qwen_code.wiring.login_check import Probe, Unreachable

    probe, stop = Probe.of_key(launch, config, provider, address.text, key), Stop()
    try:
        models = probe.models(stop) or ()
        model = launch.flags.model or address.model or provider.default_model
        if model is None and len(models) == 1:
            model = models[0]
        if model is None:
            raise _no_model(address.text, models)
        probe.prove(models, model, stop)
    except CredentialRejected as error:
        _, _, about_region = (error.hint or "").partition("\n")
        error.hint = "The key from standard input was not saved. Check it, and pipe it again."
        error.hint = f"{error.hint}\n{about_region}".strip()
        raise
    except Unreachable as error:
        error.hint = f"{error.hint or ''}\nTo save it without asking: --no-check".strip()
        raise


def _no_model(base_url: str, models: Sequence[str]) -> UsageError:
    if not models:
        return UsageError(f"{base_url} does not list its models", hint="Name one with -m.")
    more = len(models) - _MAX_LISTED_MODELS
    listed = ", ".join(models[:_MAX_LISTED_MODELS]) + (f" and {more} more" if more > 0 else "")
    return UsageError(
        f"{base_url} offers {len(models)} models, and none is named",
        hint=f"Name one with -m. It offers: {listed}",
    )
