"""What one invocation says of its login, and how configuration and logins are read for it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from qwen_code import __version__
from qwen_code.auth.api import Flags
from qwen_code.auth.resolver import Inputs
from qwen_code.auth.sources import gather
from qwen_code.base.errors import ConfigError
from qwen_code.config import env_names
from qwen_code.config.load import Config
from qwen_code.config.settings import Reduction

LATEST = ""
"""The session that ``--continue`` means, or the turn that ``--undo`` does."""

CHOOSE = "?"
"""What ``--resume`` means without an id."""

AUTO = ""
"""What ``--worktree`` means without a name: one that is made up."""


class Launch(msgspec.Struct, frozen=True):
    """The options that choose a login, and where it is read.

    ``auth_type`` is a method that is wanted above all else. ``cwd`` and ``environ`` are the
    process's own unless they are given, as for one of several conversations. ``overrides`` are
    settings, as in their file, and ``proxy`` is an address, that the command line says; so is
    ``reduction``, which variables can want too.
    """

    flags: Flags = Flags()
    auth_type: str | None = None
    cwd: Path | None = None
    environ: Mapping[str, str] | None = None
    overrides: Mapping[str, Any] = {}
    proxy: str | None = None
    reduction: Reduction | None = None

    def __repr__(self) -> str:
        return f"Launch({self.auth_type}, {self.cwd})"  # the environment holds secrets

    def by(self, method: str, profile: str | None) -> Launch:
        """The same place by another login; options that chose the former one do not apply to it."""
        flags = Flags(profile=profile, trusted=self.flags.trusted)
        return msgspec.structs.replace(self, flags=flags, auth_type=method)

    def without_login(self) -> Launch:
        """The same place, without the options that chose a login."""
        flags = Flags(trusted=self.flags.trusted)
        return msgspec.structs.replace(self, flags=flags, auth_type=None)

    def config(self, notice: Callable[[str], None]) -> Config:
        """The configuration for this directory; ``notice`` gets its warnings. No login is read.

        Raises:
            ConfigError: the current directory is gone, or a settings file is broken.
        """
        try:
            cwd = self.cwd or Path.cwd()
        except FileNotFoundError as error:
            raise ConfigError(
                "the current directory no longer exists", hint="cd somewhere else, and try again."
            ) from error
        config = Config.load(os.environ if self.environ is None else self.environ, cwd)
        if self.reduction or any(map(config.environment.first, env_names.REDUCING)):
            from qwen_code.config.reduced import reduced  # few runs are

            config = reduced(config, self.reduction)
        if self.overrides or self.proxy is not None:
            from qwen_code.config.overrides import overridden  # few command lines say any

            config = overridden(config, self.overrides, self.proxy)
        for warning in config.warnings:
            notice(warning)
        return config

    def inputs(
        self, config: Config, notice: Callable[[str], None], *, interactive: bool = False
    ) -> Inputs:
        """The saved logins and what else the choice of a login depends on.

        Raises:
            ConfigError: a file of the user is damaged.
        """
        return gather(
            config,
            version=__version__,
            flags=self.flags,
            auth_type=self.auth_type,
            interactive=interactive,
            notice=notice,
        )
