"""Whether the user trusts the current folder, as Node Qwen Code asks and remembers it.

It counts where the user's or the machine's settings have ``security.folderTrust.enabled``. The
answers are in ``QWEN_HOME/trustedFolders.json``, which both programs read and write::

    {"/home/me/app": "TRUST_FOLDER", "/home/me/src/app": "TRUST_PARENT", "/tmp": "DO_NOT_TRUST"}
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from qwen_code.base.errors import ConfigError
from qwen_code.base.files import process_lock, read_bounded, write_atomic
from qwen_code.config import jsonc
from qwen_code.config.paths import CONFIG_FILE_LIMIT_BYTES, Paths

_LOCK_TIMEOUT_S = 5.0
_TRUSTED = {"TRUST_FOLDER": False, "TRUST_PARENT": True}
"""What trusts, and whether it is the folder above that is trusted."""

_UNTRUSTED = "DO_NOT_TRUST"


def is_folder_trusted(paths: Paths) -> bool | None:
    """What the user answered for the current folder, or the nearest one above it; ``None``: they
    were not asked yet.

    Raises:
        ConfigError: the file is broken. Its content is unknown, so nothing is trusted.
    """
    return decide(_read(paths.folder_trust_file), paths.cwd)


def decide(answers: Mapping[str, Any], folder: Path) -> bool | None:
    """The answer for the deepest folder around ``folder``. Of two for one, the one against it."""
    best, found = -1, None
    for path, depth, trusts in _rules(answers):
        is_around = any(each.is_relative_to(path) for each in _spellings(folder))
        if is_around and (depth > best or (depth == best and not trusts)):
            best, found = depth, trusts
    return found


def save_answer(paths: Paths, *, trusts: bool) -> None:
    """Remember the answer for the current folder.

    Raises:
        ConfigError: the file is broken or cannot be written.
    """
    file = paths.folder_trust_file
    with process_lock(file.with_name(f"{file.name}.qwen_code.lock"), timeout_s=_LOCK_TIMEOUT_S):
        data = read_bounded(file, CONFIG_FILE_LIMIT_BYTES) if file.exists() else b"{}"
        answer = "TRUST_FOLDER" if trusts else _UNTRUSTED
        try:
            data = jsonc.set_value(data, [os.path.realpath(paths.cwd)], answer)
        except jsonc.JsoncError as error:
            raise _broken(file, error.message) from error
        write_atomic(file, data)


def _rules(answers: Mapping[str, Any]) -> Iterator[tuple[Path, int, bool]]:
    """Folders, how deep they are, and whether they are trusted. Unknown answers do not count."""
    for text, level in answers.items():
        if level not in (*_TRUSTED, _UNTRUSTED):
            continue
        for path in _spellings(Path(text)):
            found = path.parent if _TRUSTED.get(level) else path
            yield found, len(found.parts), level in _TRUSTED


def _spellings(path: Path) -> set[Path]:
    return {Path(os.path.normpath(path)), Path(os.path.realpath(path))}


def _read(file: Path) -> Mapping[str, Any]:
    try:
        data = read_bounded(file, CONFIG_FILE_LIMIT_BYTES)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise _broken(file, error.strerror or str(error)) from error
    try:
        return jsonc.loads(data)
    except jsonc.JsoncError as error:
        raise _broken(file, error.message) from error


def _broken(file: Path, problem: str) -> ConfigError:
    return ConfigError(
        f"{file} cannot be read: {problem}",
        hint="It says which folders you trust: fix it, or move it away and answer again.",
    )
