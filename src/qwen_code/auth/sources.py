"""Gathers what a resolution depends on: configuration, flags, saved logins. All IO is done here,
before the decision."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from qwen_code.auth.api import ApiInputs, Flags
from qwen_code.auth.offers import Offer
from qwen_code.auth.profiles import Profiles, ProfileStore
from qwen_code.auth.resolver import Inputs
from qwen_code.auth.stores import DEFAULT_NAME, is_stored, login_ref
from qwen_code.auth.types import CredentialSource, Method
from qwen_code.base.clock import BlockingClock
from qwen_code.base.errors import ConfigError, QwenError
from qwen_code.config import env_names
from qwen_code.config.load import Config
from qwen_code.config.providers import AZURE
from qwen_code.config.trust import TrustStore
from qwen_code.config.values import Value

if TYPE_CHECKING:
    from qwen_code.auth.helper import HelperSpec
    from qwen_code.auth.oauth.sign_in import StoredSignIn

_PINS = "security.auth.projectProfiles"


def gather(
    config: Config,
    *,
    version: str,
    flags: Flags | None = None,
    auth_type: str | None = None,
    interactive: bool = False,
    notice: Callable[[str], None] = lambda _: None,
) -> Inputs:
    """Read the saved logins and the trusted folders.

    ``notice`` gets messages for the user: about saved logins now, and about a renewal later.

    Raises:
        ConfigError: one of the user's files is damaged.
    """
    flags = flags or Flags()
    profiles = ProfileStore(config.paths).load()
    if profiles.notice:
        notice(profiles.notice)
    profiles, pinned, problem = _with_pin(profiles, config)
    profiles = _with_keys(profiles, flags, config, notice)
    sign_in = _sign_in(flags, profiles, config, version, notice)
    if sign_in and sign_in.notice:
        notice(sign_in.notice)
    api = ApiInputs(
        config.environment,
        config.settings,
        profiles,
        lambda folder, origin: TrustStore.load(config.paths).is_trusted(folder, origin),
        lambda spec: _make_helper(spec, config),
        version,
        config.paths.qwen_home,
        flags,
        entra_installed=_may_be_azure(flags, config) and _has_entra(),
    )
    return Inputs(api, auth_type, interactive, sign_in, pinned, None if flags.profile else problem)


def _make_helper(spec: HelperSpec, config: Config) -> CredentialSource:
    from qwen_code.auth.helper import HelperKey, run_helper  # few runs use a helper

    # It fetches a key, so it may need the tokens of a password manager.
    environ = config.environment.without_provider_keys()
    return HelperKey(
        spec,
        run_command=lambda command, timeout_s, stop: run_helper(command, timeout_s, stop, environ),
        clock=BlockingClock(),
    )


def _may_be_azure(flags: Flags, config: Config) -> bool:
    """Whether to look for Azure's package, which takes time."""
    names = (env_names.AZURE_OPENAI_ENDPOINT, *env_names.BASE_URL)
    endpoints = [found.text for name in names if (found := config.environment.first(name))]
    texts = (flags.base_url or "", *endpoints)
    return any(host in text for host in AZURE.hosts for text in texts)


def _has_entra() -> bool:
    from qwen_code.auth.azure import is_installed

    return is_installed()


def _with_pin(
    profiles: Profiles, config: Config
) -> tuple[Profiles, Offer | None, ConfigError | None]:
    """The profiles, with the one as current that the user's settings pin to this project; the
    method of that one; and the error if it does not exist."""
    pin = _pinned(config)
    if pin is None:
        return profiles, None, None
    pinned = profiles.profiles.get(pin.text)
    if pinned is None:
        known = ", ".join(sorted(profiles.profiles)) or "none"
        problem = ConfigError(
            f"{pin.source} pins the saved login {pin.text!r} to this project, "
            "but there is no such login",
            hint=f"Existing logins: {known}. Fix that line, or use --profile NAME.",
        )
        return profiles, None, problem
    profiles = msgspec.structs.replace(profiles, current=pin.text)
    return profiles, Offer(pinned.method, pin.source), None


def _pinned(config: Config) -> Value | None:
    """The saved login that the user's settings name for this folder or its nearest parent."""
    paths, found = config.paths, config.settings.usable(_PINS)
    if found is None:
        return None
    if not isinstance(found.value, dict) or not all(
        isinstance(name, str) for name in found.value.values()
    ):
        raise ConfigError(
            f"{found.source} is not an object with folders and names",
            hint=f'Write it as "{_PINS.rpartition(".")[2]}": {{"/path/to/project": "work"}}.',
        )
    here = Path(os.path.realpath(paths.cwd))
    pins = {
        Path(os.path.realpath(paths.beside(folder, None))): name
        for folder, name in found.value.items()
    }
    return next((Value(pins[f], found.source) for f in (here, *here.parents) if f in pins), None)


def _with_keys(
    profiles: Profiles, flags: Flags, config: Config, notice: Callable[[str], None]
) -> Profiles:
    """The profiles, with the keys of those that this run can use. Other keys are not read."""
    known = dict(profiles.profiles)
    for name in {flags.profile, profiles.current} & known.keys():
        assert name is not None
        try:
            key = ProfileStore(config.paths).key_of(name, known[name])
        except QwenError as error:
            notice(f"the key of the saved login {name} cannot be used: {error.message}")
            key = None
        known[name] = msgspec.structs.replace(known[name], api_key=key.reveal() if key else None)
    return msgspec.structs.replace(profiles, profiles=known)


def _sign_in(
    flags: Flags,
    profiles: Profiles,
    config: Config,
    version: str,
    notice: Callable[[str], None],
) -> StoredSignIn | None:
    wanted = flags.profile or profiles.current or DEFAULT_NAME
    profile = profiles.profiles.get(wanted)
    name = wanted if profile and profile.method == Method.QWEN_OAUTH else DEFAULT_NAME
    if not is_stored(login_ref(config.paths, name)):
        return None
    from qwen_code.auth.oauth.sign_in import find_sign_in  # only needed if signed in

    return find_sign_in(name, config, version=version, notice=notice)
