"""How a sign-in looks in a terminal: the address, the code, a QR code, and a countdown."""

from __future__ import annotations

import io
import os
import select
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress

from qwen_code.auth.oauth.errors import SIGN_IN, SignInFailed
from qwen_code.auth.oauth.pending import PendingFlow
from qwen_code.base.text import safe_text
from qwen_code.fronts.console import takes_only_lines
from qwen_code.fronts.text.browser import open_browser, opener

_TICK_S = 1.0
_MAX_LINE_BYTES = 1 << 14
_CLEAR_LINE = "\r\x1b[K"


def display_for(
    environ: Mapping[str, str], *, browser: bool, write: Callable[[str], None]
) -> LineDisplay:
    """Keys and a countdown on a terminal, else plain lines."""
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty() and not takes_only_lines(environ)
    kind = TerminalDisplay if is_terminal and os.name != "nt" else LineDisplay
    return kind(write, environ, browser=browser)


class LineDisplay:
    """Plain lines: for pipes, logs, screen readers and ``TERM=dumb``."""

    def __init__(
        self, write: Callable[[str], None], environ: Mapping[str, str], *, browser: bool
    ) -> None:
        self._write = write
        self._environ = environ
        self._browser = browser
        self._trouble: str | None = None

    def show(self, flow: PendingFlow) -> None:
        """The address and the code; the browser is opened where that makes sense."""
        url = safe_text(flow.url)
        self._write("To sign in, open this address and check that it shows the same code:\n\n")
        self._write(f"  {self._link(url)}\n\n  Code: {safe_text(flow.user_code)}\n\n")
        self._show_more(url)
        if self._browser and open_browser(url, self._environ) is None:
            self._write("Opening it in your browser.\n")

    def wait(self, seconds: float, left_s: float, trouble: str | None) -> None:
        """Wait; trouble is shown when it begins and when it ends."""
        if trouble and trouble != self._trouble:
            self._write(f"Network trouble, still waiting: {safe_text(trouble)}\n")
        elif self._trouble and not trouble:
            self._write("The trouble is over; waiting for the approval.\n")
        self._trouble = trouble
        time.sleep(max(0.0, seconds))

    def attention(self) -> AbstractContextManager[None]:
        """No keys are read here."""
        return nullcontext()

    def can_open_browser(self) -> bool:
        """Whether a browser would be opened; it may still fail to start."""
        return self._browser and not isinstance(opener(self._environ), str)

    def show_address(self, url: str) -> None:
        """The address of an authorization request; the browser is opened if that makes sense."""
        self._write(f"To sign in, open this address:\n\n  {self._link(safe_text(url))}\n\n")
        if self._browser and open_browser(url, self._environ) is None:
            self._write("Opening it in your browser. ")
        self._write("Waiting for the answer; Ctrl-C cancels.\n")
        if _takes_lines():
            self._write(
                "If your browser is on another machine: paste here the address that it ends at, "
                "and press Enter.\n"
            )

    def pasted(self, seconds: float) -> str | None:
        """A line that was typed or pasted within ``seconds``."""
        if not _takes_lines():
            time.sleep(seconds)
            return None
        descriptor = sys.stdin.fileno()
        if not select.select([descriptor], [], [], seconds)[0]:
            return None
        line = os.read(descriptor, _MAX_LINE_BYTES)
        if not line:  # a terminal that is gone pastes nothing
            time.sleep(seconds)
        return line.decode("utf-8", "replace")

    def say(self, line: str) -> None:
        """One line."""
        self._write(f"{line}\n")

    def _link(self, url: str) -> str:
        return url

    def _show_more(self, url: str) -> None:
        """Nothing more in plain lines."""


class TerminalDisplay(LineDisplay):
    """A terminal that takes keys: ``c`` copies the address, Esc cancels."""

    def __init__(
        self, write: Callable[[str], None], environ: Mapping[str, str], *, browser: bool
    ) -> None:
        super().__init__(write, environ, browser=browser)
        self._url = ""
        self._said = ""

    def attention(self) -> AbstractContextManager[None]:
        """Single keys without Enter and without echo, until the sign-in has ended."""
        return _single_keys()

    def wait(self, seconds: float, left_s: float, trouble: str | None) -> None:
        """Count down, and handle keys.

        Raises:
            SignInFailed: Esc was pressed.
        """
        end = time.monotonic() + seconds
        over = time.monotonic() + left_s
        try:
            while (rest := end - time.monotonic()) > 0:
                self._draw(over - time.monotonic(), trouble)
                self._react(_read_key(min(rest, _TICK_S)))
        finally:
            self._write(_CLEAR_LINE)

    def _draw(self, left_s: float, trouble: str | None) -> None:
        minutes, seconds = divmod(max(0, round(left_s)), 60)
        state = f"network trouble, still waiting ({safe_text(trouble)})" if trouble else "waiting"
        line = f"{state} · {minutes}:{seconds:02} left · c copies the address · Esc cancels"
        line = self._said or line
        width = shutil.get_terminal_size().columns
        self._write(f"{_CLEAR_LINE}\x1b[2m{line[: width - 1]}\x1b[22m")
        self._said = ""

    def _react(self, key: bytes) -> None:
        if key in (b"c", b"C"):
            from base64 import b64encode

            self._write(f"\x1b]52;c;{b64encode(self._url.encode()).decode()}\x07")
            self._said = "copied, if your terminal allows it"
        elif key == b"\x1b":
            raise SignInFailed("the sign-in was cancelled", hint=SIGN_IN)

    def _link(self, url: str) -> str:
        self._url = url
        return f"\x1b]8;;{url}\x1b\\{url}\x1b]8;;\x1b\\"

    def _show_more(self, url: str) -> None:
        if picture := qr_code(url, *shutil.get_terminal_size()):
            self._write(f"{picture}\n")


def _takes_lines() -> bool:
    """Whether a person can type into this program. Windows cannot wait for lines."""
    return sys.stdin.isatty() and os.name != "nt"


def qr_code(text: str, columns: int, lines: int) -> str | None:
    """A QR code of half blocks, or ``None`` where the terminal is too small for it."""
    import segno

    code = segno.make(text, error="l", micro=False)
    size = code.symbol_size(border=2)[0]
    if size >= columns or size / 2 + 8 > lines:
        return None
    out = io.StringIO()
    code.terminal(out, border=2, compact=True)
    return out.getvalue()


def _read_key(timeout_s: float) -> bytes:
    """What was pressed, or nothing after ``timeout_s``; a terminal that is gone presses nothing."""
    descriptor = sys.stdin.fileno()
    readable, _, _ = select.select([descriptor], [], [], timeout_s)
    key = os.read(descriptor, 64) if readable else b""
    if readable and not key:
        time.sleep(timeout_s)
    return key


@contextmanager
def _single_keys() -> Iterator[None]:
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor, termios.TCSANOW)  # Ctrl-C stays Ctrl-C
    try:
        yield
    finally:
        with suppress(termios.error):
            termios.tcsetattr(descriptor, termios.TCSANOW, before)
