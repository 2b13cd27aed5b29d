"""What the tests of the official SDKs share: a ``qwen`` to start, and a model that holds its answer."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from model_server import FakeModelServer

ID = "123e4567-e89b-42d3-a456-426614174000"
OTHER_ID = "123e4567-e89b-42d3-a456-426614174001"


def executable(folder: Path) -> Path:
    """A program that is this ``qwen``, as an installation has it."""
    path = folder / "bin" / "qwen"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{sys.executable}\nfrom qwen_code.cli.main import main\n\nmain()\n")
    path.chmod(0o755)
    return path


def hold(server: FakeModelServer) -> threading.Event:
    """Let the model stop after its first word, until the returned event is set."""
    go_on = threading.Event()

    def wait() -> None:
        go_on.wait(30)

    server.after_first_word = wait
    return go_on
