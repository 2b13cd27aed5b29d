"""A login with a key in ``settings.json``, as Node Qwen Code writes and reads it: ``env`` holds the
key, an entry of ``modelProviders`` the endpoint, and ``model.name`` chooses it.

The key is in clear there, so it is written only where the user agrees.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from qwen_code.config.paths import Paths
from qwen_code.config.providers import Provider
from qwen_code.config.settings import Layer, Settings, read_layer, value_at
from qwen_code.config.settings_edit import save_values

_PROVIDERS = ("modelProviders", "openai")
_CHOICE = ("model", "name")
_ADDRESS = ("model", "baseUrl")
_CUSTOM_KEY = "QWEN_CUSTOM_API_KEY"


class SharedModel(msgspec.Struct, frozen=True):
    """A model at an endpoint. ``window_tokens`` and ``sees`` are ``None`` if they are not known."""

    provider: Provider
    base_url: str
    model: str
    window_tokens: int | None = None
    sees: bool | None = None

    @property
    def key_name(self) -> str:
        """The variable that Node has for its key."""
        if self.provider.node_label:
            return self.provider.key_names[0]
        from hashlib import sha256  # slow to import, and only for a new login

        address = self.base_url.strip().rstrip("/")
        digest = sha256(f"openai\0{address}".encode()).hexdigest()[:12].upper()
        return f"{_CUSTOM_KEY}_OPENAI_{_as_name(self.base_url)}_{digest}"

    def entry(self) -> dict[str, Any]:
        """The entry of ``modelProviders.openai``."""
        label = self.provider.node_label
        entry = {
            "id": self.model,
            "name": f"[{label}] {self.model}" if label else self.model,
            "baseUrl": self.base_url,
            "envKey": self.key_name,
        }
        generation = self._generation()
        return {**entry, "generationConfig": generation} if generation else entry

    def _generation(self) -> dict[str, Any]:
        generation: dict[str, Any] = {}
        if self.provider.thinking and self.model.lower().startswith(self.provider.thinking):
            generation["extra_body"] = {"enable_thinking": True}
        if self.window_tokens:
            generation["contextWindowSize"] = self.window_tokens
        if self.sees:
            generation["modalities"] = {"image": True}
        return generation


def is_shared_home(paths: Paths, settings: Settings) -> bool:
    """Whether Node Qwen Code seems to use the same directory."""
    own = (layer.tree for layer in settings.layers if layer.path == paths.settings_file)
    tree = next(own, {})
    return bool({"modelProviders", "$version"} & tree.keys()) or any(
        (paths.qwen_home / name).exists() for name in ("installation_id", "todos")
    )


def share(paths: Paths, model: SharedModel, key: str) -> Path:
    """Write a login where Node reads it, and choose it; the file.

    Raises:
        ConfigError: the file is broken or cannot be written.
    """
    save_values(paths.settings_file, lambda tree: _shared(tree, model, key))
    return paths.settings_file


def _shared(
    tree: Mapping[str, Any], model: SharedModel, key: str
) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield ("env", model.key_name), key
    known = value_at(tree, _PROVIDERS)
    entries = [*known] if _is_list(known) else []
    others = [each for each in entries if not _is_same(each, model)]
    same = next((each for each in entries if _is_same(each, model)), None)
    if same is None:
        yield _PROVIDERS, [model.entry(), *others]
    else:  # what the user has written of it counts
        kept = {**model.entry(), **same, "envKey": model.key_name}
        yield _PROVIDERS, [kept if each is same else each for each in entries]
    yield ("security", "auth", "selectedType"), "openai"
    yield _CHOICE, model.model
    # Of several entries with this name, the address chooses one.
    is_alone = all(each.get("id") != model.model for each in others if isinstance(each, dict))
    yield _ADDRESS, None if is_alone else model.base_url


def give_way(paths: Paths, base_url: str | None, model: str | None) -> str | None:
    """Take back the choice of another provider in the user's settings, which would come before a
    login that was just chosen; what to say of it, or ``None`` if there is no such choice."""
    layer = read_layer(paths.settings_file)
    chosen = _chosen(layer) if layer else None
    if chosen is None:
        return None
    if _address(chosen) == (base_url or "").rstrip("/") and model in (None, chosen.get("id")):
        return None  # it leads to the same
    save_values(paths.settings_file, lambda _: iter([(_CHOICE, None), (_ADDRESS, None)]))
    return (
        f"{paths.settings_file} chose {chosen.get('id')} at {chosen.get('baseUrl') or 'OpenAI'}; "
        "that choice was taken back (the entry stays), because it would come first"
    )


def forget_shared(paths: Paths, key: str) -> list[str]:
    """Remove a key from ``env`` with the entries that name it; what was done, a line each."""
    layer = read_layer(paths.settings_file)
    environ = value_at(layer.tree, ["env"]) if layer else None
    names = [n for n, text in environ.items() if text == key] if isinstance(environ, dict) else []
    if not key or not names or layer is None:
        return []
    is_ours = _chosen(layer)

    def changes(tree: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
        for name in names:
            yield ("env", name), None
        if _is_list(known := value_at(tree, _PROVIDERS)):
            left = [e for e in known if not (isinstance(e, dict) and e.get("envKey") in names)]
            yield _PROVIDERS, left
        if is_ours is not None and is_ours.get("envKey") in names:
            yield _CHOICE, None
            yield _ADDRESS, None

    save_values(paths.settings_file, changes)
    return [f"Removed {', '.join(names)} from {paths.settings_file}, with the models that use it."]


def _chosen(layer: Layer) -> Mapping[str, Any] | None:
    """The entry that ``model.name`` and ``model.baseUrl`` of a file choose."""
    name, address = value_at(layer.tree, _CHOICE), value_at(layer.tree, _ADDRESS)
    known = value_at(layer.tree, _PROVIDERS)
    entries = [e for e in known if isinstance(e, dict) and e.get("id") == name] if known else []
    named = [e for e in entries if isinstance(address, str) and _address(e) == address.rstrip("/")]
    return next(iter(named or entries), None) if name else None


def _is_same(entry: Any, model: SharedModel) -> bool:
    return (
        isinstance(entry, dict)
        and entry.get("id") == model.model
        and _address(entry) == model.base_url.rstrip("/")
    )


def _address(entry: Mapping[str, Any]) -> str:
    return str(entry.get("baseUrl") or "").rstrip("/")


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _as_name(text: str) -> str:
    """A text as a part of a variable's name: letters and digits, others as one ``_``."""
    letters = (c if c.isascii() and c.isalnum() else "_" for c in text.strip().upper())
    return "_".join(part for part in "".join(letters).split("_") if part)
