"""Gather what a resolution depends on: files, environment, flags. The IO before the decision."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from qwen_code.auth.api import ApiInputs, Flags
from qwen_code.auth.offers import Offer
from qwen_code.auth.profiles import DEFAULT_ACCOUNT, Profile, Profiles, ProfileStore, creds_file
from qwen_code.auth.resolver import Inputs
from qwen_code.auth.types import CredentialSource, Method
from qwen_code.base.clock import BlockingClock
from qwen_code.base.errors import ConfigError
from qwen_code.base.http import Network
from qwen_code.base.url import Origin
from qwen_code.config import env_names
from qwen_code.config.environment import Environment
from qwen_code.config.network import network_from
from qwen_code.config.paths import Paths
from qwen_code.config.search import find_env_file
from qwen_code.config.settings import Settings
from qwen_code.config.trust import TrustStore
from qwen_code.config.values import Value

if TYPE_CHECKING:
    from qwen_code.auth.helper import HelperSpec
    from qwen_code.auth.oauth.stored import StoredSignIn

_PINS = "security.auth.projectProfiles"


class Gathered(msgspec.Struct, frozen=True):
    """What was read, once, at the start of a run; ``warnings`` are for stderr."""

    paths: Paths
    settings: Settings
    environment: Environment
    network: Network
    inputs: Inputs
    warnings: tuple[str, ...]


def gather(
    environ: Mapping[str, str],
    cwd: Path,
    *,
    version: str,
    flags: Flags | None = None,
    auth_type: str | None = None,
    interactive: bool = False,
    notice: Callable[[str], None] = lambda _: None,
) -> Gathered:
    """Read the settings, the one ``.env`` file, the saved logins and the trusted folders.

    ``notice`` is told what the user should know while credentials are renewed.

    Raises:
        ConfigError: a file of the user's own is damaged.
    """
    paths = Paths.of(environ, cwd)
    env_file = find_env_file(paths)
    settings = Settings.load(paths)
    environment = Environment.build(environ, env_file, settings, paths)
    profiles = ProfileStore(paths.profiles_file).load()
    warnings = env_file.warnings() if env_file else []
    if profiles.notice:
        warnings.append(profiles.notice)

    def make_helper(spec: HelperSpec) -> CredentialSource:
        from qwen_code.auth.helper import HelperKey, run_helper  # few keys come from a program

        child = environment.child_environment()
        return HelperKey(
            spec,
            run_command=lambda command, timeout_s, stop: run_helper(
                command, timeout_s, stop, child
            ),
            clock=BlockingClock(),
        )

    def is_trusted(folder: Path, origin: Origin) -> bool:
        return TrustStore.load(paths).is_trusted(folder, origin)

    flags = flags or Flags()
    profiles = _with_sign_in(profiles, paths)
    pin = _pinned(settings, paths)
    problem = None
    if pin is not None and pin.text not in profiles.profiles:
        known = ", ".join(sorted(profiles.profiles)) or "none"
        problem = ConfigError(
            f"{pin.source} pins the saved login {pin.text!r} to this project, which does not exist",
            hint=f"There are: {known}. Or use another with --profile NAME.",
        )
    elif pin is not None:
        profiles = msgspec.structs.replace(profiles, current=pin.text)
    sign_in = _sign_in(flags, profiles, paths, environment, settings, version, notice)
    if sign_in and sign_in.notice:
        warnings.append(sign_in.notice)
    names = (env_names.AZURE_OPENAI_ENDPOINT, *env_names.BASE_URL)
    endpoints = [found.text for name in names if (found := environment.first(name))]
    # Looking for the package costs time, so only who may use Azure pays for it.
    may_be_azure = any("azure.com" in text for text in (flags.base_url or "", *endpoints))
    api = ApiInputs(
        environment,
        settings,
        profiles,
        is_trusted,
        make_helper,
        version,
        paths.qwen_home,
        flags,
        entra_installed=may_be_azure and _has_entra(),
    )
    method = profiles.profiles[pin.text].method if pin and not problem else None
    pinned = Offer(method, pin.source) if pin and method else None
    inputs = Inputs(
        api, auth_type, interactive, sign_in, pinned, None if flags.profile else problem
    )
    network = network_from(environment, settings)
    return Gathered(paths, settings, environment, network, inputs, tuple(warnings))


def _has_entra() -> bool:
    from qwen_code.auth.entra import is_installed

    return is_installed()


def _with_sign_in(profiles: Profiles, paths: Paths) -> Profiles:
    """With the sign-in that has no name of its own, which Node Qwen Code may have made."""
    if DEFAULT_ACCOUNT in profiles.profiles or not paths.oauth_creds_file.exists():
        return profiles
    more = {DEFAULT_ACCOUNT: Profile(Method.QWEN_OAUTH)}
    return msgspec.structs.replace(profiles, profiles={**profiles.profiles, **more})


def _pinned(settings: Settings, paths: Paths) -> Value | None:
    """The saved login that the user's own settings name for this folder or the nearest above."""
    found = settings.usable(_PINS)
    if found is None:
        return None
    if not isinstance(found.value, dict) or not all(
        isinstance(name, str) for name in found.value.values()
    ):
        raise ConfigError(
            f"{found.source} is not a table of folders and names",
            hint=f'Write it as "{_PINS.rpartition(".")[2]}": {{"/path/to/project": "work"}}.',
        )
    here = Path(os.path.realpath(paths.cwd))
    pins = {
        Path(os.path.realpath(paths.beside(folder, None))): name
        for folder, name in found.value.items()
    }
    return next((Value(pins[f], found.source) for f in (here, *here.parents) if f in pins), None)


def _sign_in(
    flags: Flags,
    profiles: Profiles,
    paths: Paths,
    environment: Environment,
    settings: Settings,
    version: str,
    notice: Callable[[str], None],
) -> StoredSignIn | None:
    wanted = flags.profile or profiles.current or DEFAULT_ACCOUNT
    profile = profiles.profiles.get(wanted)
    name = wanted if profile and profile.method == Method.QWEN_OAUTH else DEFAULT_ACCOUNT
    if not creds_file(paths, name).exists():
        return None
    from qwen_code.auth.oauth.stored import find_sign_in  # only who is signed in pays for it

    return find_sign_in(
        name,
        paths,
        environment,
        settings,
        network_from(environment, settings),
        version=version,
        notice=notice,
        child_environ=environment.child_environment(),
    )
