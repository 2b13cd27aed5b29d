"""Background commands: they run beside the conversation, until they end or the session does.

Each has a thread that starts it, reads it and ends it: a sandbox ends with the thread that has
started it, and so only one thread ever signals its processes.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Literal

import msgspec

from qwen_code.base.secret import redact
from qwen_code.base.stop import POLL_S, Stop
from qwen_code.tools.command_output import Ends, MaskedText, OutputFile, encoding_note
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.launcher import Launcher
from qwen_code.tools.processes import CommandGroup, OutputReader, exit_in_words
from qwen_code.tools.workspace import Place

_GRACE_S = 2.0
_READ_S = 0.1
_LOOK_S = 0.5
"""How often it is looked for what a command has started, once it has ended itself."""

_MAX_RUNNING = 20
_MAX_LINE_LENGTH = 200

State = Literal["running", "ended", "kept"]


class Task(msgspec.Struct, frozen=True):
    """A background command as of now, for a person. ``ran_s`` is in seconds."""

    id: str
    command: str
    pid: int
    state: State
    ran_s: float
    ending: str = ""
    """How it ended: ``exit code 1``."""
    last_line: str = ""
    log: Path | None = None


class BackgroundCommand:
    """One background command. Its methods can be called from any thread."""

    def __init__(
        self, task_id: str, command: str, launcher: Launcher, place: Place, log: OutputFile
    ) -> None:
        self.id = task_id
        self.command = command
        self.pid = 0
        self.is_kept = False
        self.is_news = False
        """Whether it has ended, and the model was not told."""
        self.is_news_for_user = False
        self._launcher = launcher
        self._log = log
        self._text = MaskedText()
        self._unread = Ends()
        self._last_line = ""
        self._code: int | None = None
        self._failure: BaseException | None = None
        self._began = self._ended = time.monotonic()
        self._changed = threading.Condition()
        self._is_stopping = False
        self._relay: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._run, args=(place,), daemon=True)

    def begin(self) -> None:
        """Start it.

        Raises:
            ToolFailed: it cannot be started.
        """
        self._thread.start()
        with self._changed:
            self._changed.wait_for(lambda: self.pid or self._failure)
        if self._failure is not None:
            raise self._failure

    @property
    def has_ended(self) -> bool:
        return self._code is not None

    @property
    def ending(self) -> str:
        """How it ended, in words."""
        return "" if self._code is None else exit_in_words(self._code)

    @property
    def ran_s(self) -> float:
        """How long it has been running, in seconds, or ran."""
        return (self._ended if self.has_ended else time.monotonic()) - self._began

    def wait(self, timeout_s: float, stop: Stop, *, for_output: bool) -> bool:
        """Wait until it has ended, or until there is new output; ``False`` after ``timeout_s``.

        Raises:
            Stopped: the turn should end.
        """
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not self.has_ended and not (for_output and self._unread.length):
                stop.check()
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    return False
                self._changed.wait(min(left_s, POLL_S))
        return True

    def news(self) -> str:
        """What it has printed since the last call, and how it is, as the result of a call."""
        with self._changed:
            unread, self._unread = self._unread, Ends()
            self.is_news = self.is_news_for_user = False
            text = unread.text(self._log.where) + encoding_note(self._text.encoding)
        return f"{text or '(nothing new)'}\n[{self._state_in_words()}]"

    def ask_to_stop(self) -> None:
        """Begin to end it."""
        self._is_stopping = True

    def stop(self) -> None:
        """End it with everything that it has started, and wait for that."""
        self.ask_to_stop()
        self._thread.join(2 * _GRACE_S)
        self.is_news_for_user = False

    def keep(self) -> Path:
        """Let it go on when the session ends; returns where its output goes. From then on, the end
        of this process at any moment costs it nothing.

        Raises:
            ToolFailed: it cannot go on without this process.
        """
        if self.has_ended:
            raise ToolFailed(f"{self.id} has ended: {self.ending}")
        if self._launcher.sandbox is not None:
            raise ToolFailed(f"{self.id} runs in the sandbox, which ends with this session")
        if self._log.path is None or not self._log.is_open:
            raise ToolFailed(f"{self.id} cannot be kept: {self._log.where}")
        path = self._log.path
        with self._changed:
            self.is_kept = True
            self._changed.wait_for(lambda: self._relay or self.has_ended or not self.is_kept)
        if self.has_ended:
            raise ToolFailed(f"{self.id} has ended: {self.ending}")
        if not self.is_kept:
            raise ToolFailed(f"{self.id} cannot be kept: no process can be started for its output")
        return path

    def as_task(self) -> Task:
        state: State = "ended" if self.has_ended else "kept" if self.is_kept else "running"
        line = self._last_line
        return Task(
            self.id, self.command, self.pid, state, self.ran_s, self.ending, line, self._log.path
        )

    def _state_in_words(self) -> str:
        if self.has_ended:
            return f"{self.id} has ended: {self.ending}"
        return f"{self.id} has been running for {self.ran_s:.1f} s"

    # -- its thread -------------------------------------------------------------------------------

    def _run(self, place: Place) -> None:
        try:
            group = self._launcher.start(self.command, place)
        except BaseException as error:  # noqa: BLE001 raised where it was asked for
            with self._changed:
                self._failure = error
                self._changed.notify_all()
            return
        with self._changed:
            self.pid = group.pid
            self._began = time.monotonic()
            self._changed.notify_all()
        with group.output:
            self._follow(group)
        if self._relay is not None:
            with suppress(subprocess.TimeoutExpired):
                self._relay.wait(_GRACE_S)
        code = self._launcher.release(group)
        with self._changed:
            self._add(self._text.flush())
            self._log.close()
            self._ended = time.monotonic()
            self._code = code
            self.is_news = self.is_news_for_user = True
            self._changed.notify_all()

    def _follow(self, group: CommandGroup) -> None:
        """Read it until it has ended. It has not while something runs that it has started."""
        reader = OutputReader(group.output, self._take)
        look_at = 0.0
        while True:
            reader.read(_READ_S)
            if self._is_stopping:
                group.end(_GRACE_S, reader.read)
                break
            if group.has_ended and time.monotonic() >= look_at:
                if not group.members():
                    break
                look_at = time.monotonic() + _LOOK_S
            if self.is_kept and self._relay is None:
                handed_over = self._hand_over(group)
                if handed_over is not None:
                    reader.close()
                    reader = handed_over
        reader.drain()
        reader.close()

    def _hand_over(self, group: CommandGroup) -> OutputReader | None:
        """Let another process write the log, which outlives this one; this one reads the log.
        ``None`` if that is not possible: then it is not kept."""
        path = self._log.path
        assert path is not None
        with self._changed:
            self._add(self._text.flush())  # a line that has no end yet
        try:
            relay, followed = _relay(group.output, path)
        except OSError:
            with self._changed:
                self.is_kept = False
                self._changed.notify_all()
            return None
        self._launcher.guard.remove(group.pid)
        self._log.close()
        with self._changed:
            self._relay = relay
            self._changed.notify_all()
        return _LogReader(followed, self._take)

    def _take(self, data: bytes) -> None:
        with self._changed:
            self._add(self._text.feed(data))

    def _add(self, text: str) -> None:
        if not text:
            return
        self._log.write(text)
        self._unread.add(text)
        lines = text.split("\n")
        last = next((line for line in reversed(lines) if line.strip()), self._last_line)
        self._last_line = redact(last)[:_MAX_LINE_LENGTH]
        self._changed.notify_all()


def _relay(output: IO[bytes], path: Path) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
    """A process that appends ``output`` to the file, and the file from where that begins.

    Raises:
        OSError: it cannot be started.
    """
    followed = path.open("rb", buffering=0)
    try:
        followed.seek(0, os.SEEK_END)  # the process writes as soon as it is there
        with path.open("ab") as log:
            relay = subprocess.Popen(
                ["cat"],
                env={"PATH": os.defpath},
                stdin=output,
                stdout=log,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
    except OSError:
        followed.close()
        raise
    return relay, followed


class _LogReader(OutputReader):
    """Reads what another process appends to a file."""

    def __init__(self, source: IO[bytes], take: Callable[[bytes], object]) -> None:
        self._source = source
        self._take = take

    def read(self, timeout_s: float) -> None:
        self.drain()
        time.sleep(timeout_s)

    def drain(self) -> None:
        while data := self._source.read(65_536):
            self._take(data)

    def close(self) -> None:
        self._source.close()


class BackgroundCommands:
    """The background commands of a session, by id. ``directory`` is for their logs."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._commands: dict[str, BackgroundCommand] = {}

    def start(self, command: str, launcher: Launcher, place: Place) -> BackgroundCommand:
        """Start a command.

        Raises:
            ToolFailed: it cannot be started, or too many are running.
        """
        running = [each for each in self._commands.values() if not each.has_ended]
        if len(running) >= _MAX_RUNNING:
            names = ", ".join(each.id for each in running)
            raise ToolFailed(f"{_MAX_RUNNING} background commands are running: {names}. Stop some.")
        task_id = f"shell_{len(self._commands) + 1}"
        log = OutputFile(self._directory, "background")
        log.open()
        made = BackgroundCommand(task_id, command, launcher, place, log)
        try:
            made.begin()
        except ToolFailed:
            log.discard()
            raise
        self._commands[task_id] = made
        return made

    def find(self, task_id: str) -> BackgroundCommand:
        """
        Raises:
            ToolFailed: there is none with that id in this session.
        """
        if task_id in self._commands:
            return self._commands[task_id]
        known = ", ".join(self._commands) or "none"
        raise ToolFailed(
            f"there is no background command {task_id!r}; those of this session: {known}. "
            "The ones of an earlier session ended with it."
        )

    def tasks(self) -> list[Task]:
        """All of them, oldest first."""
        return [each.as_task() for each in self._commands.values()]

    def take_news(self) -> list[Task]:
        """Those that have ended without the model knowing. It is told of each once."""
        ended = [each for each in self._commands.values() if each.is_news]
        for each in ended:
            each.is_news = False
        return [each.as_task() for each in ended]

    def take_news_for_user(self) -> list[Task]:
        """Those that have ended without the user knowing. They are told of each once."""
        ended = [each for each in self._commands.values() if each.is_news_for_user]
        for each in ended:
            each.is_news_for_user = False
        return [each.as_task() for each in ended]

    def close(self) -> list[Task]:
        """End those that are not kept; returns what was running."""
        running = [each for each in self._commands.values() if not each.has_ended]
        tasks = [each.as_task() for each in running]
        for each in running:
            if not each.is_kept:
                each.ask_to_stop()
        for each in running:
            if not each.is_kept:
                each.stop()
        self._commands.clear()
        return tasks
