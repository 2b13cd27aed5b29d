"""The debug log: one redacted line for each event, in a private file, if it is enabled."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import IO

from qwen_code.base.files import make_private_dir
from qwen_code.base.secret import redact

_file: IO[str] | None = None


def enable_debug_log(directory: Path) -> Path:
    """Write events to a new file (0600) in ``directory`` from now on; its path.

    Raises:
        ConfigError: the directory cannot be created.
        OSError: the file cannot be created.
    """
    global _file
    make_private_dir(directory)
    path = directory / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    _file = os.fdopen(descriptor, "w", encoding="utf-8", buffering=1)
    debug(
        "start", argv=" ".join(sys.argv[:1]), python=sys.version.split()[0], platform=sys.platform
    )
    return path


def debug(event: str, **fields: object) -> None:
    """Log an event, without secrets, if the log is enabled."""
    if _file is None:
        return
    details = " ".join(f"{name}={value!s}" for name, value in fields.items())
    line = redact(f"{time.time():.3f} {event} {details}")
    _file.write(line.replace("\n", "\n    ") + "\n")
