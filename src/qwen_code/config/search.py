"""Which ``.env`` file counts: the first one that exists, and no other.

From the current directory upward to ``/``, in each directory ``.qwen/.env`` and then ``.env``;
after that the same two in the home directory. If ``QWEN_HOME`` is another directory, its ``.env``
comes before those of the home directory, whether home is reached on the way up or at the end.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from qwen_code.base.files import is_foreign, read_bounded
from qwen_code.config.paths import CONFIG_DIR, CONFIG_FILE_LIMIT_BYTES, Paths, owner_of

if TYPE_CHECKING:
    from qwen_code.config.dotenv import Pair, Problem

_NAME = ".env"


class EnvFile(msgspec.Struct, frozen=True):
    """The one ``.env`` file of this run.

    ``path`` is where it was found, ``folder`` the real path of the folder it belongs to (for a
    symlink, that of its target). ``is_home``: it is the user's own. ``is_qwen``: it is in a
    ``.qwen`` directory.
    """

    path: Path
    folder: Path
    is_home: bool
    is_qwen: bool
    pairs: tuple[Pair, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def project(self) -> Path | None:
        """The folder that the values belong to, or ``None`` if they are the user's own."""
        return None if self.is_home else self.folder

    def warnings(self) -> list[str]:
        """Each problem as one line for the user, with its place."""
        return [
            f"{self.path}{'' if p.line is None else f':{p.line}'}: {p.message}"
            for p in self.problems
        ]


def find_env_file(paths: Paths, *, of_project: bool = True) -> EnvFile | None:
    """The first ``.env`` file that exists, with its content or the problems found in it; only the
    user's own without ``of_project``."""
    for path in env_places(paths):
        if not of_project and not _is_own(path, paths):
            continue
        if is_env_file(path) and not _is_foreign(path, paths):
            return _read(path, paths)
    return None


def foreign_env_files(paths: Paths) -> list[Path]:
    """The files that would count but belong to another user, who must not choose an endpoint."""
    found = []
    for path in env_places(paths):
        if is_env_file(path):
            if not _is_foreign(path, paths):
                break
            found.append(path)
    return found


def _is_foreign(path: Path, paths: Paths) -> bool:
    return not _is_own(path, paths) and is_foreign(path, paths.sudo_uid)


def _is_own(path: Path, paths: Paths) -> bool:
    """Whether it is one of the user's files, wherever its link leads."""
    own = (paths.qwen_home / _NAME, paths.home / CONFIG_DIR / _NAME, paths.home / _NAME)
    return os.path.realpath(path) in {os.path.realpath(file) for file in own}


def unread_env_files(paths: Paths) -> list[Path]:
    """The files after the first one, which are not read."""
    return [path for path in dict.fromkeys(env_places(paths)) if is_env_file(path)][1:]


def is_env_file(path: Path) -> bool:
    """Whether there is something to read. A directory does not count: virtual environments are
    often called ``.env``."""
    return os.path.lexists(path) and not path.is_dir()


def env_places(paths: Paths) -> Iterator[Path]:
    """Every place where the file may be, in the order in which they are looked at."""
    home = os.path.realpath(paths.home)
    for folder in (paths.cwd, *paths.cwd.parents):
        if os.path.realpath(folder) == home:
            yield paths.qwen_home / _NAME
        yield folder / CONFIG_DIR / _NAME
        yield folder / _NAME
    yield paths.qwen_home / _NAME
    yield paths.home / CONFIG_DIR / _NAME
    yield paths.home / _NAME


def _read(path: Path, paths: Paths) -> EnvFile:
    from qwen_code.config.dotenv import Problem, parse  # many projects have no such file

    real = os.path.realpath(path)
    found = EnvFile(
        path,
        owner_of(path),
        is_home=_is_own(path, paths),
        is_qwen=path.parent.name == CONFIG_DIR,
    )
    try:
        parsed = parse(read_bounded(Path(real), CONFIG_FILE_LIMIT_BYTES))
    except OSError as error:
        problem = Problem(None, f"cannot be read: {_reason(path, error)}")
        return msgspec.structs.replace(found, problems=(problem,))
    return msgspec.structs.replace(found, pairs=parsed.pairs, problems=parsed.problems)


def _reason(path: Path, error: OSError) -> str:
    if path.is_symlink() and isinstance(error, FileNotFoundError):
        return "it is a symlink to nothing"
    return error.strerror or str(error)
