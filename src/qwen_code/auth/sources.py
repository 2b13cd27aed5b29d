"""Gather what a resolution depends on: files, environment, flags. The IO before the decision."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from qwen_code.auth import entra
from qwen_code.auth.api import ApiInputs, Flags
from qwen_code.auth.helper import HelperKey, HelperSpec, run_helper
from qwen_code.auth.profiles import ProfileStore
from qwen_code.auth.resolver import Inputs
from qwen_code.auth.types import CredentialSource
from qwen_code.base.clock import BlockingClock
from qwen_code.base.http import Network
from qwen_code.base.url import Origin
from qwen_code.config import env_names
from qwen_code.config.environment import Environment
from qwen_code.config.network import network_from
from qwen_code.config.paths import Paths
from qwen_code.config.search import find_env_file
from qwen_code.config.settings import Settings
from qwen_code.config.trust import TrustStore

__all__ = ["Gathered", "gather"]


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
) -> Gathered:
    """Read the settings, the one ``.env`` file, the saved logins and the trusted folders.

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
        child = environment.child_environment()
        return HelperKey(
            spec,
            run_command=lambda command, timeout_s: run_helper(command, timeout_s, child),
            clock=BlockingClock(),
        )

    def is_trusted(folder: Path, origin: Origin) -> bool:
        return TrustStore.load(paths).is_trusted(folder, origin)

    flags = flags or Flags()
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
        entra_installed=may_be_azure and entra.is_installed(),
    )
    inputs = Inputs(api, auth_type, interactive, paths.oauth_creds_file.exists())
    return Gathered(
        paths, settings, environment, network_from(environment, settings), inputs, tuple(warnings)
    )
