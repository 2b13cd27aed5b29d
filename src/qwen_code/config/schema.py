"""What the values of settings must be. One that is something else costs a notice and no more: it
does not count, and where it would forbid something, the strictest value stands for it.

What decides about credentials and permissions is not in this table: where that is not understood,
the program stops.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from qwen_code.config.settings import FLAT_NAMES

MODES = ("plan", "default", "auto-edit", "auto", "yolo")
"""What ``tools.approvalMode`` can be, with ``_`` for ``-``, and ``autoEdit``, too."""

SANDBOX_KINDS = ("true", "false", "bwrap", "sandbox-exec", "docker", "podman")
"""What ``tools.sandbox`` and ``QWEN_SANDBOX`` can be."""


def sandbox_kind(value: object) -> str | None:
    """One of `SANDBOX_KINDS`, from a setting or a variable; ``None`` if it is not known."""
    text = str(value).lower() if isinstance(value, bool | str) else ""
    text = {"1": "true", "0": "false", "": "false" if value == "" else ""}.get(text, text)
    return text if text in SANDBOX_KINDS else None


_EFFORTS = ("none", "off", "minimal", "low", "medium", "high", "xhigh", "max")


class _Kind(msgspec.Struct, frozen=True):
    """``words`` complete "it must be …". Of a list, what ``fits_one`` accepts still counts."""

    words: str
    fits: Callable[[Any], bool]
    fits_one: Callable[[Any], bool] | None = None


class Problem(msgspec.Struct, frozen=True):
    """A value at ``path`` that cannot be used, because it must be ``words``. ``instead`` stands for
    it; ``None`` is as if it were not there. ``is_fatal``: it decides about permissions or
    credentials."""

    path: tuple[str, ...]
    words: str
    instead: Any = None
    is_fatal: bool = False
    is_unknown: bool = False
    """It has no effect here, and does no harm."""

    @property
    def shown(self) -> str:
        """``instead``, as it is written in the file."""
        return msgspec.json.encode(self.instead).decode()


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_model(value: Any) -> bool:
    return isinstance(value, dict) and _is_text(value.get("id"))


def _is_models(value: Any) -> bool:
    """A list; or an object with one, as an earlier version had it."""
    models = value.get("models") if isinstance(value, dict) else value
    return isinstance(models, list) and all(map(_is_model, models))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_prices(value: Any) -> bool:
    if not isinstance(value, dict) or not {"input", "output"} <= value.keys():
        return False
    return all(_is_number(price) and price >= 0 for price in value.values())


def _is_node_prices(value: Any) -> bool:
    names = ("inputPerMillionTokens", "outputPerMillionTokens")
    return isinstance(value, dict) and all(
        _is_number(value.get(name)) and value[name] >= 0 for name in names
    )


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and _is_number(value) and value >= 1


def _is_mode(value: Any) -> bool:
    return _is_text(value) and value.strip().lower().replace("_", "-") in (*MODES, "autoedit")


_TEXT = _Kind("a text", _is_text)
_TEXTS = _Kind(
    "a list of texts",
    lambda value: _is_text(value) or (isinstance(value, list) and all(map(_is_text, value))),
    _is_text,
)
"""One text is as good as a list with it alone."""
_LIST = _Kind("a list of texts", lambda value: not _is_text(value) and _TEXTS.fits(value))
_MODELS = _Kind(
    "a list of models, each with an id",
    _is_models,
    _is_model,
)
_OBJECT = _Kind("an object", lambda value: isinstance(value, dict))
_FLAG = _Kind("true or false", lambda value: isinstance(value, bool))
_DAYS = _Kind(
    "a number of days, 0 or more",
    lambda value: isinstance(value, int | float) and not isinstance(value, bool) and value >= 0,
)
_COUNT = _Kind("a whole number, 1 or more", _is_count)
_WAIT = _Kind("a time, or 0 for no limit", lambda value: _is_number(value) and value >= 0)
_TURNS = _Kind("1 or more, or -1 for no limit", lambda value: _is_count(value) or value in (0, -1))
_CALLS = _Kind(
    "a whole number, or -1 for no limit",
    lambda value: _is_count(value) or value in (0, -1),
)
_WALL_TIME = _Kind(
    "1 second or more, or -1 for no limit",
    lambda value: _is_number(value) and (value >= 1 or value == -1),
)
_MODE = _Kind(
    f"one of {', '.join(MODES)}",
    _is_mode,
)
_SANDBOX = _Kind(
    f"one of {', '.join(SANDBOX_KINDS)}", lambda value: sandbox_kind(value) is not None
)

_COST = _Kind("US dollars, more than 0", lambda value: _is_number(value) and value > 0)

_PRICES = _Kind(
    "prices: input, output and, if it differs, cached, in US dollars for a million tokens",
    _is_prices,
)

_NODE_PRICES = _Kind("prices: inputPerMillionTokens and outputPerMillionTokens", _is_node_prices)
_EFFORT = _Kind(
    f"one of {', '.join(_EFFORTS)}", lambda value: isinstance(value, str) and value in _EFFORTS
)

_KINDS: dict[str, _Kind] = {
    "advanced.excludedEnvVars": _TEXTS,
    "context.fileFiltering.customIgnoreFiles": _TEXTS,
    "context.fileFiltering.respectGitIgnore": _FLAG,
    "context.fileName": _TEXTS,
    "context.includeDirectories": _TEXTS,
    "context.loadFromIncludeDirectories": _FLAG,
    "disableAllHooks": _FLAG,
    "dualOutput.inputFile": _TEXT,
    "dualOutput.jsonFile": _TEXT,
    "env.*": _TEXT,
    "general.chatRecording": _FLAG,
    "general.outputLanguage": _TEXT,
    "general.outputStyle": _TEXT,
    "fastModel": _TEXT,
    "hooks": _OBJECT,
    "memory.enableManagedAutoMemory": _FLAG,
    "mcp.allowed": _TEXTS,
    "mcp.excluded": _TEXTS,
    "model.allowed": _TEXTS,
    "model.baseUrl": _TEXT,
    "model.contextWindow": _COUNT,
    "model.fallbacks": _TEXTS,
    "model.generationConfig.timeout": _WAIT,
    "model.maxSessionTurns": _TURNS,
    "model.maxToolCalls": _CALLS,
    "model.maxWallTimeSeconds": _WALL_TIME,
    "model.enableOpenAILogging": _FLAG,
    "model.openAILogRetentionDays": _DAYS,
    "model.openAILoggingDir": _TEXT,
    "model.name": _TEXT,
    "model.reasoningEffort": _EFFORT,
    "model.sessionTokenLimit": _TURNS,
    "model.timeoutS": _WAIT,
    "model.vision": _FLAG,
    "modelFallbacks": _TEXT,
    "modelPricing.*": _NODE_PRICES,
    "modelProviders.*": _MODELS,
    "network.caFile": _TEXT,
    "network.clientCert": _TEXT,
    "network.clientKey": _TEXT,
    "providerProtocol.*": _TEXT,
    "proxy": _TEXT,
    "quota.costPerDay": _COST,
    "quota.perDay": _COUNT,
    "quota.perMinute": _COUNT,
    "stopHookBlockingCap": _COUNT,
    "skills.defaultDisabled": _TEXTS,
    "skills.directories": _TEXTS,
    "skills.disabled": _TEXTS,
    "skills.disabledLevels": _TEXTS,
    "skills.enabled": _TEXTS,
    "qwen_code.auth.selectedType": _TEXT,
    "qwen_code.prices.*": _PRICES,
    "qwen_code.permissions.projects.*": _TEXTS,
    "slashCommands.disabled": _TEXTS,
    "tools.allowed": _TEXTS,
    "tools.approvalMode": _MODE,
    "tools.listDirectory.enabled": _FLAG,
    "tools.shell.defaultTimeoutMs": _WAIT,
    "tools.todoWrite.enabled": _FLAG,
    "tools.core": _TEXTS,
    "tools.disabled": _TEXTS,
    "tools.exclude": _TEXTS,
    "tools.executionSandbox": _OBJECT,
    "tools.sandbox": _SANDBOX,
    "tools.sandboxImage": _TEXT,
    "tools.sandboxNetwork": _FLAG,
    "tools.webFetch.allowPrivate": _FLAG,
    "ui.accessibility.screenReader": _FLAG,
    "worktree.symlinkDirectories": _TEXTS,
}

_STRICTEST: dict[str, Any] = {
    "disableAllHooks": True,
    "general.chatRecording": False,
    "mcp.allowed": [],
    "mcp.excluded": ["*"],
    "model.allowed": [],
    "slashCommands.disabled": ["*"],
    "tools.core": ["none"],
    "quota.costPerDay": 0.0,
    "tools.disabled": ["*"],
    "tools.exclude": ["*"],
    "tools.executionSandbox": {"filesystem": "read-only", "network": "closed"},
    "tools.listDirectory.enabled": False,
    "tools.sandbox": True,
    "tools.todoWrite.enabled": False,
}
"""These forbid something."""

_OLD = {dotted: old for dotted, old in FLAT_NAMES.items() if dotted in _KINDS and old != "model"}
"""What had another name in the first version; ``model`` is both a name there and an object here."""

_KINDS |= {old: _KINDS[dotted] for dotted, old in _OLD.items()}
_STRICTEST |= {old: _STRICTEST[dotted] for dotted, old in _OLD.items() if dotted in _STRICTEST}

_FATAL: dict[str, _Kind] = {
    "permissions": _OBJECT,
    "permissions.allow": _LIST,
    "permissions.ask": _LIST,
    "permissions.deny": _LIST,
    "security": _OBJECT,
    "security.auth": _OBJECT,
    "security.allowPrivateNetworkHooks": _FLAG,
    "security.allowedHttpHookUrls": _LIST,
    "security.auth.oauth": _OBJECT,
    "security.environmentVariableRedaction": _OBJECT,
    "security.folderTrust": _OBJECT,
    "security.folderTrust.enabled": _FLAG,
}
"""These decide about permissions and credentials. Other keys below are checked where they are
used."""

_OTHERS = (
    *FLAT_NAMES.values(),
    *("$version", "experimental", "general", "ide", "mcpServers", "memory", "output", "privacy"),
    *("telemetry", "theme", "ui"),
)
"""Names at the top that are not in the table."""

ONLY_OF_USERS = (
    *("permissions.allow", "tools.allowed", "tools.approvalMode", "tools.sandbox"),
    *("allowedTools", "approvalMode", "sandbox", "dualOutput.jsonFile", "dualOutput.inputFile"),
)
"""What people write into a project's file, where it has no effect."""

