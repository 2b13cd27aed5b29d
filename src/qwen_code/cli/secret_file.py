"""Secrets that an option names by their file, because other users can read command lines."""

from __future__ import annotations

from pathlib import Path

import click

from qwen_code.base.errors import UsageError
from qwen_code.base.files import read_bounded

SECRET_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_MAX_BYTES = 4096


def read_secret(option: str, path: Path) -> str:
    """The one line in the file at ``path``, which was given with ``option``.

    Raises:
        UsageError: it cannot be read, is empty, or holds more than one line of ASCII.
    """
    try:
        text = read_bounded(path, _MAX_BYTES).decode("ascii").strip()
    except UnicodeDecodeError:
        text = ""
    except OSError as error:
        raise UsageError(f"{option}: {path} cannot be read: {error.strerror or error}") from error
    if not text or not text.isprintable():
        raise UsageError(
            f"{option}: {path} does not hold a secret",
            hint="Write the secret into it, as one line of ASCII and nothing else.",
        )
    return text
