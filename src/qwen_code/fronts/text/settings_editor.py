"""``qwen config edit``: a settings file in the person's editor. The file itself is replaced only by
one that can be used, and only if no one else has changed it meanwhile."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path

from qwen_code.base.errors import ConfigError, QwenError
from qwen_code.base.files import process_lock, read_bounded, write_atomic
from qwen_code.config import env_names, jsonc, schema
from qwen_code.config.paths import CONFIG_FILE_LIMIT_BYTES
from qwen_code.config.providers import KEY_NAMES
from qwen_code.config.settings import broken
from qwen_code.fronts.console import notice, report, say

_LOCK_TIMEOUT_S = 10.0
_EMPTY = b"{\n}\n"


def edit_settings(
    file: Path,
    environ: Mapping[str, str],
    *,
    lock: Path,
    mode: int,
    ask: Callable[[], bool] | None = None,
) -> None:
    """Edit a copy of ``file``, check it, and put it in place. ``ask``: whether to edit once more.

    Raises:
        ConfigError: there is no editor, what was saved cannot be used, or the file was changed
            meanwhile; then the copy is kept, and named.
    """
    command = editor(environ)
    before = _content(file)
    copy = _free_name(file)
    write_atomic(copy, before or _EMPTY, mode=mode)
    while True:
        _run(command, copy, before or _EMPTY, environ)
        after = read_bounded(copy, CONFIG_FILE_LIMIT_BYTES)
        if after == (before or _EMPTY):
            copy.unlink()
            say("Nothing was changed.")
            return
        try:
            _check(copy, after)
        except QwenError as error:
            if not (ask or _asks_again)():
                error.hint = f"{file} is as it was. What you wrote is in {copy}"
                raise
            report(error)
            continue
        break
    _replace(file, before, after, copy, lock, mode)
    say(f"Saved {file}")


def editor(environ: Mapping[str, str]) -> list[str]:
    """The command of the person's editor.

    Raises:
        ConfigError: none is named, and the usual ones are not installed.
    """
    for name in (env_names.VISUAL, env_names.EDITOR):
        if text := environ.get(name, "").strip():
            try:
                return shlex.split(text)
            except ValueError as error:
                raise ConfigError(f"{name} is not a command: {error}", hint="Fix it.") from error
    for name in ("nano", "vi", "notepad"):
        if found := shutil.which(name, path=environ.get("PATH")):
            return [found]
    raise ConfigError("no editor was found", hint="Name yours: export EDITOR=…")


def _free_name(file: Path) -> Path:
    """A name beside ``file`` for the copy; earlier copies that could not be used are kept."""
    names = (f"{file.stem}.edited{number or ''}{file.suffix}" for number in count())
    return next(path for name in names if not os.path.lexists(path := file.with_name(name)))


def _run(command: list[str], copy: Path, before: bytes, environ: Mapping[str, str]) -> None:
    own = {name: text for name, text in environ.items() if name.upper() not in KEY_NAMES}
    try:
        code = subprocess.run([*command, str(copy)], env=own, check=False).returncode
    except OSError as error:
        copy.unlink(missing_ok=True)
        raise ConfigError(
            f"{command[0]} cannot be started: {error.strerror or error}",
            hint="Name your editor: export EDITOR=…",
        ) from error
    if code and read_bounded(copy, CONFIG_FILE_LIMIT_BYTES) == before:
        copy.unlink()
        raise ConfigError(f"{command[0]} ended with {code}, so nothing was changed")
    if code:
        raise ConfigError(
            f"{command[0]} ended with {code}, so nothing was changed",
            hint=f"What it left is in {copy}",
        )


def _check(file: Path, data: bytes) -> None:
    """
    Raises:
        ConfigError: a run with ``data`` as its settings would not start.
    """
    try:
        tree = jsonc.loads(data)
    except jsonc.JsoncError as error:
        raise broken(file, error) from error
    for problem in schema.problems(tree):
        name = ".".join(problem.path)
        line = jsonc.locate(data, problem.path)
        if problem.is_fatal:
            raise ConfigError(f"{file}:{line}: {name} must be {problem.words}")
        notice(f"line {line}: {name} must be {problem.words}")


def _replace(file: Path, before: bytes, after: bytes, copy: Path, lock: Path, mode: int) -> None:
    with process_lock(lock, timeout_s=_LOCK_TIMEOUT_S):
        if _content(file) != before:
            raise ConfigError(
                f"{file} was changed by another program meanwhile, so it was left as it is",
                hint=f"What you wrote is in {copy}",
            )
        write_atomic(file, after, mode=mode)
    copy.unlink(missing_ok=True)


def _content(file: Path) -> bytes:
    try:
        return read_bounded(file, CONFIG_FILE_LIMIT_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return b""
    except OSError as error:
        raise ConfigError(
            f"cannot read {file}: {error.strerror or error}", hint="Fix its permissions."
        ) from error


def _asks_again() -> bool:
    if not sys.stdin.isatty():
        return False
    return input("That cannot be used. Edit it again? [Y/n] ").strip().lower() in ("", "y", "yes")