_RULES = ("allow", "ask", "deny", "autoMode")
"""All that ``permissions`` can have. Other programs have more there, which would be missed.
``autoMode`` is for a classifier, and what that would decide is asked for."""


def kinds() -> Iterator[str]:
    """Every key that has a kind here."""
    return iter((*_FATAL, *(key for key in _KINDS if key not in _OLD.values())))


def takes_text(dotted: str) -> bool:
    """Whether the value of a key is a text."""
    return _kind_of(dotted) in (_TEXT, _MODE)


def takes_list(dotted: str) -> bool:
    """Whether the value of a key is a list of texts."""
    return _kind_of(dotted) in (_TEXTS, _LIST)


def _kind_of(dotted: str) -> _Kind | None:
    parent = f"{dotted.rpartition('.')[0]}.*"
    return _KINDS.get(dotted) or _FATAL.get(dotted) or _KINDS.get(parent)


def problems(tree: dict[str, Any]) -> Iterator[Problem]:
    """The values of ``tree`` that cannot be used, fatal ones first."""
    seen: set[tuple[str, ...]] = set()
    for kinds in (_FATAL, _KINDS):
        for dotted, kind in kinds.items():
            path, instead = tuple(dotted.split(".")), _STRICTEST.get(dotted)
            for found in _problems(tree, (), path, kind, instead):
                if found.path not in seen:
                    seen.add(found.path)
                    yield msgspec.structs.replace(found, is_fatal=kinds is _FATAL)
    for name in tree:
        if meant := _meant_by(name):
            yield Problem((name,), f"written {meant}", is_unknown=True)
    permissions = tree.get("permissions")
    for name in permissions if isinstance(permissions, dict) else ():
        if name not in _RULES:
            yield Problem(("permissions", name), "allow, ask or deny", is_unknown=True)


