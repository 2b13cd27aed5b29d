"""What ``qwen config`` and ``/settings`` do: values of keys with their places, and new ones."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from qwen_code.base.errors import ConfigError, UsageError
from qwen_code.base.json_text import decode_json
from qwen_code.base.secret import Secret
from qwen_code.config import settings_keys
from qwen_code.config.node_names import without_effect
from qwen_code.config.paths import CONFIG_DIR, Paths
from qwen_code.config.settings import Layer, SettingCandidate, Settings, folders_of_project
from qwen_code.config.settings_edit import save_value
from qwen_code.config.values import Source

_MAX_SHOWN = 100

COMMON = (
    *("model.name", "model.fallbacks", "model.maxSessionTurns", "tools.approvalMode"),
    *("tools.sandbox", "tools.sandboxNetwork", "tools.exclude", "context.fileName"),
    *("quota.costPerDay", "disableAllHooks", "security.auth.selectedType"),
)
"""What ``/settings`` shows although it is not set."""

_JOINED = (
    *("permissions.allow", "permissions.ask", "permissions.deny", "mcp.excluded"),
    *("tools.exclude", "tools.disabled"),
)
"""Of these, the lists of all files count together."""


class Place(msgspec.Struct, frozen=True):
    """What one file says for a key. ``status``: whether it counts, or why not."""

    key: str
    value: Any
    source: Source
    status: str

    @property
    def counts(self) -> bool:
        """Whether this is the value that is used, or a part of it."""
        return self.status == "effective"

    def shown(self, *, reveal: bool = False) -> str:
        """The value as text: as it is written, a text without quotes; secrets masked."""
        return text_of(self.value if reveal else masked(self.key, self.value))

    def in_words(self) -> str:
        """The value, its file and line, and whether it counts; secrets and long texts shortened."""
        text = self.shown()
        text = text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
        line = f":{self.source.line}" if self.source.line else ""
        note = "" if self.counts else f", {self.status}"
        return f"{text}  ({self.source.path}{line}{note})"


def places(settings: Settings, dotted: str) -> list[Place]:
    """What each file says for a key, the one that counts first."""
    found = [_place(dotted, each) for each in settings.lookup(dotted)]
    is_set = False
    judged = []
    for each in found:
        is_later = each.counts and is_set
        judged.append(msgspec.structs.replace(each, status="shadowed") if is_later else each)
        is_set = is_set or (each.counts and dotted not in _JOINED)
    return judged


def _place(dotted: str, found: SettingCandidate) -> Place:
    if found.status != "usable":
        status = "a project's file cannot set this"
    else:
        verdict = without_effect(dotted)
        status = "effective" if verdict is None else f"no effect here: {verdict.why}"
    return Place(dotted, found.value, found.source, status)


def effective(settings: Settings, dotted: str) -> Any:
    """The value that is used; ``None`` if no file sets it. Objects and lists of rules are what all
    files together make of them."""
    counting = [each.value for each in places(settings, dotted) if each.counts]
    if dotted in _JOINED:
        texts = (each if isinstance(each, list) else [each] for each in counting)
        return list(dict.fromkeys(text for each in texts for text in each)) or None
    if not counting or not isinstance(counting[0], dict):
        return counting[0] if counting else None
    value: dict[str, Any] = {}
    keys = keys_below(settings, dotted)
    for each in keys:
        if (below := effective(settings, each)) is not None:
            _put(value, each.removeprefix(f"{dotted}.").split("."), below)
    return value or (None if keys else counting[0])


def _put(tree: dict[str, Any], path: Sequence[str], value: Any) -> None:
    for name in path[:-1]:
        tree = tree.setdefault(name, {})
    tree[path[-1]] = value


def keys_below(settings: Settings, dotted: str = "") -> list[str]:
    """The keys that have a value in any file: all, or those below one, in the files' order."""
    found: dict[str, None] = {}
    for layer in settings.layers:
        for key, _ in settings_keys.leaves(layer.tree):
            if not dotted or key.startswith(f"{dotted}."):
                found[key] = None
    return [key for key in found if settings.lookup(key)]


def everything(settings: Settings) -> Iterator[Place]:
    """What every file says for every key that it sets."""
    for key in keys_below(settings):
        yield from places(settings, key)


def masked(dotted: str, value: Any) -> Any:
    """``value`` without the secrets in it: by the names of keys, and by what is known as one."""
    if isinstance(value, dict):
        return {name: masked(f"{dotted}.{name}", each) for name, each in value.items()}
    if isinstance(value, list):
        return [masked(dotted, each) for each in value]
    if isinstance(value, str) and settings_keys.is_secret(dotted) and not value.startswith("$"):
        return Secret(value).masked
    return value


