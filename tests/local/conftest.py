"""Tiny weights with their own pin, and the real ones where this machine has them."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import pytest

from qwen_code.local.server import LocalServer, start_server
from qwen_code.local.store import WeightStore
from qwen_code.local.weights import SMALL, PackageParts, Weights

# Looked up before any test gets its empty home.
_MODELS_DIR = Path(
    os.environ.get("QWEN_TEST_MODELS_DIR") or Path.home() / ".cache" / "qwen-test" / "models"
)


class Tiny(NamedTuple):
    """Weights of 3,004 bytes, and the bytes."""

    weights: Weights
    data: bytes


@pytest.fixture
def tiny() -> Tiny:
    data = b"GGUF" + random.Random(8).randbytes(3000)
    parts = PackageParts("tiny-part", "1.0", 3, 1024)
    digest = sha256(data).hexdigest()
    return Tiny(Weights("tiny", "Tiny", "Org/Tiny", "t.gguf", len(data), digest, 1, parts), data)


@pytest.fixture
def store(tmp_path: Path) -> WeightStore:
    return WeightStore(tmp_path / "models")


@pytest.fixture
def child_environ() -> dict[str, str]:
    """What a server process needs to find this program."""
    return {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}


@pytest.fixture
def model_path(require: Callable[[str, bool], None]) -> Path:
    """The real weights, or the test is skipped."""
    from importlib.util import find_spec

    real = WeightStore(_MODELS_DIR)
    require("local_model", real.has(SMALL) and find_spec("xllamacpp") is not None)
    return real.path(SMALL)


@pytest.fixture(scope="session")
def running() -> Iterator[list[LocalServer]]:
    """The server that the tests share, once one of them has started it."""
    servers: list[LocalServer] = []
    yield servers
    for each in servers:
        each.stop()


@pytest.fixture
def real_server(
    running: list[LocalServer], model_path: Path, child_environ: dict[str, str]
) -> LocalServer:
    """The embedded model, running. Do not stop it."""
    if not running:
        running.append(start_server(model_path, SMALL.name, child_environ))
    return running[0]
