"""Changes one value in the user's ``settings.json``, and keeps every other byte."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from qwen_code.base.files import process_lock, write_atomic
from qwen_code.config import jsonc
from qwen_code.config.paths import Paths
from qwen_code.config.settings import FLAT_NAMES, Layer, broken, read_layer, value_at

_LOCK_TIMEOUT_S = 10.0


def save_user_value(paths: Paths, dotted: str, value: object) -> None:
    """Set one key in the user's file, and keep everything else in it; ``None`` removes the key.

    Raises:
        ConfigError: the file is broken (it is left as it is) or cannot be written.
    """
    save_value(paths.settings_file, dotted, value)


def save_value(
    file: Path,
    dotted: str,
    value: object,
    *,
    mode: int = 0o600,
    lock: Path | None = None,
    check: Callable[[Layer], None] = lambda _: None,
) -> bool:
    """As `save_user_value`, in any settings file; whether it was changed.

    ``check`` is given what the file would be, before it is written. ``mode`` is that of a new file.
    ``lock`` is a file to lock instead of one beside the file.
    """
    lock = lock or file.with_name(f"{file.name}.lock")
    with process_lock(lock, timeout_s=_LOCK_TIMEOUT_S):
        layer = read_layer(file) or Layer(file, b"", {})
        data = layer.data
        try:
            if value is None:
                for path in _written_paths(dotted):
                    data = jsonc.remove_value(data, path)
            else:
                if dotted.startswith("model.") and isinstance(layer.tree.get("model"), str):
                    data = jsonc.set_value(data, ["model"], {"name": layer.tree["model"]})
                data = jsonc.set_value(data, dotted.split("."), value)
        except jsonc.JsoncError as error:
            raise broken(file, error) from error
        if data != layer.data:
            check(Layer(file, data, jsonc.loads(data)))
            write_atomic(file, data, mode=mode)
        return data != layer.data


def save_values(
    file: Path,
    changes: Callable[[Mapping[str, Any]], Iterable[tuple[Sequence[str], object]]],
) -> None:
    """Set several keys at once to what ``changes`` returns for the file's content; ``None`` removes
    a key.

    Raises:
        ConfigError: the file is broken (it is left as it is) or cannot be written.
    """
    with process_lock(file.with_name(f"{file.name}.lock"), timeout_s=_LOCK_TIMEOUT_S):
        layer = read_layer(file) or Layer(file, b"", {})
        data = layer.data
        try:
            for path, value in changes(layer.tree):
                if value is not None:
                    data = jsonc.set_value(data, path, value)
                elif value_at(layer.tree, path) is not None:
                    data = jsonc.remove_value(data, path)
        except jsonc.JsoncError as error:
            raise broken(file, error) from error
        if data != layer.data:
            write_atomic(file, data)


def update_user_value(paths: Paths, path: Sequence[str], change: Callable[[Any], object]) -> None:
    """Set the key at ``path`` in the user's file to what ``change`` returns for its current value.

    Everything else in the file is kept. Other processes cannot write the file meanwhile.

    Raises:
        ConfigError: the file is broken (it is left as it is) or cannot be written.
    """
    file = paths.settings_file
    with process_lock(file.with_name(f"{file.name}.lock"), timeout_s=_LOCK_TIMEOUT_S):
        layer = read_layer(file) or Layer(file, b"", {})
        try:
            data = jsonc.set_value(layer.data, path, change(value_at(layer.tree, path)))
        except jsonc.JsoncError as error:
            raise broken(file, error) from error
        if data != layer.data:
            write_atomic(file, data)


def _written_paths(dotted: str) -> Iterator[list[str]]:
    yield dotted.split(".")
    if dotted in FLAT_NAMES and dotted != "model.name":
        yield [FLAT_NAMES[dotted]]
