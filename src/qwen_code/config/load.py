"""The configuration of a run, read once: files, variables, network. No login is read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Self

import msgspec

from qwen_code.base.errors import ConfigError
from qwen_code.base.http import Network
from qwen_code.config import env_names
from qwen_code.config.environment import Environment
from qwen_code.config.network import network_from
from qwen_code.config.paths import Paths
from qwen_code.config.search import find_env_file, foreign_env_files
from qwen_code.config.settings import Settings, foreign_settings_files

_STORE = "security.auth.store"


class Config(msgspec.Struct, frozen=True):
    """What the files and variables of the user and the project say; ``warnings`` are for stderr."""

    paths: Paths
    settings: Settings
    environment: Environment
    network: Network
    warnings: tuple[str, ...] = ()

    @classmethod
    def load(cls, environ: Mapping[str, str], cwd: Path) -> Self:
        """Read the settings and the one ``.env`` file that count in ``cwd`` (absolute).

        Raises:
            ConfigError: a settings file is broken, or a value in it has the wrong type.
        """
        paths = Paths.of(environ, cwd)
        settings = Settings.load(paths, environ)
        env_file = find_env_file(paths, of_project=settings.trusts_folder)
        environment = Environment.build(environ, env_file, settings, paths)
        _check_store(environment, settings)
        return cls(
            paths,
            settings,
            environment,
            network_from(environment, settings),
            (
                *(env_file.warnings() if env_file else ()),
                *settings.warnings,
                *(
                    f"{path} belongs to another user, so it is not read; put what you need of it "
                    f"into {paths.qwen_home}, or change its owner"
                    for path in (*foreign_env_files(paths), *foreign_settings_files(paths))
                ),
            ),
        )


def _check_store(environment: Environment, settings: Settings) -> None:
    """Refuse a store that there is not: credentials must not go into a plain file instead.

    Raises:
        ConfigError: another store than the file is wanted.
    """
    variable = environment.first(env_names.QWEN_STORE)
    wanted = [(variable.text, str(variable.source))] if variable else []
    found = (each for each in settings.lookup(_STORE) if each.status == "usable")
    wanted += [(str(each.value), str(each.source)) for each in found]
    for value, source in wanted:
        kind = value.partition(":")[0]
        if kind != "file":
            raise ConfigError(
                f"{source}: the store {kind!r} is not supported, and no file is used instead of it",
                hint='Use "file", or do without a saved login: LLAMA_API_KEY.',
            )
