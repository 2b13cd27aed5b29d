"""Starts commands with bash: however long they are, however large the environment is."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING

from qwen_code.base.process import COMMAND_MARK
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.processes import CommandGroup, Guard
from qwen_code.tools.workspace import Place, Workspace, path_of

if TYPE_CHECKING:
    from qwen_code.tools.sandbox import Sandbox

_MAX_ARGUMENT_BYTES = 100_000
"""Linux takes 128 KiB (``MAX_ARG_STRLEN``) for one argument, and a container's engine puts more
around it."""

_FROM_INPUT = 'eval "$(cat)" </dev/null'
"""``bash -c`` that runs what it reads. As bash's own ``-c`` does, ``eval`` counts lines from 1 and
runs them as they are parsed; `$0` and the options are those of ``-c``, and the commands have no
input."""

_OWN = {"GIT_PAGER": "cat", "PAGER": "cat", "GIT_TERMINAL_PROMPT": "0"}
_KEPT = ("PATH", "HOME")
_MIN_ENVIRON_BYTES = 32_768
_MAX_NAMED = 5


class Launcher:
    """Starts the commands of a session. Close it when all of them have ended.

    ``environ`` has none of our credentials.
    """

    def __init__(
        self, workspace: Workspace, environ: Mapping[str, str], sandbox: Sandbox | None = None
    ) -> None:
        self.sandbox = sandbox
        self.guard = Guard(environ)
        self._workspace = workspace
        self._environ = {**environ, **_OWN}
        self.left_out: list[str] = []
        """The variables that commands do not get because the environment is too large."""

    def start(self, command: str, directory: Place) -> CommandGroup:
        """Start a command as the leader of a session, with no input and both outputs in one pipe.

        Raises:
            ToolFailed: it cannot be started; the message says why.
        """
        check_command(command)
        mark = os.urandom(8).hex()
        self.guard.start()
        self.guard.expect(mark)
        try:
            process = self._started(command, directory, mark)
        except OSError as error:
            raise ToolFailed(self._why(error, directory)) from error
        self.guard.add(process.pid, mark)
        return CommandGroup(process, mark)

    def release(self, group: CommandGroup) -> int:
        """Take note of the end of a command; its exit code."""
        self.guard.remove(group.pid)
        return group.reap()

    def close(self) -> None:
        self.guard.close()
        if self.sandbox is not None:
            self.sandbox.settle()

    @property
    def note(self) -> str:
        """What the model is told about the environment, after a newline; mostly nothing."""
        if not self.left_out:
            return ""
        names = ", ".join(self.left_out[:_MAX_NAMED])
        more = f" and {len(self.left_out) - _MAX_NAMED} more" * (len(self.left_out) > _MAX_NAMED)
        return f"\n[the environment is too large; commands run without {names}{more}]"

    def _started(self, command: str, directory: Place, mark: str) -> subprocess.Popen[bytes]:
        if len(os.fsencode(command)) <= _MAX_ARGUMENT_BYTES:
            try:
                return self._open(["bash", "-c", command], None, directory, mark)
            except OSError as error:
                if error.errno != errno.E2BIG:
                    raise
        with _file_of(command) as file:
            while True:
                try:
                    return self._open(["bash", "-c", _FROM_INPUT, "bash"], file, directory, mark)
                except OSError as error:
                    if error.errno != errno.E2BIG or not self._shrink():
                        raise

    def _open(
        self, argv: list[str], file: IO[bytes] | None, directory: Place, mark: str
    ) -> subprocess.Popen[bytes]:
        with self._workspace.entered(directory) as descriptor:
            return subprocess.Popen(
                self.sandbox.wrap(argv, directory.path) if self.sandbox else argv,
                cwd=path_of(descriptor, directory),
                env={**self._environ, COMMAND_MARK: mark},
                stdin=subprocess.DEVNULL if file is None else file,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _shrink(self) -> bool:
        """Leave the largest half of the environment out; ``False``: it is small already."""
        sizes = {name: len(name) + len(os.fsencode(text)) for name, text in self._environ.items()}
        allowed = sum(sizes.values()) // 2
        if allowed < _MIN_ENVIRON_BYTES:
            return False
        kept = {name: self._environ[name] for name in _KEPT if name in self._environ}
        for name in sorted(sizes, key=sizes.__getitem__):
            allowed -= sizes[name]
            if allowed > 0:
                kept[name] = self._environ[name]
        self.left_out += [name for name in self._environ if name not in kept]
        self._environ = kept
        return True

    def _why(self, error: OSError, directory: Place) -> str:
        if not Path(directory.path).is_dir():
            return f"the directory {directory.path} does not exist any more"
        if shutil.which("bash", path=self._environ.get("PATH", os.defpath)) is None:
            return (
                "commands need bash, and there is none in the directories of PATH. The user can "
                "install it, or correct PATH."
            )
        return f"the command could not be started: {error.strerror}"


def check_command(command: str) -> None:
    """
    Raises:
        ToolFailed: no program can be given this text.
    """
    if "\0" in command:
        raise ToolFailed("the command contains a NUL character, which no program can be given")


def _file_of(command: str) -> IO[bytes]:
    """A file without a name that holds the command, at its beginning."""
    if sys.platform == "linux":  # it takes no room on a disk
        file: IO[bytes] = os.fdopen(os.memfd_create("command"), "w+b")
    else:
        file = TemporaryFile()  # noqa: SIM115 the caller closes it
    file.write(os.fsencode(command))
    file.seek(0)
    return file
