"""What stays closed to the model: credentials, what ignore files name, what rules forbid to read.

One object answers for every tool, for what commands name, and for what a sandbox hides.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qwen_code.base.files import read_bounded
from qwen_code.config.settings import folders_of_project
from qwen_code.tools.errors import ToolFailed

if TYPE_CHECKING:
    from qwen_code.base.gitignore import GitIgnore

IGNORE_FILES = (".qwenignore", ".agentignore", ".aiignore")
"""The user's lists of files that are closed, in the format of ``.gitignore``. Tools cannot change
them, and nothing that git or ripgrep reads opens again what they close."""

_CREDENTIALS = (".qwen", ".env")
"""The file for a project's keys. A plain ``.env`` belongs to the project and may be read."""

_FOR_PROGRAM = "another program takes part in the conversation through it"

_MAX_IGNORE_BYTES = 200_000
_MAX_LOOKED_AT = 200_000


class Closed:
    """``private`` directories hold credentials. ``forbidden`` gives the reason why rules forbid to
    read a path, or nothing. ``ignore_files`` count beside `IGNORE_FILES`. Through the files
    ``channels``, another program takes part in the conversation.

    What an ignore file closes when it is first read stays closed: a command that empties the file
    opens nothing before the next session.
    """

    def __init__(
        self,
        roots: Sequence[Path],
        private: Sequence[Path],
        forbidden: Callable[[Path], str] | None = None,
        ignore_files: Sequence[str] = (),
        channels: Sequence[Path] = (),
    ) -> None:
        self._channels = tuple(Path(os.path.realpath(file)) for file in channels)
        directories = tuple(Path(os.path.realpath(directory)) for directory in private)
        self.private = (*directories, *self._channels)
        self._forbidden = forbidden or _nothing
        self._folders = tuple(dict.fromkeys(f for root in roots for f in folders_of_project(root)))
        self._names = (*IGNORE_FILES, *ignore_files)
        self._specs: dict[tuple[Path, bytes], GitIgnore] = {}
        self._of_folder: dict[Path, Path] = {}
        self._stamps: dict[Path, tuple[int, int, int]] = {}
        self._problems: dict[Path, str] = {}
        self._look()

    def reason(self, real: Path, *, below: Path | None = None) -> str:
        """Why the real path ``real`` is closed; empty if it is open. ``below`` is a directory that
        is open, although it may be in a private one."""
        is_private = self.is_private(real) if below is None else self._is_private(real, below)
        if is_private or _holds_keys(real):
            is_channel = self._is_one_of(self._channels, [real])
            return _FOR_PROGRAM if is_channel else "it holds credentials"
        self._look()
        return self._ignored(real, is_directory=_is_directory(real)) or self._forbidden(real)

    def open_files(self, root: Path, names: Iterable[str]) -> list[str]:
        """Those files of ``names``, which are relative to ``root`` and lead through no link, that
        are open. Linear, and looks at each directory once."""
        self._look()
        is_private: dict[Path, bool] = {}
        found = []
        for name in names:
            real = root / name
            if (folder := real.parent) not in is_private:
                is_private[folder] = self.is_private(folder)
            if is_private[folder] or _holds_keys(real) or self._is_one_of(self._channels, [real]):
                continue
            if not self._ignored(real, is_directory=False) and not self._forbidden(real):
                found.append(name)
        return found

    def below(self, root: Path) -> Iterator[Path]:
        """What is closed below ``root``, files and directories, for a sandbox to hide. What git has
        stored of them is not looked for.

        Raises:
            ToolFailed: there are too many files to look at before each command.
        """
        self._look()
        if not self._specs and self._forbidden is _nothing:
            yield from (root.joinpath(*_CREDENTIALS), *root.glob("*/.qwen/.env"))
            yield from root.glob("*/*/.qwen/.env")
            return
        looked_at = 0
        for folder, folders, names in os.walk(root):
            looked_at += len(folders) + len(names)
            if looked_at > _MAX_LOOKED_AT:
                raise ToolFailed(
                    f"{root} has more than {_MAX_LOOKED_AT:,} files: the sandbox cannot find those "
                    "to hide; start qwen in a smaller directory, or without the sandbox"
                )
            folders[:] = [name for name in folders if name != ".git"]
            for name in [*folders, *names]:
                if self.reason(path := Path(folder, name)):
                    yield path
                    if name in folders:
                        folders.remove(name)

    def files(self) -> list[Path]:
        """The ignore files that there are."""
        self._look()
        return list(self._stamps)

    def decides(self, real: Path) -> bool:
        """Whether the file at ``real`` decides what is closed."""
        names = [name.casefold() for name in self._names]
        return real.name.casefold() in names or real in self._of_folder

    def is_private(self, real: Path) -> bool:
        """Whether ``real`` is private or inside of what is, however its name is spelled."""
        return self._is_one_of(self.private, [real, *real.parents])

    @staticmethod
    def _is_one_of(closed: Sequence[Path], paths: Iterable[Path]) -> bool:
        """Whether one of ``paths`` is one of ``closed``, however its name is spelled."""
        if not closed:
            return False
        identities = {found for each in closed if (found := _identity(each))}
        return any(path in closed or _identity(path) in identities for path in paths)

    def _is_private(self, real: Path, below: Path) -> bool:
        """Whether ``real`` is in a private directory that is ``below`` or in it."""
        inner = [each for each in (real, *real.parents) if each.is_relative_to(below)]
        return self._is_one_of(self.private, inner)

    def holds(self, real: Path) -> bool:
        """Whether ``real`` is closed, or has a private directory in it."""
        return any(each.is_relative_to(real) for each in self.private) or bool(self.reason(real))

    def _ignored(self, real: Path, *, is_directory: bool) -> str:
        for file, problem in self._problems.items():
            if real.is_relative_to(self._of_folder.get(file, file.parent)):
                return f"{file} cannot be read ({problem})"
        for (file, _), spec in self._specs.items():
            folder = self._of_folder.get(file, file.parent)
            if real != folder and real.is_relative_to(folder):
                name = real.relative_to(folder).as_posix()
                if spec.match(f"{name}/" if is_directory else name):
                    return f"{file.name} names it"
        return ""

    def _look(self) -> None:
        """Take up what ignore files say by now."""
        for folder in self._folders:
            for name in self._names:
                file = folder / name
                self._of_folder[file] = folder
                try:
                    found = file.stat()
                except FileNotFoundError:
                    if file.is_symlink():
                        self._problems[file] = "the link leads nowhere"
                    continue
                except OSError as error:
                    self._problems[file] = error.strerror or str(error)
                    continue
                stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
                if self._stamps.get(file) != stamp:
                    self._stamps[file] = stamp
                    self._take(file)

    def _take(self, file: Path) -> None:
        from qwen_code.base.gitignore import GitIgnore  # most projects have no such file

        try:
            data = read_bounded(file, _MAX_IGNORE_BYTES)
            spec = GitIgnore(data.decode("utf-8-sig").splitlines())
        except UnicodeDecodeError:
            self._problems[file] = "it is not UTF-8"
            return
        except OSError as error:
            self._problems[file] = error.strerror or str(error)
            return
        except ValueError as error:
            self._problems[file] = str(error)
            return
        if spec.patterns:
            self._specs[file, data] = spec


def _nothing(_: Path) -> str:
    return ""


def _holds_keys(real: Path) -> bool:
    return tuple(part.casefold() for part in real.parts[-2:]) == _CREDENTIALS


def _is_directory(real: Path) -> bool:
    try:
        return real.is_dir()
    except OSError:  # what it is in cannot be searched
        return False


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and inode, which do not depend on the spelling of a name."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
