"""What settings say about the built-in tools, under the names of Node Qwen Code."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import msgspec

from qwen_code.config.settings import Settings, convert_setting
from qwen_code.tools import catalogue

_IGNORE_FILES = "context.fileFiltering.customIgnoreFiles"
_GIT_IGNORE = "context.fileFiltering.respectGitIgnore"
_POLICY = "tools.executionSandbox"
_TIMEOUT = "tools.shell.defaultTimeoutMs"
_SWITCHES = {
    "tools.listDirectory.enabled": catalogue.LIST_DIRECTORY.name,
    "tools.todoWrite.enabled": catalogue.TODO_WRITE.name,
}
"""Node Qwen Code has these tools only where the setting is true. Here they are there unless it is
false."""


class SandboxPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``tools.executionSandbox``: what commands can change and reach, whatever else says."""

    filesystem: Literal["read-only", "workspace-write"]
    network: Literal["open", "closed"]
    backend: Literal["auto", "bwrap"] = "auto"


def sandbox_policy(settings: Settings) -> tuple[SandboxPolicy, str] | None:
    """The policy of the machine or the user, with its place; ``None`` if there is none.

    Raises:
        ConfigError: it cannot be read as a whole: then nothing must run.
    """
    found = settings.usable(_POLICY)
    if found is None:
        return None
    return convert_setting(found, SandboxPolicy), str(found.source)


def ignore_files(settings: Settings) -> tuple[str, ...]:
    """More ignore files beside the usual ones, relative to the folders of the project. Every file
    of settings can name some."""
    found = (each for each in settings.lookup(_IGNORE_FILES) if each.status == "usable")
    names = (name.strip() for each in found for name in convert_setting(each, list[str]))
    return tuple(dict.fromkeys(name for name in names if name))


def respects_git_ignore(settings: Settings) -> bool:
    """Whether searches leave out what git ignores."""
    return settings.first(_GIT_IGNORE, bool) is not False


def command_timeout_s(settings: Settings) -> float | None:
    """How long a command may run if its call does not say; ``None``: as usual."""
    number = settings.first(_TIMEOUT, float)
    return None if number is None else number / 1000 if number else math.inf


def switched_off(settings: Settings) -> Iterator[tuple[str, str]]:
    """The tools that a setting takes away, each with the place of the setting.

    Raises:
        ConfigError: the policy of the sandbox cannot be read.
    """
    policy = sandbox_policy(settings)
    if policy and policy[0].filesystem == "read-only":
        yield from ((tool, policy[1]) for tool in ("Edit", "Write"))
    for dotted, tool in _SWITCHES.items():
        found = settings.usable(dotted)
        if found is not None and not convert_setting(found, bool):
            yield tool, str(found.source)
