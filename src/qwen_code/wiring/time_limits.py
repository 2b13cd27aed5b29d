"""How long things may take and how many tools may be called, by settings and command line.

A project's files can make a limit shorter and never longer: what ends a run, and so bounds what it
costs, is the user's own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from qwen_code.auth.types import Connection, Method
from qwen_code.config.settings import Settings, convert_setting
from qwen_code.models.patience import Patience

_LOCAL_FIRST_BYTE_S = 300.0
"""The embedded model takes long to read a long prompt, where the machine is busy."""

MAX_S = 30 * 86_400.0
"""A month is as good as no limit, and all that waits can wait that long."""

_FIRST_BYTE = {"model.timeoutS": 1.0, "model.generationConfig.timeout": 0.001}
"""Ours in seconds, and Node Qwen Code's in milliseconds."""

_WALL_TIME = {"model.maxWallTimeSeconds": 1.0}
_TOOL_CALLS = {"model.maxToolCalls": 1.0}


class Limit(msgspec.Struct, frozen=True):
    """``seconds`` are infinite where there is no limit. ``notices`` say what does not count."""

    seconds: float
    set_by: str = ""
    notices: tuple[str, ...] = ()


def first_byte(settings: Settings) -> Limit:
    """How long a model may take until the first byte of its answer."""
    usual = Limit(Patience().timeouts.first_byte_s)
    return _limit(settings, _FIRST_BYTE, usual, none=0.0)


def wall_time(option_s: float | None, settings: Settings) -> Limit:
    """How long one prompt may take, with everything that is done for it; ``option_s`` is what the
    command line says."""
    if option_s is not None:
        return Limit(option_s, "--max-wall-time")
    return _limit(settings, _WALL_TIME, Limit(math.inf), none=-1.0)


def tool_calls(option: int | None, settings: Settings) -> Limit:
    """How many tools may be called for one prompt; ``option`` is what the command line says."""
    if option is not None:
        return Limit(math.inf if option < 0 else option, "--max-tool-calls")
    return _limit(settings, _TOOL_CALLS, Limit(math.inf), none=-1.0)


def patience_with(connection: Connection, settings: Settings) -> Patience:
    """How long answers of this connection's model are waited for."""
    generation = connection.generation
    seconds = first_byte(settings).seconds
    if generation.timeout_s is not None and settings.usable("model.timeoutS") is None:
        seconds = generation.timeout_s
    if connection.method is Method.LOCAL:
        seconds = max(seconds, _LOCAL_FIRST_BYTE_S)
    idle_s = None if generation.idle_s is None else min(generation.idle_s, MAX_S)
    return Patience.of(min(seconds, MAX_S), idle_s, generation.max_retries)


def _limit(settings: Settings, units: Mapping[str, float], usual: Limit, *, none: float) -> Limit:
    """What the user's own files say, or less where a project's say less."""
    own = project = None
    for name, unit_s in units.items():
        for found in settings.lookup(name):
            if found.status != "usable":
                continue
            number = convert_setting(found, float)
            limit = Limit(math.inf if number == none else number * unit_s, str(found.source))
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
