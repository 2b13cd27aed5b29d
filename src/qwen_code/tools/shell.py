"""``run_shell_command``: runs a command in a new process group, and always ends the group."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

import msgspec

from qwen_code.base.files import make_private_dir
from qwen_code.base.stop import Stop
from qwen_code.tools import catalogue
from qwen_code.tools.base import BuiltInTool, Preview, Result
from qwen_code.tools.command_output import CapturedOutput, log_output
from qwen_code.tools.context import ToolContext
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.masks import refuse_masks
from qwen_code.tools.workspace import HeldPlaces, Place, Workspace, path_of

if TYPE_CHECKING:
    from qwen_code.tools.sandbox import Sandbox

_TIMEOUT_S = 120
_MAX_TIMEOUT_S = 3600
_GRACE_S = 2.0
_STOP_GRACE_S = 0.1
"""How long a command may take to exit after the user has stopped the turn."""

_STOPPED = "The user stopped the command."
_POLL_S = 0.05


_FORBIDDEN_THERE = (
    *("Read-only file system", "Network is unreachable", "Temporary failure in name resolution"),
    *("Could not resolve", "EAI_AGAIN", "ENETUNREACH", "EROFS", "Operation not permitted"),
)
"""What programs say when the sandbox forbids something."""


class ShellArguments(msgspec.Struct):
    command: str
    directory: str = "."
    timeout_s: Annotated[int, msgspec.Meta(ge=1, le=_MAX_TIMEOUT_S)] = _TIMEOUT_S
    background: bool = False


class RunShellCommand(BuiltInTool[ShellArguments]):
    """Runs a command and captures its output. Its environment has none of our credentials."""

    definition = catalogue.RUN_SHELL_COMMAND
    arguments = ShellArguments

    def __init__(
        self,
        workspace: Workspace,
        environ: Mapping[str, str],
        output_dir: Path,
        sandbox: Sandbox | None = None,
    ) -> None:
        self._workspace = workspace
        self._places = HeldPlaces(workspace)
        self._environ = {**environ, "GIT_PAGER": "cat", "PAGER": "cat", "GIT_TERMINAL_PROMPT": "0"}
        self._output_dir = output_dir
        self._sandbox = sandbox
        self._background: list[subprocess.Popen[bytes]] = []
        self._logs: list[threading.Thread] = []
        self._waited_for: set[subprocess.Popen[bytes]] = set()
        self._is_closed = False

    @classmethod
    def create(cls, context: ToolContext) -> Self:
        output_dir = context.project_dir / "output"
        made = cls(context.workspace, context.environ, output_dir, context.sandbox)
        context.on_close(made.close)
        return made

    def directory(self, arguments: ShellArguments) -> str:
        shown = self._places.shown(arguments, arguments.directory or ".")
        return "" if shown == "." else shown

    def title(self, arguments: ShellArguments) -> str:
        where = "" if arguments.directory in ("", ".") else f" (in {arguments.directory})"
        return f"{arguments.command}{where}"

    def subject(self, arguments: ShellArguments) -> str:
        return arguments.command

    def preview(self, arguments: ShellArguments) -> Preview:
        refuse_masks(arguments.command)
        facts = [f"in {self._places.of(arguments, arguments.directory or '.').path}"]
        if arguments.background:
            facts.append("in the background, until the session ends")
        if self._sandbox is not None:
            facts.append("in the sandbox")
        return Preview(arguments.command, facts=tuple(facts))

    def run(self, arguments: ShellArguments, show: Callable[[str], None], stop: Stop) -> Result:
        refuse_masks(arguments.command)
        directory = self._places.of(arguments, arguments.directory or ".")
        if arguments.background:
            return self._leave_running(arguments.command, directory)
        process = self._start(arguments.command, directory)
        self._waited_for.add(process)
        if self._is_closed:
            _signal(process, signal.SIGKILL)
        output = CapturedOutput(self._output_dir, show)
        started = time.monotonic()
        try:
            ended = _read(process, output, started + arguments.timeout_s, stop)
        finally:
            _end([process], _STOP_GRACE_S if stop.is_set else _GRACE_S)
            self._waited_for.discard(process)
            output.close()
        if stop.is_set and not ended:
            printed = f" Its output until then:\n{output.text}" if output.text else ""
            why = f"The command was stopped: {stop.reason.message}." if stop.reason else _STOPPED
            raise ToolFailed(f"{why}{printed}")
        if not ended:
            raise ToolFailed(f"the command timed out after {arguments.timeout_s} s.\n{output.text}")
        code = process.returncode
        text = (output.text or "(no output)") + self._said_by_sandbox(output.text)
        if code:
            text += f"\n[exit code {code}]" if code > 0 else f"\n[ended by signal {-code}]"
        return Result(text, f"exit code {code}, {time.monotonic() - started:.1f} s")

    def _said_by_sandbox(self, output: str) -> str:
        """What the sandbox adds to the output of a command."""
        if self._sandbox is None:
            return ""
        removed = self._sandbox.settle()
        text = f"\n[the sandbox has removed {', '.join(removed)}]" if removed else ""
        if any(words in output for words in _FORBIDDEN_THERE):
            text += f"\n[{self._sandbox.told}]"
        return text

    def close(self) -> None:
        """End background commands, and commands that a stopped turn no longer waits for."""
        self._is_closed = True  # seen by a call that is just starting
        for process in [*self._waited_for]:
            _signal(process, signal.SIGKILL)  # SIGTERM was sent before
        _end(self._background, _GRACE_S)
        for log in self._logs:
            log.join(_STOP_GRACE_S)
        self._background.clear()
        if self._sandbox is not None:
            self._sandbox.settle()

    def _leave_running(self, command: str, directory: Place) -> Result:
        make_private_dir(self._output_dir)
        path = self._output_dir / f"background-{os.urandom(4).hex()}.log"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            process = self._start(command, directory)
        except ToolFailed:
            os.close(descriptor)
            raise
        source, process.stdout = process.stdout, None  # the thread closes it
        log = threading.Thread(target=log_output, args=(source, descriptor), daemon=True)
        log.start()
        self._logs.append(log)
        self._background.append(process)
        text = f"It runs as process {process.pid}; its output goes to {path}."
        return Result(text, f"process {process.pid}")

    def _start(self, command: str, directory: Place) -> subprocess.Popen[bytes]:
        argv = ["bash", "-c", command]
        try:
            with self._workspace.entered(directory) as descriptor:
                return subprocess.Popen(
                    self._sandbox.wrap(argv, directory.path) if self._sandbox else argv,
                    cwd=path_of(descriptor, directory),
                    env=self._environ,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as error:
            raise ToolFailed(f"the command could not be started: {error.strerror}") from error


def _read(
    process: subprocess.Popen[bytes], output: CapturedOutput, deadline: float, stop: Stop
) -> bool:
    """Read until the command exits; ``False`` if the deadline or the stop came first.

    The exit of the command counts, not the end of its output: a child process may keep that open.
    """
    assert process.stdout is not None
    descriptor = process.stdout.fileno()
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while time.monotonic() < deadline and not stop.is_set:
            if selector.select(_POLL_S):
                if not (data := os.read(descriptor, 65536)):
                    process.wait()
                    return True
                output.take(data)
            elif process.poll() is not None:
                return True
        if selector.select(0):  # the rest of the output: a pipe holds no more than this
            output.take(os.read(descriptor, 65536))
    return False


def _end(processes: Sequence[subprocess.Popen[bytes]], grace_s: float) -> None:
    """End the process group of each: SIGTERM first, and SIGKILL after ``grace_s``."""
    left = [process for process in processes if _signal(process, signal.SIGTERM)]
    deadline = time.monotonic() + grace_s
    while (left := [process for process in left if _is_there(process)]) and (
        time.monotonic() < deadline
    ):
        time.sleep(0.02)
    for process in left:
        _signal(process, signal.SIGKILL)
    for process in processes:
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _signal(process: subprocess.Popen[bytes], number: int) -> bool:
    """Signal the process group; whether it still had a process."""
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _is_there(process: subprocess.Popen[bytes]) -> bool:
    process.poll()  # reaps it
    try:
        os.killpg(process.pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
