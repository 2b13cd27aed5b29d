"""The output of commands: kept, shown and written to files, with secrets masked."""

from __future__ import annotations

import codecs
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from qwen_code.base.files import make_private_dir
from qwen_code.base.secret import StreamRedactor

_KEPT_LENGTH = 8000
"""Characters of the beginning and of the end of a long output that the model gets."""


class MaskedText:
    """Bytes of a command as text with secrets masked, whatever the pieces are."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._redactor = StreamRedactor()

    def feed(self, data: bytes) -> str:
        return self._redactor.feed(self._decode(data))

    def flush(self) -> str:
        return self._redactor.feed(self._decode(b"", final=True)) + self._redactor.flush()


def log_output(source: IO[bytes], descriptor: int) -> None:
    """Write everything that ``source`` gives to the file ``descriptor``; closes both at the end."""
    text = MaskedText()
    with source, os.fdopen(descriptor, "w", encoding="utf-8", newline="") as log, suppress(OSError):
        while data := os.read(source.fileno(), 65536):
            log.write(text.feed(data))
            log.flush()
        log.write(text.flush())


class CapturedOutput:
    """The beginning and the end of a command's output; long output is also written to a file.

    Secrets are masked before anything is shown, cut or written, across the borders of what is read.
    """

    def __init__(self, directory: Path, show: Callable[[str], None]) -> None:
        self._directory = directory
        self._show = show
        self._masked = MaskedText()
        self._head = ""
        self._tail = ""
        self._length = 0
        self._file: IO[str] | None = None
        self._path: Path | None = None

    def take(self, data: bytes) -> None:
        self._add(self._masked.feed(data))

    def close(self) -> None:
        """End the output: what was held back comes now."""
        self._add(self._masked.flush())
        if self._file is not None:
            self._file.close()
            self._file = None

    @property
    def text(self) -> str:
        """The output as the model gets it, once it is closed."""
        left_out = self._length - len(self._head) - len(self._tail)
        middle = ""
        if left_out > 0:
            middle = f"\n[{left_out:,} characters omitted; the full output is in {self._path}]\n"
        return (self._head + middle + self._tail).rstrip("\n")

    def _add(self, text: str) -> None:
        if not text:
            return
        self._show(text)
        self._length += len(text)
        if self._file is None and self._length > 2 * _KEPT_LENGTH:
            self._open(self._head + self._tail)
        if self._file is not None:
            self._file.write(text)
        room = _KEPT_LENGTH - len(self._head)
        self._head += text[:room]
        self._tail = (self._tail + text[room:])[-_KEPT_LENGTH:] if room < len(text) else self._tail

    def _open(self, before: str) -> None:
        make_private_dir(self._directory)
        self._path = self._directory / f"output-{os.urandom(4).hex()}.log"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        self._file = os.fdopen(os.open(self._path, flags, 0o600), "w", encoding="utf-8", newline="")
        self._file.write(before)
