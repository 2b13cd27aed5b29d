"""The keys of settings: which are known, what their values must be, and which hold secrets.

What other programs have in the same file is kept, but nothing is known of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from qwen_code.config import schema
from qwen_code.config.providers import looks_like_key
from qwen_code.config.settings import Layer, is_user_only, value_at

_TEXTS = (
    *("security.auth.selectedType", "security.auth.enforcedType", "security.auth.baseUrl"),
    *("security.auth.apiKey", "security.auth.store", "security.auth.oauth.baseUrl"),
    *("security.auth.oauth.issuer", "security.auth.oauth.clientId", "security.auth.oauth.scope"),
    *("security.auth.oauth.resourceUrl", "security.auth.oauth.grant"),
)
"""Their users stop at a value that is not a text."""

_OTHERS = (
    *("mcpServers", "model.generationConfig", "modelProviders", "providerProtocol", "env"),
    *("security.auth.apiKeyHelper", "security.auth.pools", "security.auth.projectProfiles"),
    *("security.environmentVariableRedaction.allowed", "security.allowedEndpoints"),
)
_SECRETS = ("apikey", "api_key", "authorization", "token", "secret", "password", "clientsecret")


def known_keys() -> frozenset[str]:
    """Every key that has a meaning here; ``*`` stands for any name."""
    return frozenset((*schema.kinds(), *_TEXTS, *_OTHERS))


def is_known(dotted: str) -> bool:
    """Whether a key has a meaning here: it is one of `known_keys`, above one, or below one that
    can have anything below it."""
    path = dotted.split(".")
    return any(_leads_to(path, key.split(".")) for key in known_keys())


def _leads_to(path: list[str], key: list[str]) -> bool:
    if all(part in ("*", name) for part, name in zip(key, path, strict=False)):
        return len(path) <= len(key) or ".".join(key) in (*_OTHERS, "hooks")
    return False


def near_keys(dotted: str) -> list[str]:
    """Known keys that ``dotted`` may have been meant as, the nearest first."""
    from difflib import get_close_matches  # only for a mistake

    names = {key.lower(): key for key in known_keys() if "*" not in key}
    found = [names[each] for each in get_close_matches(dotted.lower(), names, 3, 0.75)]
    last = dotted.rpartition(".")[2].lower()
    same = [key for low, key in sorted(names.items()) if low.rpartition(".")[2] == last]
    return list(dict.fromkeys([*found, *same]))[:3]


class Wrong(msgspec.Struct, frozen=True):
    """A value that cannot be used: ``words`` complete "it must be …"."""

    words: str


def wrong_value(layer: Layer, dotted: str) -> Wrong | None:
    """What is wrong with the value of a key, or below it; ``None`` if it can be used."""
    path = tuple(dotted.split("."))
    for problem in schema.problems(layer.tree):
        shared = min(len(problem.path), len(path))
        if problem.path[:shared] == path[:shared]:
            return Wrong(problem.words)
    value = value_at(layer.tree, path)
    if dotted in _TEXTS and value is not None and not isinstance(value, str):
        return Wrong("a text")
    return None


def takes_text(dotted: str) -> bool:
    """Whether a value is a text, however it looks: a model can be named ``4``."""
    return dotted in _TEXTS or schema.takes_text(dotted)


def takes_list(dotted: str) -> bool:
    """Whether one text stands for a list with it alone."""
    return schema.takes_list(dotted)


def is_secret(dotted: str) -> bool:
    """Whether the value of a key is a credential, by its name."""
    name = dotted.rpartition(".")[2]
    return looks_like_key(name) or name.lower() in _SECRETS


def leaves(tree: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every value below ``tree`` that is not an object, with its dotted key."""
    if not isinstance(tree, dict) or (path and not tree):
        yield ".".join(path), tree
        return
    for name, value in tree.items():
        yield from leaves(value, (*path, name))


def may_be_in_project(dotted: str) -> bool:
    """Whether a project's file can set this key."""
    return not is_user_only(dotted)
