"""How long things may take: what the settings and the command line say of it.

A project's files can make a limit shorter and never longer: what ends a run, and so bounds what it
costs, is the user's own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from qwen_code.auth.types import Method
from qwen_code.base.errors import ConfigError
from qwen_code.config.settings import SettingCandidate, Settings
from qwen_code.models.patience import Patience

_LOCAL_FIRST_BYTE_S = 300.0
"""The embedded model takes long to read a long prompt, where the machine is busy."""

MAX_S = 30 * 86_400.0
"""A month is as good as no limit, and all that waits can wait that long."""

_FIRST_BYTE = {"model.timeoutS": 1.0, "model.generationConfig.timeout": 0.001}
"""Ours in seconds, and Node Qwen Code's in milliseconds."""

_WALL_TIME = {"model.maxWallTimeSeconds": 1.0}


class Limit(msgspec.Struct, frozen=True):
    """``seconds`` are infinite where there is no limit. ``notices`` say what does not count."""

    seconds: float
    set_by: str = ""
    notices: tuple[str, ...] = ()


def first_byte(settings: Settings) -> Limit:
    """How long a model may take until the first byte of its answer.

    Raises:
        ConfigError: a setting is not a number of seconds.
    """
    usual = Limit(Patience().timeouts.first_byte_s)
    return _limit(settings, _FIRST_BYTE, usual, least=0.0, none=0.0)


def wall_time(option_s: float | None, settings: Settings) -> Limit:
    """How long one prompt may take, with everything that is done for it; ``option_s`` is what the
    command line says.

    Raises:
        ConfigError: the setting is not a number of seconds.
    """
    if option_s is not None:
        return Limit(option_s, "--max-wall-time")
    return _limit(settings, _WALL_TIME, Limit(math.inf), least=1.0, none=-1.0)


def patience_with(method: Method, settings: Settings) -> Patience:
    """How long answers are waited for.

    Raises:
        ConfigError: a setting is not a number of seconds.
    """
    seconds = min(first_byte(settings).seconds, MAX_S)
    return Patience.of(max(seconds, _LOCAL_FIRST_BYTE_S) if method is Method.LOCAL else seconds)


def _limit(
    settings: Settings, units: Mapping[str, float], usual: Limit, *, least: float, none: float
) -> Limit:
    """What the user's own files say, or less where a project's say less."""
    own = project = None
    for name, unit_s in units.items():
        for found in settings.lookup(name):
            if found.status != "usable":
                continue
            limit = Limit(_seconds(found, unit_s, least, none), str(found.source))
            if found.source.project is None:
                own = own or limit
            else:
                project = project or limit
    held = own or usual
    if project is None or project.seconds == held.seconds:
        return held
    if project.seconds < held.seconds:
        return project
    ignored = f"{project.set_by} does not count: a project's files can only make that shorter"
    return msgspec.structs.replace(held, notices=(ignored,))


def _seconds(found: SettingCandidate, unit_s: float, least: float, none: float) -> float:
    try:
        number = msgspec.convert(found.value, float)
    except msgspec.ValidationError as error:
        raise ConfigError(
            f"{found.source}: {error}", hint="Fix that line, or take it out."
        ) from error
    if number == none:
        return math.inf
    seconds = number * unit_s
    if not (seconds > 0 and seconds >= least):
        allowed = f"{least:g} or more" if least else "more than 0"
        raise ConfigError(
            f"{found.source}: {number:g} is not a time limit",
            hint=f"Write {allowed}, or {none:g} for no limit.",
        )
    return seconds
