"""What one invocation says of its login, and how everything that depends on it is read."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from qwen_code import __version__
from qwen_code.auth.api import Flags
from qwen_code.auth.sources import Gathered, gather
from qwen_code.base.errors import ConfigError

LATEST = ""
"""The session that ``--continue`` means, or the turn that ``--undo`` does."""

CHOOSE = "?"
"""What ``--resume`` means without an id."""


class Launch(msgspec.Struct, frozen=True):
    """The options that choose a login, and where it is read.

    ``auth_type`` is a method that is wanted above all else. ``cwd`` and ``environ`` are the
    process's own unless they are given, as for one of several conversations.
    """

    flags: Flags = Flags()
    auth_type: str | None = None
    cwd: Path | None = None
    environ: Mapping[str, str] | None = None

    def __repr__(self) -> str:
        return f"Launch({self.auth_type}, {self.cwd})"  # the environment holds secrets

    def by(self, method: str, profile: str | None) -> Launch:
        """The same place by another login; other options that chose one count no more."""
        flags = Flags(profile=profile, trusted=self.flags.trusted)
        return msgspec.structs.replace(self, flags=flags, auth_type=method)

    def load(self, notice: Callable[[str], None], *, interactive: bool = False) -> Gathered:
        """Read what the resolution depends on; ``notice`` is told the warnings of that.

        Raises:
            ConfigError: the current directory is gone, or a file of the user's own is damaged.
        """
        try:
            cwd = self.cwd or Path.cwd()
        except FileNotFoundError as error:
            raise ConfigError(
                "the current directory no longer exists", hint="cd somewhere else, and try again."
            ) from error
        gathered = gather(
            os.environ if self.environ is None else self.environ,
            cwd,
            version=__version__,
            flags=self.flags,
            auth_type=self.auth_type,
            interactive=interactive,
            notice=notice,
        )
        for warning in gathered.warnings:
            notice(warning)
        return gathered
