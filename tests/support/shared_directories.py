"""A temporary directory that other users can enter: what pytest makes is closed to them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def shared_directory() -> Iterator[Path]:
    """It is removed at the end, with everything in it."""
    with tempfile.TemporaryDirectory(prefix="qwen-test-", ignore_cleanup_errors=True) as name:
        path = Path(name).resolve()
        path.chmod(0o755)
        yield path
