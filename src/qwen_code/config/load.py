"""The configuration of a run, read once: files, variables, network. No login is read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Self

import msgspec

from qwen_code.base.http import Network
from qwen_code.config.environment import Environment
from qwen_code.config.network import network_from
from qwen_code.config.paths import Paths
from qwen_code.config.search import find_env_file, foreign_env_files
from qwen_code.config.settings import Settings, foreign_settings_files


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
        env_file = find_env_file(paths)
        settings = Settings.load(paths)
        environment = Environment.build(environ, env_file, settings, paths)
        return cls(
            paths,
            settings,
            environment,
            network_from(environment, settings),
            (
                *(env_file.warnings() if env_file else ()),
                *(
                    f"{path} belongs to another user, so it is not read; put what you need of it "
                    f"into {paths.qwen_home}, or change its owner"
                    for path in (*foreign_env_files(paths), *foreign_settings_files(paths))
                ),
            ),
        )