def _meant_by(name: str) -> str:
    """How a name at the top, which has no effect as it is, must be written; empty if it is right,
    or not known. Only for what forbids something: others have many names that are not ours."""
    top = {dotted.partition(".")[0] for dotted in (*_STRICTEST, *_FATAL)}
    if name in top or name in _OTHERS or any(key.partition(".")[0] == name for key in _KINDS):
        return ""
    first, dot, rest = name.partition(".")
    if dot and first in top:
        return f'"{first}": {{"{rest}": …}}'
    from difflib import get_close_matches  # slow to import; few have a name that is not known

    found = get_close_matches(name.lower(), [each.lower() for each in top], n=1, cutoff=0.85)
    return next((each for each in top if [each.lower()] == found), "")


def _problems(
    value: Any, here: tuple[str, ...], left: tuple[str, ...], kind: _Kind, instead: Any
) -> Iterator[Problem]:
    """The problems on the way from ``value``, which is at ``here``, along the names ``left``."""
    if value is None:
        return
    if not left:
        if not kind.fits(value):
            if instead is None and kind.fits_one and isinstance(value, list):
                instead = [each for each in value if kind.fits_one(each)]
            yield Problem(here, kind.words, instead)
        return
    if not isinstance(value, dict):
        if here != ("model",) or not isinstance(value, str):  # the name in old settings
            yield Problem(here, "an object")
        return
    for name in value if left[0] == "*" else left[:1]:
        yield from _problems(value.get(name), (*here, name), left[1:], kind, instead)


def without(tree: dict[str, Any], found: Problem) -> dict[str, Any]:
    """``tree`` with what stands for an unusable value in its place."""
    name, *below = found.path
    if below:
        inner = msgspec.structs.replace(found, path=tuple(below))
        return {**tree, name: without(tree[name], inner)}
    return {**tree, name: found.instead}
