"""``generationConfig`` of settings: how a model is asked, with the names of Node Qwen Code.

It stands at a model of ``modelProviders``, or below ``model`` for all others; the two are not
merged. A value that cannot be used costs that value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, get_args

import msgspec

from qwen_code.base.errors import UsageError

T = TypeVar("T")

EffortLevel = Literal["off", "minimal", "low", "medium", "high", "xhigh", "max"]
"""How much a model reasons; "off" where it can do without."""

EFFORT_LEVELS: tuple[EffortLevel, ...] = get_args(EffortLevel)


def effort_named(name: str) -> EffortLevel:
    """The level of that name.

    Raises:
        UsageError: there is none.
    """
    found = next((level for level in EFFORT_LEVELS if level == name), None)
    if found is None:
        levels = ", ".join(EFFORT_LEVELS)
        raise UsageError(f"{name!r} is not a level of effort", hint=f"Use one of: {levels}.")
    return found


_OF_CREDENTIALS = ("authorization", "api-key", "x-api-key", "proxy-authorization")
"""Headers that only the credential in use may set."""

OF_ALL_MODELS = (
    *("customHeaders", "samplingParams", "extra_body", "contextWindowSize", "modalities"),
    *("reasoning", "streamIdleTimeoutMs", "maxRetries", "enableCacheControl"),
)
"""What ``model.generationConfig`` says here. Its ``timeout`` is read in `wiring.time_limits`."""


class Generation(msgspec.Struct, frozen=True):
    """``headers`` and ``body`` are added to each request. ``effort``: how much to reason, and
    ``budget_tokens`` for it. Times are in seconds, infinite without a limit. ``None``: not set.
    """

    headers: Mapping[str, str] = {}
    body: Mapping[str, Any] = {}
    window_tokens: int | None = None
    sees: bool | None = None
    reads_pdf: bool = False
    effort: EffortLevel | None = None
    budget_tokens: int | None = None
    timeout_s: float | None = None
    idle_s: float | None = None
    max_retries: int | None = None
    marks_cache: bool | None = None
    problems: tuple[str, ...] = ()
    """What cannot be used, in words."""


def read_generation(raw: Any) -> Generation:
    """What an object of settings says. Never raises."""
    if raw is None:
        return Generation()
    if not isinstance(raw, Mapping):
        return Generation(problems=("generationConfig must be an object",))
    reader = _Reader(raw)
    sampling, extra = reader.table("samplingParams"), reader.table("extra_body")
    effort, budget = reader.reasoning()
    return Generation(
        headers=reader.headers(),
        body={**sampling, **extra},
        window_tokens=reader.count("contextWindowSize", least=1),
        sees=reader.sees(),
        reads_pdf=reader.reads_pdf(),
        effort=effort,
        budget_tokens=budget,
        timeout_s=reader.time("timeout"),
        idle_s=reader.time("streamIdleTimeoutMs"),
        max_retries=reader.count("maxRetries", least=0),
        marks_cache=reader.flag("enableCacheControl"),
        problems=tuple(reader.problems),
    )


class _Reader:
    def __init__(self, raw: Mapping[str, Any]) -> None:
        self._raw = raw
        self.problems: list[str] = []

    def table(self, name: str) -> dict[str, Any]:
        value = self._raw.get(name)
        nothing: dict[str, Any] = {}
        return value if isinstance(value, dict) else self._refuse(name, value, "an object", nothing)

    def count(self, name: str, *, least: int) -> int | None:
        value = self._raw.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value >= least:
            return value
        return self._refuse(name, value, f"a whole number, {least} or more", None)

    def flag(self, name: str) -> bool | None:
        value = self._raw.get(name)
        if isinstance(value, bool):
            return value
        return self._refuse(name, value, "true or false", None)

    def time(self, name: str) -> float | None:
        """Seconds, of a number of milliseconds; 0 for no limit."""
        value = self._raw.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf:
            return value / 1000 if value else math.inf
        return self._refuse(name, value, "a number of milliseconds", None)

    def headers(self) -> dict[str, str]:
        found = {}
        for name, text in self.table("customHeaders").items():
            is_text = isinstance(text, str) and text.isascii() and text.isprintable()
            if name.lower() in _OF_CREDENTIALS:
                self.problems.append(f"customHeaders.{name}: only the credential in use sets this")
            elif is_text and name.isascii() and name.isprintable() and " " not in name and name:
                found[name.lower()] = text
            else:
                self.problems.append(f"customHeaders.{name} must be printable ASCII text")
        return found

    def sees(self) -> bool | None:
        kinds = self._raw.get("modalities")
        if isinstance(kinds, dict):
            return bool(kinds.get("image"))
        return self._refuse("modalities", kinds, "an object", None)

    def reads_pdf(self) -> bool:
        kinds = self._raw.get("modalities")
        return isinstance(kinds, dict) and bool(kinds.get("pdf"))

    def reasoning(self) -> tuple[EffortLevel | None, int | None]:
        value = self._raw.get("reasoning")
        if value is False:
            return "off", None
        if value is None or value is True:
            return None, None
        if not isinstance(value, dict):
            return self._refuse("reasoning", value, "false or an object", None), None
        effort, budget = value.get("effort"), value.get("budget_tokens")
        is_count = isinstance(budget, int) and not isinstance(budget, bool) and budget > 0
        if effort is not None and effort not in EFFORT_LEVELS:
            self.problems.append(f"reasoning.effort must be one of {', '.join(EFFORT_LEVELS)}")
            effort = None
        return effort, budget if is_count else None

    def _refuse(self, name: str, value: Any, words: str, instead: T) -> T:
        if value is not None:
            self.problems.append(f"{name} must be {words}")
        return instead
