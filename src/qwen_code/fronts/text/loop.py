"""The plain prompt loop for text terminals: it reads a prompt, answers it, and repeats."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

import msgspec

from qwen_code.base.errors import InputError, QwenError
from qwen_code.base.secret import redact
from qwen_code.base.stop import Stop, Stopped
from qwen_code.base.text import visible_text
from qwen_code.fronts.console import explain_unexpected, say_part
from qwen_code.fronts.signals import waking_for_signals
from qwen_code.wiring.slash_names import ALIASES, instead_of, instead_of_argument

ReadLine = Callable[[str], str]
Write = Callable[[str], None]

_BLOCK = '"""'
_CONTINUATION_SIGN = "... "
_MAX_HISTORY = 1000
_MAX_LINE_BYTES = 65_536
_MAX_DIGITS = 9
_TWICE_S = 3.0
"""Ctrl-C again within this time ends the loop."""
_POLL_S = 0.05


class SlashCommand(msgspec.Struct, frozen=True):
    """A slash command: a short summary, and the function that gets its argument."""

    summary: str
    run: Callable[[str], None]


class Submitted(Exception):
    """Another program has submitted a prompt, while a line was read."""


class PromptLoop:
    """Reads prompts and commands until the end, and passes them to ``answer`` and ``commands``, and
    what follows a ``!`` to ``run``.

    ``read_line`` raises ``EOFError`` at the end of input and ``KeyboardInterrupt`` on Ctrl-C; its
    argument is the result of ``sign``. ``read_first`` does the same for the first line of a prompt,
    and raises `Submitted` where ``submitted`` has a prompt of another program. That is only
    answered, and never a command of the terminal. ``now`` is the monotonic time in seconds.
    """

    def __init__(
        self,
        *,
        read_line: ReadLine,
        write: Write,
        answer: Callable[[str], None],
        run: Callable[[str], None],
        commands: Mapping[str, SlashCommand],
        report: Callable[[QwenError], None],
        sign: Callable[[], str] = lambda: "> ",
        read_first: ReadLine | None = None,
        submitted: Callable[[], str | None] = lambda: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read_line = read_line
        self._read_first = read_first or read_line
        self._submitted = submitted
        self._sign = sign
        self._now = now
        self._write = write
        self._answer = answer
        self._run = run
        self._commands = commands
        self._report = report

    def run(self, first: str = "") -> None:
        """Run until ``/quit``, Ctrl-D, or Ctrl-C twice in a row at the prompt. ``first`` is handled
        as if it had been typed."""
        if first.strip():
            self._write(f"{self._sign()}{first}\n")
            self._handle(first)
        interrupted_at = float("-inf")
        while True:
            try:
                if (submitted := self._submitted()) is not None:
                    self._write(f"{self._sign()}{visible_text(submitted)}\n")
                    self._guard(self._answer, submitted)
                    continue
                text = self._read_prompt()
            except Submitted:
                self._write("\n")
                continue
            except EOFError:
                self._write("\n")
                return
            except KeyboardInterrupt:
                if self._now() - interrupted_at <= _TWICE_S:
                    self._write("\n")
                    return
                interrupted_at = self._now()
                self._write("\n(To quit, press Ctrl-C again or Ctrl-D, or type /quit)\n")
                continue
            interrupted_at = float("-inf")
            if text.strip() in ("/quit", "/exit"):
                return
            if text.strip():
                self._handle(text)

    def _read_prompt(self) -> str:
        """One prompt. A backslash at the end continues it; three quotes begin and end a block."""
        line = self._read_first(self._sign())
        if line.strip().startswith(_BLOCK):
            lines = [line.strip().removeprefix(_BLOCK)]
            while not lines[-1].rstrip().endswith(_BLOCK):
                lines.append(self._read_more(_BLOCK))
            lines[-1] = lines[-1].rstrip().removesuffix(_BLOCK)
            return "\n".join(lines).strip("\n")
        lines = [line]
        while lines[-1].endswith("\\"):
            lines[-1] = lines[-1][:-1]
            lines.append(self._read_more(""))
        return "\n".join(lines)

    def _read_more(self, end: str) -> str:
        """The next line of a prompt. Ctrl-D ends only the prompt: then the line is ``end``."""
        try:
            return self._read_line(_CONTINUATION_SIGN)
        except EOFError:
            self._write("\n")
            return end

    def _handle(self, text: str) -> None:
        self._guard(self._carry_out, text)

    def _carry_out(self, text: str) -> None:
        name, *rest = text.strip().split(maxsplit=1)
        argument = rest[0] if rest else ""
        is_prompt = "\n" in text.strip() or not name.startswith("/") or "/" in name[1:]
        if text.startswith("!") and text.strip("! "):
            self._run(text[1:].strip())
        elif text.strip() == "!":
            self._write("Type a command after it: !COMMAND\n")
        elif text.strip() == "?" and (shown := self._commands.get("/help")):
            shown.run("")
        elif is_prompt:  # also texts and paths that begin with a slash
            self._answer(text)
        elif command := self._commands.get(name) or self._commands.get(ALIASES.get(name, "")):
            if instead := instead_of_argument(name, argument):
                self._write(f"There is no {name} {argument.split()[0]} here: {instead}.\n")
            else:
                command.run(argument)
        else:
            self._unknown(name, argument)

    def _guard(self, handle: Callable[[str], None], text: str) -> None:
        """Let ``handle`` have the text; whatever it raises, the loop goes on."""
        try:
            handle(text)
        except (KeyboardInterrupt, Stopped):
            self._write("\n(interrupted)\n")
        except EOFError:
            self._write("\n")
        except QwenError as error:
            self._report(error)
        except Exception as error:  # noqa: BLE001 the conversation goes on
            self._report(explain_unexpected(error))

    def _unknown(self, name: str, argument: str) -> None:
        if instead := instead_of(name, argument):
            self._write(f"There is no command {name} here: {instead}.\n")
            return
        from difflib import get_close_matches

        near = get_close_matches(name, self._commands, n=1)
        meant = f" Did you mean {near[0]}?" if near else ""
        self._write(f"Unknown command: {name}.{meant} For a list: /help\n")


def choose(
    title: str, options: Sequence[str], *, read_line: ReadLine, write: Write, usual: int = 0
) -> int:
    """The index of the option that the user chooses; Enter chooses ``usual``.

    Raises:
        EOFError, KeyboardInterrupt: the user gave up.
    """
    write(f"{title}\n")
    for number, option in enumerate(options, 1):
        write(f"  {number}. {option}\n")
    while True:
        text = read_line(f"Choose 1–{len(options)} [{usual + 1}]: ").strip() or str(usual + 1)
        if (index := picked(text, len(options))) is not None:
            return index
        write(f"Type a number from 1 to {len(options)}, or press Ctrl-D to go back.\n")


def picked(text: str, count: int) -> int | None:
    """The index for a number from 1 to ``count``; ``None`` for any other text."""
    is_short = text.isdecimal() and len(text) <= _MAX_DIGITS
    return int(text) - 1 if is_short and 1 <= int(text) <= count else None


class LineReader:
    """Reads lines from a terminal, with editing, history and completion if it has ``readline``."""

    def __init__(self, history_file: Path | None, words: Sequence[str]) -> None:
        self._history_file = history_file
        self.words = words
        self._new: list[str] = []
        self._typed = ""
        """What was typed when a prompt of another program came."""
        self.has_submitted: Callable[[], bool] = lambda: False
        """Whether another program has submitted a prompt."""
        try:
            import readline
        except ImportError:  # Windows
            self._readline = None
            return
        self._readline = readline
        readline.set_auto_history(False)
        readline.parse_and_bind("set enable-bracketed-paste on")
        readline.parse_and_bind("tab: complete")
        readline.set_completer_delims("")
        readline.set_completer(self._complete)
        for item in self._read_history():
            readline.add_history(item)

    def __call__(self, prompt: str) -> str:
        """One line. It goes into the history unless it is a command with an argument."""
        return self._kept(self.plain(prompt))

    def first(self, prompt: str) -> str:
        """The same; what was typed when `Submitted` was raised is there again.

        Raises:
            Submitted: another program has submitted a prompt.
        """
        if self._readline and self._typed:
            typed, self._typed = self._typed, ""
            self._readline.set_startup_hook(lambda: self._readline.insert_text(typed))
        try:
            return self._kept(self._line(prompt, self._look))
        finally:
            if self._readline:
                self._readline.set_startup_hook(None)

    def _look(self, frame: FrameType | None) -> None:
        """End the read that waits, for a prompt of another program. In any other frame than that of
        the read, the signal came before or after it."""
        if frame is not None and frame.f_code is _input.__code__ and self.has_submitted():
            self._typed = self._readline.get_line_buffer() if self._readline else ""
            raise Submitted

    def _kept(self, line: str) -> str:
        is_command_with_argument = line.startswith("/") and " " in line.strip()
        if self._readline and line.strip() and not is_command_with_argument:
            self._readline.add_history(line)
            self._new.append(line)
        return line

    def remember(self, line: str) -> None:
        """Add ``line`` to the history."""
        if self._readline and line.strip():
            self._readline.add_history(line)

    def plain(self, prompt: str) -> str:
        """One line that does not go into the history: an answer in a dialog."""
        return self._line(prompt, None)

    @staticmethod
    def _line(prompt: str, look: Callable[[FrameType | None], None] | None) -> str:
        # Bytes that are invalid in the terminal's encoding become lone surrogates (PEP 383), which
        # cannot be sent.
        with waking_for_signals(look):
            line = _input(prompt)
        return line.encode("utf-8", "replace").decode()

    def question(self, prompt: str, stop: Stop) -> str:
        """One line as an answer while a turn waits for it. What was typed before the question was
        shown is discarded.

        Raises:
            EOFError: the input has ended.
            Stopped: the turn was stopped.
        """
        if os.name == "nt" or not sys.stdin.isatty():
            return self.plain(prompt)
        descriptor = sys.stdin.fileno()
        _drop_typed(descriptor)
        write_stdout(prompt)
        # The terminal delivers complete lines. A signal handler can end this wait.
        while not stop.is_set and not select.select([descriptor], [], [], _POLL_S)[0]:
            pass
        if stop.is_set:
            write_stdout("\n")  # the question is over
            raise Stopped
        data = os.read(descriptor, _MAX_LINE_BYTES)
        if not data:
            raise EOFError
        return data.decode(sys.stdin.encoding or "utf-8", "replace").rstrip("\r\n")

    def secret(self, prompt: str) -> str:
        """One line without echo.

        Raises:
            InputError: the terminal cannot turn off its echo.
        """
        from getpass import getpass

        try:
            with waking_for_signals():
                return getpass(prompt)
        except OSError as error:
            raise InputError("this terminal cannot hide what is typed", hint=_PIPE_IT) from error

    def save(self) -> None:
        """Add this session's lines to the history file (0600). Errors are ignored: the history is
        only a convenience."""
        items = [line for line in self._new if "\n" not in line]
        if not items or self._history_file is None:
            return
        from qwen_code.base.files import write_atomic

        # Read it again, because another session may have ended in the meantime.
        items = (self._read_history() + items)[-_MAX_HISTORY:]
        with suppress(QwenError):
            write_atomic(
                self._history_file, redact("".join(f"{item}\n" for item in items)).encode()
            )
        self._new.clear()

    def _read_history(self) -> list[str]:
        if self._history_file is None:
            return []
        try:
            return self._history_file.read_text("utf-8", "replace").splitlines()
        except OSError:
            return []

    def _complete(self, text: str, state: int) -> str | None:
        found = [word for word in self.words if text.startswith("/") and word.startswith(text)]
        return found[state] if state < len(found) else None


def _input(prompt: str) -> str:
    """``input``, which keeps a line that was read when a signal handler raises `Submitted`.

    Such a handler is called after a call into C and before its result is assigned, but not between
    the steps of that call.
    """
    lines: list[str] = []
    try:
        lines.extend(map(input, [prompt]))
    except Submitted:
        if not lines:
            raise
    return lines[0]


def _drop_typed(descriptor: int) -> None:
    import termios  # absent on Windows

    with suppress(termios.error):
        termios.tcflush(descriptor, termios.TCIFLUSH)


_PIPE_IT = 'Use: printf %s "$KEY" | qwen auth login --with-api-key'


def write_stdout(text: str) -> None:
    """Write to standard output at once."""
    say_part(text)
