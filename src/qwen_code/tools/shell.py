"""``run_shell_command``: runs a command until its own end, and ends what it leaves running."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

import msgspec

from qwen_code.base.stop import Stop
from qwen_code.tools import catalogue
from qwen_code.tools.background import BackgroundCommands
from qwen_code.tools.base import BuiltInTool, Preview, Result
from qwen_code.tools.command_output import CapturedOutput
from qwen_code.tools.context import ToolContext
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.launcher import Launcher, check_command
from qwen_code.tools.masks import refuse_masks
from qwen_code.tools.processes import CommandGroup, Member, OutputReader, exit_in_words, named
from qwen_code.tools.workspace import HeldPlaces, Place, Workspace

if TYPE_CHECKING:
    from qwen_code.tools.sandbox import Sandbox

_TIMEOUT_S = 120
_MAX_TIMEOUT_S = 3600
_GRACE_S = 2.0
_STOP_GRACE_S = 0.1
"""How long a command may take to exit after the user has stopped the turn."""

_REST_S = 0.5
"""How long what a command leaves running may take to end by itself: ``exec > >(tee log)``."""

_FIRST_OUTPUT_S = 2.0
"""How long the first output of a background command is waited for."""

_FIRST_END_S = 1.0
"""How long its end is waited for after that: a server that fails says why and ends."""

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
        background: BackgroundCommands | None = None,
        timeout_s: float = _TIMEOUT_S,
    ) -> None:
        self._timeout_s = timeout_s
        self._places = HeldPlaces(workspace)
        self._launcher = Launcher(workspace, environ, sandbox)
        self._output_dir = output_dir
        self._sandbox = sandbox
        self._background = background or BackgroundCommands(output_dir)
        self._waited_for: set[CommandGroup] = set()
        self._is_closed = False

    @classmethod
    def create(cls, context: ToolContext) -> Self:
        made = cls(
            context.workspace,
            context.environ,
            context.output_dir,
            context.sandbox,
            context.background,
            _TIMEOUT_S if context.command_timeout_s is None else context.command_timeout_s,
        )
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
        check_command(arguments.command)
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
            return self._leave_running(arguments.command, directory, stop)
        group = self._launcher.start(arguments.command, directory)
        self._waited_for.add(group)
        output = CapturedOutput(self._output_dir, show)
        is_usual = arguments.timeout_s == _TIMEOUT_S  # then what the user's settings say counts
        timeout_s = self._timeout_s if is_usual else arguments.timeout_s
        started = time.monotonic()
        try:
            if self._is_closed:
                group.end(0.0)
            with group.output:
                has_ended, left = _follow(group, output, started + timeout_s, stop)
        except BaseException:
            group.end(_STOP_GRACE_S)
            raise
        finally:
            code = self._launcher.release(group)
            self._waited_for.discard(group)
            output.close()
        if not has_ended:
            raise ToolFailed(_not_ended(timeout_s, output.text, left, stop))
        text = (output.text or "(no output)") + self._said_by_sandbox(output.text)
        text += f"\n[{exit_in_words(code)}]" if code else ""
        if left:
            text += f"\n[ended {named(left)}, which the command left running; use background: true]"
        text += self._launcher.note
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
        for group in [*self._waited_for]:
            group.end(0.0)  # SIGTERM was sent before
        self._background.close()
        self._launcher.close()

    def _leave_running(self, command: str, directory: Place, stop: Stop) -> Result:
        made = self._background.start(command, self._launcher, directory)
        if made.wait(_FIRST_OUTPUT_S, stop, for_output=True):
            made.wait(_FIRST_END_S, stop, for_output=False)
        summary = made.ending or f"{made.id}, process {made.pid}"
        return Result(f"{made.news()}{self._launcher.note}", summary)


def _follow(
    group: CommandGroup, output: CapturedOutput, deadline: float, stop: Stop
) -> tuple[bool, list[Member]]:
    """Read until the command exits, and end what it leaves running. ``False`` if the deadline
    or the stop came first. Also returns what was ended beside the command itself.

    The exit of the command counts, not the end of its output: a child process may keep that
    open.
    """
    reader = OutputReader(group.output, output.take)
    try:
        while not (has_ended := group.has_ended) and time.monotonic() < deadline:
            if stop.is_set:
                break
            reader.read(_POLL_S)
        reader.drain()
        rest = time.monotonic() + _REST_S
        while (left := group.members()) and has_ended and time.monotonic() < rest:
            reader.read(_POLL_S)
        if not has_ended:
            group.end(_STOP_GRACE_S if stop.is_set else _GRACE_S, reader.read)
        elif left:
            group.end(_GRACE_S)  # what it prints now is not the command's
            return has_ended, left
        reader.drain()
        return has_ended, left
    finally:
        reader.close()


def _not_ended(timeout_s: float, output: str, left: list[Member], stop: Stop) -> str:
    """What the model is told about a command that was ended."""
    if stop.is_set:
        printed = f" Its output until then:\n{output}" if output else ""
        why = f"The command was stopped: {stop.reason.message}." if stop.reason else _STOPPED
        return f"{why}{printed}"
    with_it = f", and ended with {named(left)}" if left else ""
    return f"the command timed out after {timeout_s:g} s{with_it}.\n{output}"