def text_of(value: Any) -> str:
    """A value as ``qwen config`` prints it."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def value_in(dotted: str, words: Sequence[str]) -> Any:
    """The value that was typed: JSON, or a text; several words are a list of texts.

    Raises:
        UsageError: there is none.
    """
    if not words:
        raise UsageError("no value was given", hint=f"qwen config set {dotted} VALUE")
    if len(words) > 1:
        return list(words)
    (text,) = words
    if settings_keys.takes_text(dotted):
        return text
    try:
        value = decode_json(text)
    except msgspec.DecodeError:
        value = text
    if isinstance(value, int | float | str) and settings_keys.takes_list(dotted):
        return [text]
    return value


class Change(msgspec.Struct, frozen=True):
    """What was saved where. ``notices`` are lines that the person should read."""

    file: Path
    is_new: bool
    notices: tuple[str, ...] = ()


def change(
    paths: Paths, dotted: str, value: Any, *, in_project: bool = False, force: bool = False
) -> Change:
    """Set a key in the user's file or the project's; ``None`` removes it.

    Raises:
        UsageError: the key is not known and near to one that is, or a project cannot set it.
        ConfigError: the value cannot be used, or the file is broken or cannot be written.
    """
    _check_key(dotted, force=force)
    file = paths.settings_file
    if in_project:
        if not settings_keys.may_be_in_project(dotted):
            raise UsageError(
                f"a project's file cannot set {dotted}", hint="Leave --project out: it is yours."
            )
        file = project_file(paths)
        file.parent.mkdir(parents=True, exist_ok=True)  # for all users of the project

    def check(layer: Layer) -> None:
        wrong = settings_keys.wrong_value(layer, dotted) if value is not None else None
        if wrong is not None:
            shown = text_of(masked(dotted, value))
            raise ConfigError(
                f"{dotted} must be {wrong.words}, not {shown}", hint="Nothing was changed."
            )

    mode = 0o644 if in_project else 0o600
    lock = lock_of(paths)  # a project's directory is not for our locks
    is_new = save_value(file, dotted, value, mode=mode, lock=lock, check=check)
    return Change(file, is_new, tuple(_notices(dotted, value, file)))


def _check_key(dotted: str, *, force: bool) -> None:
    if not dotted or not all(dotted.split(".")):
        raise UsageError(f"{dotted!r} is not a key", hint="Keys are like tools.approvalMode.")
    verdict = without_effect(dotted)
    is_of_node = verdict is not None and verdict.name == dotted
    if settings_keys.is_known(dotted) or is_of_node or force:
        return
    near = settings_keys.near_keys(dotted)
    if near:
        raise UsageError(
            f"there is no setting {dotted}",
            hint=f"Did you mean {' or '.join(near)}? To write it all the same: --force",
        )


def _notices(dotted: str, value: Any, file: Path) -> Iterator[str]:
    if (verdict := without_effect(dotted)) is not None:
        yield f"{dotted} has no effect here: {verdict.why}; it is kept for other programs"
    elif not settings_keys.is_known(dotted):
        yield f"qwen has no setting {dotted}; it is kept for other programs"
    set_keys = [key for key, text in settings_keys.leaves(value, tuple(dotted.split("."))) if text]
    if not any(settings_keys.is_secret(key) for key in set_keys):
        return
    yield (
        f"the key is in {file} in clear, and in the history of your shell if you typed it there; "
        "to have it asked for, and checked: qwen auth login"
    )


def lock_of(paths: Paths) -> Path:
    """The file that is locked while settings change."""
    return paths.settings_file.with_name(f"{paths.settings_file.name}.lock")


def project_file(paths: Paths) -> Path:
    """The settings file of this project: the one there is, or where one belongs.

    Raises:
        UsageError: here, the user's own settings are the only ones.
    """
    folders = folders_of_project(paths.cwd)
    files = [folder / CONFIG_DIR / "settings.json" for folder in folders]
    file = next((each for each in files if each.exists()), files[-1])
    own = (paths.settings_file, paths.home / CONFIG_DIR / "settings.json")
    if os.path.realpath(file) in [os.path.realpath(each) for each in own]:
        raise UsageError(
            f"{file} is your own file, not a project's", hint="Leave --project out, or go there."
        )
    return file
