"""The output of commands: as text, kept in parts, and written to files, with secrets masked."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

from qwen_code.base.errors import QwenError
from qwen_code.base.files import make_private_dir
from qwen_code.base.secret import StreamRedactor
from qwen_code.base.text import printed_text
from qwen_code.tools.encodings import detect, is_binary

_KEPT_LENGTH = 8000
"""Characters of the beginning and of the end of a long output that the model gets."""

_MAX_LINE_BYTES = 65_536
"""What is printed without a newline is held back up to here, because a carriage return may replace
it."""

_MAX_FILE_BYTES = 100_000_000
"""A command that prints without end must not fill the disk."""

_CONTROLS = bytes({*range(32), 127} - {*b"\t\n"})
_CONTINUATION = range(0x80, 0xC0)
"""The bytes of a UTF-8 character after the first."""


class MaskedText:
    """Bytes of a command as the text that a terminal would show, with secrets masked.

    Whole lines are given out, whatever the pieces are in which they come. A line that is not UTF-8
    is read in the encoding that the first such line seems to have.
    """

    def __init__(self) -> None:
        self._held = b""
        self._redactor = StreamRedactor()
        self.encoding = ""
        """The encoding of what is not UTF-8; empty if there is none."""

    def feed(self, data: bytes) -> str:
        """The text that is certain by now."""
        data = self._held + data
        end = data.rfind(b"\n") + 1
        if not end and len(data) > _MAX_LINE_BYTES:
            end = _before_a_character(data)
        self._held = data[end:]
        return self._redactor.feed(self._text(data[:end])) if end else ""

    def flush(self) -> str:
        """The rest, at the end of the output."""
        data, self._held = self._held, b""
        return self._redactor.feed(self._text(data)) + self._redactor.flush()

    def _text(self, data: bytes) -> str:
        if data.isascii() and len(data.translate(None, _CONTROLS)) == len(data):
            return data.decode()  # as most output is
        try:
            text = data.decode()
        except UnicodeDecodeError:
            lines = data.splitlines(keepends=True)
            if not self.encoding:
                self.encoding = _encoding_of(b"".join(line for line in lines if not _is_utf8(line)))
            text = "".join(
                line.decode("utf-8" if _is_utf8(line) else self.encoding, "replace")
                for line in lines
            )
        return printed_text(text.replace("\r\n", "\n"))


class OutputFile:
    """A file for the whole output of a command. A file that cannot be written costs itself."""

    def __init__(self, directory: Path, kind: str) -> None:
        self.path: Path | None = None
        self._directory = directory
        self._kind = kind
        self._file: IO[str] | None = None
        self._bytes = 0
        self._problem = ""

    def open(self) -> None:
        """Create it, private to the user."""
        try:
            make_private_dir(self._directory)
            path = self._directory / f"{self._kind}-{os.urandom(4).hex()}.log"
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        except (OSError, QwenError) as error:
            self._fail(error)
            return
        self._file = os.fdopen(descriptor, "w", encoding="utf-8", errors="replace", newline="")
        self.path = path

    @property
    def is_open(self) -> bool:
        return self._file is not None

    def write(self, text: str) -> None:
        """Add ``text``, up to a limit."""
        if self._file is None:
            return
        room = _MAX_FILE_BYTES - self._bytes
        self._bytes += len(text)
        try:
            self._file.write(text[: max(0, room)])
            self._file.flush()
        except OSError as error:
            self._fail(error)
            return
        if self._bytes > _MAX_FILE_BYTES:
            self._problem = f"only its first {_MAX_FILE_BYTES:,} characters were kept"

    def close(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            try:
                file.close()
            except OSError as error:
                self._fail(error)

    def discard(self) -> None:
        """Remove it, because the command did not start."""
        self.close()
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    @property
    def where(self) -> str:
        """Where the whole output is, in words; or why it is not kept."""
        if self.path is None:
            return f"the full output could not be kept: {self._problem}"
        if self._problem:
            return f"the full output could not be kept in {self.path}: {self._problem}"
        return f"the full output is in {self.path}"

    def _fail(self, error: OSError | QwenError) -> None:
        reason = error.message if isinstance(error, QwenError) else error.strerror
        self._problem = reason or str(error)
        self.close()


class Ends:
    """The beginning and the end of a text."""

    def __init__(self) -> None:
        self._head = ""
        self._tail = ""
        self._length = 0

    @property
    def length(self) -> int:
        """How long the whole text is."""
        return self._length

    @property
    def whole(self) -> str:
        """The text, while nothing of it is left out."""
        return self._head + self._tail

    def add(self, text: str) -> None:
        self._length += len(text)
        room = _KEPT_LENGTH - len(self._head)
        self._head += text[:room]
        self._tail = (self._tail + text[room:])[-_KEPT_LENGTH:] if room < len(text) else self._tail

    def text(self, where: str) -> str:
        """Both, and between them how much is left out, and ``where`` it is."""
        left_out = self._length - len(self._head) - len(self._tail)
        middle = f"\n[{left_out:,} characters omitted; {where}]\n" if left_out > 0 else ""
        return (self._head + middle + self._tail).rstrip("\n")


class CapturedOutput:
    """The beginning and the end of a command's output; long output is also written to a file.

    Secrets are masked before anything is shown, cut or written.
    """

    def __init__(self, directory: Path, show: Callable[[str], None]) -> None:
        self._show = show
        self._text = MaskedText()
        self._ends = Ends()
        self._file = OutputFile(directory, "output")
        self._is_long = False

    def take(self, data: bytes) -> None:
        self._add(self._text.feed(data))

    def close(self) -> None:
        """End the output: what was held back comes now."""
        self._add(self._text.flush())
        self._file.close()

    @property
    def text(self) -> str:
        """The output as the model gets it, once it is closed."""
        return self._ends.text(self._file.where) + encoding_note(self._text.encoding)

    def _add(self, text: str) -> None:
        if not text:
            return
        self._show(text)
        if not self._is_long and self._ends.length + len(text) > 2 * _KEPT_LENGTH:
            self._is_long = True
            self._file.open()
            self._file.write(self._ends.whole)
        self._file.write(text)
        self._ends.add(text)


def encoding_note(encoding: str) -> str:
    """What the model is told about an encoding, after a newline."""
    if not encoding:
        return ""
    how = "some bytes are lost" if encoding == "utf-8" else f"read as {encoding}"
    return f"\n[the output is not UTF-8: {how}]"


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _encoding_of(data: bytes) -> str:
    """The encoding of lines that are not UTF-8."""
    return "utf-8" if is_binary(data) else detect(data).name


def _before_a_character(data: bytes) -> int:
    """The end of ``data`` without a UTF-8 character that may be incomplete."""
    end = len(data)
    for back in range(1, 5):
        if data[-back] not in _CONTINUATION:
            return end - back if data[-back] >= 0xC0 else end
    return end
